"""The operator's first page: what came in and is not worked off, and what went wrong."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from affiliate import clock
from affiliate.config import Settings
from affiliate.consoles.operator import bp
from affiliate.db import db
from affiliate.i18n import _
from affiliate.insight import queries as insight
from affiliate.intake import queries as intake
from affiliate.intake import service as intake_service
from affiliate.intake.models import Event
from affiliate.jobs import URGENCY
from affiliate.links import losses
from affiliate.notices.models import Notice
from affiliate.people import queries as people
from affiliate.people.models import Merchant, Promoter, User

SHOWN = 20
FEW_BYTES = 1_000_000_000
LATE = timedelta(minutes=5)  # an event that waits longer is no longer only on its way


@dataclass(frozen=True, slots=True)
class Line:
    """A queue of jobs: how many wait, and how many were given up."""

    name: str
    waiting: int
    failed: int


@bp.get("/")
def health() -> ResponseReturnValue:
    aside = intake.quarantined(limit=SHOWN)
    oldest = _oldest_waiting()
    return render_template(
        "operator/health.html",
        inbox=intake.counts(),
        oldest=oldest,
        is_late=oldest is not None and oldest < clock.now() - LATE,
        aside=aside,
        merchants=people.merchants({each.merchant_id for each in aside}),
        spool=insight.backlog(current_app.extensions["spool"].folder),
        lost=losses.latest(),
        space=_space(),
        queues=_queues(),
        letters=_letters(),
        has_mail=_settings().smtp_host is not None,
        counts=_counts(),
    )


@bp.post("/inbox/retry")
def retry() -> ResponseReturnValue:
    moved = sum(intake_service.retry(merchant_id) for merchant_id in _merchants_with_trouble())
    flash(_("%(count)s events are tried again.", count=moved), "done")
    return redirect(url_for("operator.health"), 303)


def _space() -> int | None:
    """Bytes that are left for clicks, when they are few."""
    free = shutil.disk_usage(_settings().data).free
    return free if free < FEW_BYTES else None


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _merchants_with_trouble() -> list[int]:
    return list(
        db.session.scalars(
            sa.select(Event.merchant_id).where(Event.state == "quarantined").distinct()
        )
    )


def _oldest_waiting() -> Any:
    return db.session.scalar(
        sa.select(sa.func.min(Event.received_at)).where(Event.state == "waiting")
    )


def _queues() -> list[Line] | None:
    """None when Valkey does not answer: jobs wait as rows meanwhile."""
    redis: Redis = current_app.extensions["redis"]
    try:
        return [_line(Queue(name, connection=redis, serializer=JSONSerializer)) for name in URGENCY]
    except RedisError:
        return None


def _line(queue: Queue) -> Line:
    return Line(queue.name, queue.count, queue.failed_job_registry.count)


def _letters() -> dict[str, int]:
    rows = db.session.execute(sa.select(Notice.state, sa.func.count()).group_by(Notice.state))
    return {state: count for state, count in rows}  # noqa: C416


def _counts() -> dict[str, int]:
    one = db.session.execute(
        sa.select(
            sa.select(sa.func.count()).select_from(Merchant).scalar_subquery(),
            sa.select(sa.func.count()).select_from(Promoter).scalar_subquery(),
            sa.select(sa.func.count()).where(User.is_service.is_(False)).scalar_subquery(),
        )
    ).one()
    return dict(zip(("merchants", "promoters", "users"), one, strict=True))
