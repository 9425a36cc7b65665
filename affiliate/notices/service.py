"""Telling people: an event becomes letters, a letter is sent or kept in the outbox.

A letter is written down before the mail server is called and ticked off after its answer, in two
transactions. A crash in between leaves it `sending`; it goes out again ten minutes later with the
same Message-ID, by which mail programs know it. That is as near to once as SMTP comes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

import sqlalchemy as sa
import structlog
from flask import current_app, render_template

from affiliate import clock, i18n, security
from affiliate.config import Settings
from affiliate.db import db
from affiliate.events import Event
from affiliate.i18n import LOCALES
from affiliate.notices import queries
from affiliate.notices.letters import LETTERS, Letter
from affiliate.notices.models import Notice
from affiliate.notices.queries import PLACE, Text
from affiliate.people.models import User

log = structlog.get_logger(__name__)

BATCH = 100
CUT_SHORT = timedelta(minutes=10)
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 480, 1440))
KEPT_FOR = timedelta(days=30)


def tell_some() -> int:
    """Decide for the oldest events who is told, and write the letters. Returns how many events.

    Events that another worker has in hand are passed over.
    """
    untold = db.session.scalars(
        sa.select(Event)
        .where(Event.told_at.is_(None))
        .order_by(Event.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for event in untold:
        _tell_once(event)
        event.told_at = clock.now()
    return len(untold)


def _tell_once(event: Event) -> None:
    """An event that breaks its letter is logged and let go: those behind it are told."""
    try:
        with db.session.begin_nested():
            _tell(event)
    except Exception:
        log.exception("nobody could be told", event_id=event.id, about=event.name)


def _tell(event: Event) -> None:
    write = LETTERS.get(event.name)
    if write is None:
        return
    for user in queries.readers_of(event):
        if user.email is not None:
            _write_to(event, user, write)


def _write_to(event: Event, user: User, write: Callable[[Event, User], Letter]) -> None:
    tag = user.locale if user.locale in LOCALES else i18n.DEFAULT
    with i18n.read_as(tag, timezone=user.timezone):
        letter = write(event, user)
        text = _put_into_words(letter)
        subject = " ".join(str(letter.subject).split())
    notice = Notice(
        event_id=event.id,
        user_id=user.id,
        address=user.email,
        locale=tag,
        subject=subject,
        letter=_sealed(text, event.id, user.id),
        state="waiting" if _settings().smtp_host else "kept",
        due_at=clock.now(),
    )
    db.session.add(notice)
    db.session.flush()
    if notice.state == "kept":
        # Not the letter: it may hold a link that signs in, and logs are read by many.
        log.info("letter kept in the outbox, as no mail server is set", notice=notice.id,
                 about=event.name)  # fmt: skip


def _put_into_words(letter: Letter) -> Text:
    inside = {"letter": letter, "address": _settings().address}
    return Text(
        render_template("mail/letter.txt", **inside).strip() + "\n",
        render_template("mail/letter.html", **inside),
    )


def _sealed(text: Text, event_id: int, user_id: int) -> bytes:
    clear = json.dumps(asdict(text), ensure_ascii=False).encode()
    return security.seal(clear, place=f"{PLACE}/{event_id}/{user_id}")


def begin(notice_id: int) -> tuple[Notice, Text] | None:
    """Take a letter in hand, for this worker alone. Commit before calling the mail server."""
    now = clock.now()
    taken = db.session.scalar(
        sa.update(Notice)
        .where(
            Notice.id == notice_id,
            Notice.state.in_(("waiting", "sending")),
            Notice.due_at <= now,
        )
        .values(state="sending", tries=Notice.tries + 1, due_at=now + CUT_SHORT)
        .returning(Notice)
    )
    text = queries.text_of(taken) if taken else None
    return (taken, text) if taken and text else None


def sent(notice_id: int) -> None:
    _finish(notice_id, state="sent", sent_at=clock.now(), letter=None, trouble=None)


def failed(notice_id: int, trouble: str, *, for_good: bool) -> None:
    """Try again later, after longer and longer pauses, or give up."""
    notice = db.session.get_one(Notice, notice_id, populate_existing=True)
    if for_good or notice.tries > len(PAUSES):
        log.warning("letter could not be sent", notice=notice_id, trouble=trouble)
        _finish(notice_id, state="failed", trouble=trouble[:500])
        return
    due_at = clock.now() + PAUSES[notice.tries - 1]
    _finish(notice_id, state="waiting", trouble=trouble[:500], due_at=due_at)


def _finish(notice_id: int, **values: object) -> None:
    """Only what is in hand: a late answer changes no letter that is finished."""
    db.session.execute(
        sa.update(Notice).where(Notice.id == notice_id, Notice.state == "sending").values(**values)
    )


def forget_letters() -> None:
    """What was said is forgotten after a month; that it was said stays."""
    db.session.execute(
        sa.update(Notice)
        .where(Notice.letter.is_not(None), Notice.created_at < clock.now() - KEPT_FOR)
        .values(letter=None)
    )


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
