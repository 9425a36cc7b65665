"""Answers given under an Idempotency-Key, so that a repeated POST gets the first one again."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from affiliate.db import Json, Key, Model, Stamped


class Answer(Stamped, Model):
    __tablename__ = "idempotency_keys"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))
    key: Mapped[str]
    request_hash: Mapped[bytes]  # of method, path and body
    status: Mapped[int]
    headers: Mapped[Json]
    body: Mapped[bytes]  # sealed: an answer may show a new key or webhook secret

    __table_args__ = (
        sa.UniqueConstraint("user_id", "key"),
        sa.Index("idempotency_keys_age_idx", "created_at"),
    )
