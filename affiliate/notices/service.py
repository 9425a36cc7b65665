"""Telling people: an event becomes letters and messages, by the channels that each reader chose; a
letter is sent or kept in the outbox. What is not about safety waits over a reader's quiet hours,
and what waited is sent together.

A letter is written down before the mail server is called and ticked off after its answer, in two
transactions. A crash in between leaves it `sending`; it goes out again ten minutes later with the
same Message-ID, by which mail programs know it. That is as near to once as SMTP comes.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from flask import current_app, render_template

from affiliate import clock, i18n, security
from affiliate.config import Settings
from affiliate.db import db
from affiliate.events import Event
from affiliate.i18n import LOCALES, _, _n
from affiliate.notices import queries, wechat
from affiliate.notices.letters import KINDS, LETTERS, ORDERS, Letter, code_letter, code_message
from affiliate.notices.models import Channel, Choice, Follower, Kind, Notice, Subscription
from affiliate.notices.queries import CHOOSABLE, PLACE, Text
from affiliate.people import codes
from affiliate.people.models import User, UserSession

log = structlog.get_logger(__name__)

BATCH = 100
CUT_SHORT = timedelta(minutes=10)
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 480, 1440))
KEPT_FOR = timedelta(days=30)
NEWS = "/promoter/news"
BROWSERS = 10  # that one person is sent messages to
SUBJECTS = 8  # of what waited that are named when it is sent together


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
    if event.name == "code.asked":
        _write_code(event)
        return
    write = LETTERS.get(event.name)
    if write is None:
        return
    kind = KINDS.get(event.name, Kind.SAFETY)
    for user in queries.readers_of(event):
        ways = list(_ways(event, user, kind))
        if ways:
            _write_to(event, user, kind, write, ways)


def _ways(event: Event, user: User, kind: Kind) -> Iterator[tuple[Channel, str]]:
    """By which channels, and where. Letters about safety go to the address, whatever was chosen;
    who has none reads them here.
    """
    chosen: Collection[Channel] = {Channel.MAIL}
    if kind is not Kind.SAFETY:
        chosen = queries.chosen(user.id)[kind]
    elif user.email is None:
        chosen = {Channel.IN_APP, Channel.PUSH}
    has_pages = event.user_id is None or user.email is None  # promoters read news on their phone
    if Channel.IN_APP in chosen and has_pages and not user.is_service:
        yield Channel.IN_APP, ""
    if Channel.MAIL in chosen and user.email:
        yield Channel.MAIL, user.email
    if Channel.PUSH in chosen:
        for each in queries.subscriptions_of(user.id):
            yield Channel.PUSH, each.endpoint
    follower = queries.follower(user.id) if Channel.WECHAT in chosen else None
    if follower and wechat.is_offered(_settings()):
        yield Channel.WECHAT, follower.openid


def _write_to(
    event: Event,
    user: User,
    kind: Kind,
    write: Callable[[Event, User], Letter],
    ways: Collection[tuple[Channel, str]],
) -> None:
    tag = user.locale if user.locale in LOCALES else i18n.DEFAULT
    now = clock.now()
    quiet = None if kind is Kind.SAFETY else quiet_until(user, now)
    with i18n.read_as(tag, timezone=user.timezone):
        letter = write(event, user)
        for channel, address in ways:
            text = _put_into_words(letter) if channel is Channel.MAIL else _in_short(letter)
            held = quiet is not None and channel is not Channel.IN_APP
            _add(
                Notice(
                    event_id=event.id,
                    user_id=user.id,
                    channel=channel,
                    kind=kind,
                    address=address,
                    locale=tag,
                    subject=_subject(letter),
                    path=_path(letter),
                    letter=_sealed(text, event.id, user.id),
                    state=_first_state(channel),
                    due_at=quiet if held else now,
                    held=held,
                    sent_at=now if channel is Channel.IN_APP else None,
                ),
                event,
            )


def _write_code(event: Event) -> None:
    """To an address that nobody may have an account with."""
    made = codes.make(event.payload["code"])
    if made is None:
        return
    row, code = made
    user = codes.user_at(codes.Contact(row.channel, row.target))
    with i18n.read_as(row.locale if row.locale in LOCALES else i18n.DEFAULT):
        letter = code_letter(code)
        is_mail = row.channel == Channel.MAIL
        text = _put_into_words(letter) if is_mail else Text(code_message(code))
        notice = Notice(
            event_id=event.id,
            user_id=user.id if user else None,
            channel=row.channel,
            kind=Kind.SAFETY,
            address=row.target,
            locale=row.locale,
            subject=_subject(letter),
            letter=_sealed(text, event.id, user.id if user else None),
            state=_first_state(Channel(row.channel)),
            due_at=clock.now(),
            good_until=row.expires_at,
        )
        _add(notice, event)


def _add(notice: Notice, event: Event) -> None:
    db.session.add(notice)
    db.session.flush()
    if notice.state == "kept":
        # Not the letter: it may hold a link that signs in, and logs are read by many.
        log.info("letter kept in the outbox, as no mail server is set", notice=notice.id,
                 about=event.name)  # fmt: skip


def _first_state(channel: Channel) -> str:
    if channel is Channel.IN_APP:
        return "sent"
    return "kept" if channel is Channel.MAIL and not _settings().smtp_host else "waiting"


def quiet_until(user: User, now: datetime) -> datetime | None:
    """The end of the reader's quiet hours, when now is within them."""
    since, until = user.quiet_from, user.quiet_until
    if since is None or until is None or since == until:
        return None
    here = now.astimezone(ZoneInfo(user.timezone))
    minutes = here.hour * 60 + here.minute
    within = since <= minutes < until if since < until else minutes >= since or minutes < until
    if not within:
        return None
    end = here.replace(hour=until // 60, minute=until % 60, second=0, microsecond=0)
    # Tomorrow is a calendar day: where clocks change it is not 24 hours.
    return (end if minutes < until else end + timedelta(days=1)).astimezone(now.tzinfo)


def _subject(letter: Letter) -> str:
    return " ".join(str(letter.subject).split())


def _path(letter: Letter) -> str | None:
    return letter.action[1].removeprefix(_settings().address) if letter.action else None


def _in_short(letter: Letter) -> Text:
    """As a message: the words without the button."""
    return Text("\n".join(str(each) for each in letter.words))


def _put_into_words(letter: Letter) -> Text:
    inside = {"letter": letter, "address": _settings().address}
    return Text(
        render_template("mail/letter.txt", **inside).strip() + "\n",
        render_template("mail/letter.html", **inside),
    )


def _sealed(text: Text, event_id: int, user_id: int | None) -> bytes:
    clear = json.dumps(asdict(text), ensure_ascii=False).encode()
    return security.seal(clear, place=f"{PLACE}/{event_id}/{user_id}")


def begin(notice_id: int) -> tuple[Notice, Text] | None:
    """Take a letter in hand, for this worker alone. Commit before calling the mail server.

    One that waited over quiet hours takes along what else waited for the same person and channel.
    """
    now = clock.now()
    taken = db.session.scalar(
        sa.update(Notice)
        .where(
            Notice.id == notice_id,
            Notice.state.in_(("waiting", "sending")),
            Notice.due_at <= now,
            Notice.with_id.is_(None),
        )
        .values(state="sending", tries=Notice.tries + 1, due_at=now + CUT_SHORT)
        .returning(Notice)
    )
    if taken is None:
        return None
    if taken.good_until is not None and taken.good_until <= now:
        _finish(taken.id, state="failed", trouble="too late", letter=None)
        return None
    if taken.held and (others := _take_along(taken)):
        return taken, _together(taken, others)
    text = queries.text_of(taken)
    return (taken, text) if text else None


def _take_along(taken: Notice) -> list[str]:
    """Subjects of what goes out with it, the latest last; the same at every try."""
    waiting = sa.and_(Notice.with_id.is_(None), Notice.state == "waiting", Notice.held)
    rows = db.session.execute(
        sa.update(Notice)
        .where(
            Notice.user_id == taken.user_id,
            Notice.channel == taken.channel,
            Notice.address == taken.address,
            Notice.id != taken.id,
            sa.or_(Notice.with_id == taken.id, sa.and_(waiting, Notice.due_at <= clock.now())),
        )
        .values(with_id=taken.id, state="sending")
        .returning(Notice.id, Notice.subject)
    ).all()
    return [subject for _id, subject in sorted(rows)]


def _together(taken: Notice, others: list[str]) -> Text:
    """One letter instead of many; the row keeps its own subject."""
    subjects = [taken.subject, *others]
    with i18n.read_as(taken.locale):
        head = _n("%(num)s piece of news", "%(num)s pieces of news", len(subjects))
        more = len(subjects) - SUBJECTS
        words = [*subjects[-SUBJECTS:], *([f"+ {more}"] if more > 0 else [])]
        address = f"{_settings().address}{NEWS}"
        letter = Letter(head, tuple(words), (_("See all"), address))
        text = _put_into_words(letter) if taken.channel == Channel.MAIL else _in_short(letter)
    db.session.expunge(taken)  # what is sent differs from what is kept
    taken.subject, taken.path = str(head), NEWS
    return text


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
    """Only what is in hand, with what goes out with it: a late answer changes no letter that is
    finished.
    """
    db.session.execute(
        sa.update(Notice)
        .where(
            sa.or_(Notice.id == notice_id, Notice.with_id == notice_id),
            Notice.state == "sending",
        )
        .values(**values)
    )


def choose(user: User, choices: Mapping[Kind, Collection[Channel]]) -> None:
    for kind, channels in choices.items():
        row = db.session.get(Choice, (user.id, kind)) or Choice(user_id=user.id, kind=kind)
        row.channels = sorted(set(channels) & set(CHOOSABLE))
        db.session.add(row)
    db.session.flush()


def subscribe(session: UserSession, endpoint: str, p256dh: bytes, auth: bytes) -> None:
    """From now on this browser takes messages for this person and nobody who was here before."""
    known = db.session.scalar(sa.select(Subscription).filter_by(endpoint=endpoint))
    row = known or Subscription(endpoint=endpoint)
    row.user_id, row.session_id, row.user_agent = session.user_id, session.id, session.user_agent
    row.p256dh, row.auth = p256dh, auth
    db.session.add(row)
    db.session.flush()
    for old in queries.subscriptions_of(session.user_id)[:-BROWSERS]:
        db.session.delete(old)


def unsubscribe(endpoint: str, user_id: int | None = None) -> None:
    """Safe to repeat. By the person, or because the browser is gone."""
    whose = sa.true() if user_id is None else Subscription.user_id == user_id
    db.session.execute(sa.delete(Subscription).where(Subscription.endpoint == endpoint, whose))


def follow(user_id: int, openid: str) -> None:
    row = db.session.get(Follower, user_id) or Follower(user_id=user_id)
    row.openid = openid
    db.session.add(row)
    db.session.flush()


def unfollow(user_id: int) -> None:
    db.session.execute(sa.delete(Follower).where(Follower.user_id == user_id))


def seen(user_id: int) -> None:
    db.session.execute(
        sa.update(Notice)
        .where(
            Notice.user_id == user_id,
            Notice.channel == Channel.IN_APP,
            Notice.seen_at.is_(None),
        )
        .values(seen_at=clock.now())
    )


def forget_letters() -> None:
    """What was said is forgotten after a month; that it was said stays."""
    db.session.execute(
        sa.update(Notice)
        .where(Notice.letter.is_not(None), Notice.created_at < clock.now() - KEPT_FOR)
        .values(letter=None)
    )


def forget_orders() -> None:
    """News of new orders go after a month, with what they were made of: the orders stay, and there
    are as many of them.
    """
    before = clock.now() - KEPT_FOR
    is_over = sa.and_(Notice.created_at < before, Notice.state.not_in(("waiting", "sending")))
    parts = sa.update(Notice).where(is_over, Notice.with_id.is_not(None))
    db.session.execute(parts.values(with_id=None))
    db.session.execute(sa.delete(Notice).where(is_over, Notice.kind == Kind.ORDERS))
    db.session.execute(
        sa.delete(Event).where(
            Event.name == ORDERS,
            Event.told_at < before,
            ~sa.exists().where(Notice.event_id == Event.id),
        )
    )


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def forget_person(user_id: int) -> None:
    """Of somebody who left: that they were told stays, what and where does not."""
    for table in (Choice, Subscription, Follower):
        db.session.execute(sa.delete(table).where(table.user_id == user_id))
    db.session.execute(
        sa.update(Notice)
        .where(Notice.user_id == user_id)
        .values(
            address=sa.func.concat("gone:", Notice.id),
            subject="",
            letter=None,
            state=sa.case((Notice.state.in_(("waiting", "sending")), "failed"), else_=Notice.state),
        )
    )
