"""What people decided about money and power, in a chain that shows when it was changed.

`record` only remembers; the rows are written as the last thing before the commit, one decision
after the other, so nobody ever waits here while holding what another needs. What is rolled back,
also to a savepoint, was not decided. Number and hash are made by the database
(migrations/versions/0016_books.py), which refuses every change afterwards.

Actions are `<noun>.<past participle>`. A subject is the kind of its public id and its number,
`stl:12`. Details hold numbers, codes and ids; never a secret, never a buyer.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import g
from sqlalchemy.orm import Mapped, Session, SessionTransaction, mapped_column

from affiliate import clock, ids
from affiliate.db import Json, Model, before_commit, db
from affiliate.errors import NotFound


class Decision(Model):
    """A row of the chain. Keys without foreign keys: it stays true when its subject is gone, and
    writing it takes no lock but that of the chain.
    """

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # without gaps
    happened_at: Mapped[datetime]
    action: Mapped[str]
    subject: Mapped[str]
    merchant_id: Mapped[int | None]
    user_id: Mapped[int | None]  # nobody: the system, or a shell that knows no person
    key_id: Mapped[int | None]
    detail: Mapped[Json]
    hash: Mapped[bytes]  # over the hash before it and all of the above

    __table_args__ = (
        sa.Index("audit_log_merchant_idx", "merchant_id", "id"),
        sa.Index("audit_log_user_idx", "user_id", "id"),
        sa.Index("audit_log_subject_idx", "subject", "id"),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """A decision before it is a row."""

    action: str
    subject: str
    merchant_id: int | None
    user_id: int | None
    key_id: int | None
    happened_at: str
    detail: dict[str, Any]


Waiting = list[tuple[SessionTransaction | None, Told]]


def act_as(user_id: int, key_id: int | None = None) -> None:
    """Who this request comes from, for those who record without knowing it."""
    g.acting = (user_id, key_id)


def record(
    action: str,
    *,
    subject: str,
    by: int | None = None,
    merchant_id: int | None = None,
    **detail: Any,
) -> None:
    """Somebody decided this; `by` is whoever acts in this request if it is not said."""
    acting, key_id = g.get("acting", (None, None))
    user_id = acting if by is None else by
    told = Told(
        action, subject, merchant_id, user_id, key_id if user_id == acting else None,
        clock.now().isoformat(), detail,
    )  # fmt: skip
    waiting: Waiting = db.session.info.setdefault("audit", [])
    if not waiting:
        before_commit(_write)
    session = db.session()
    waiting.append((session.get_nested_transaction() or session.get_transaction(), told))


def _write() -> None:
    waiting: Waiting = db.session.info.pop("audit", [])
    if waiting:
        db.session.flush()  # first every other lock, then that of the chain
        rows = json.dumps([asdict(told) for _, told in waiting])
        db.session.execute(WRITE, {"rows": rows})


@sa.event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, undone: SessionTransaction) -> None:
    """Also what was recorded inside a savepoint that is given up."""
    waiting: Waiting = session.info.get("audit", [])
    waiting[:] = [each for each in waiting if undone.nested and not _within(each[0], undone)]


def _within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer


WRITE = sa.text("""
    INSERT INTO audit_log (happened_at, action, subject, merchant_id, user_id, key_id, detail)
    SELECT happened_at, action, subject, merchant_id, user_id, key_id, detail
      FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS (
             action text, subject text, merchant_id bigint, user_id bigint, key_id bigint,
             happened_at timestamptz, detail jsonb)) WITH ORDINALITY AS told
     ORDER BY ordinality
""")


def chosen(
    scope: Collection[int] | None,
    *,
    of_instance: bool,
    merchant_id: int | None = None,
    user_ids: Collection[int] | None = None,
    subject: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> sa.Select[Decision]:
    """Decisions about these merchants, or all; `of_instance`: also those about none of them. An
    action may be its noun alone.
    """
    found = sa.select(Decision)
    if not of_instance:
        found = found.where(Decision.merchant_id.is_not(None))
    if scope is not None:
        found = found.where(Decision.merchant_id.in_(scope))
    if merchant_id is not None:
        found = found.where(Decision.merchant_id == merchant_id)
    if user_ids is not None:
        found = found.where(Decision.user_id.in_(user_ids))
    if subject is not None:
        found = found.where(Decision.subject == subject)
    if action:
        noun = f"{action}." if "." not in action else action
        found = found.where(Decision.action.startswith(noun, autoescape=True))
    if since is not None:
        found = found.where(Decision.happened_at >= since)
    if until is not None:
        found = found.where(Decision.happened_at < until)
    return found


def subject_of(public_id: str) -> str | None:
    """As a subject is written, for a public id of ours."""
    prefix = public_id.partition("_")[0]
    try:
        return f"{prefix}:{ids.decode(prefix, public_id)[-1]}" if prefix in ids.PREFIXES else None
    except NotFound:
        return None


def public(subject: str, merchant_id: int | None) -> str:
    """Its public id, or the text as it is."""
    prefix, _colon, number = subject.partition(":")
    keys = ids.PREFIXES.get(prefix) if number.isdigit() else None
    if keys == 1:
        return ids.encode(prefix, int(number))
    if keys == 2 and merchant_id is not None:
        return ids.encode(prefix, merchant_id, int(number))
    return subject
