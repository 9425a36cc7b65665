"""Choosing whom an order is credited to, and remembering why."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate.attribution import rules
from affiliate.attribution.models import Attribution
from affiliate.attribution.rules import Offer, Span, Touch
from affiliate.db import db, table
from affiliate.links import queries as links
from affiliate.links import token
from affiliate.links.models import Link
from affiliate.orders.facts import Note
from affiliate.orders.models import Status
from affiliate.orders.queries import Stored
from affiliate.people import queries as people
from affiliate.people.models import Promoter, Suspension
from affiliate.programs import queries as programs
from affiliate.programs.models import Membership, Program, Terms

MOST_TOKENS = 20  # of one order, all carriers together


@dataclass(slots=True)
class Credit:
    """An order's attribution as it now stands. `refusal` says why a winner is not paid."""

    order_id: int
    program_id: int | None
    promoter_id: int | None
    link_id: int | None
    source: str | None
    touched_at: datetime | None
    refusal: str | None
    choice: list[Any]
    frozen: Any
    candidates: str  # what the choice was made from


def choose(
    merchant_id: int, orders: Sequence[Stored], *, settled: Collection[int]
) -> dict[int, Credit]:
    """The credit of each order: chosen anew when its candidates changed, else as it was.

    So what a merchant changes in a program today does not move the credit of yesterday's orders.
    An order in `settled` (an entry of it was released) keeps the choice it has in any case.
    """
    known = _known(merchant_id, [order.id for order in orders])
    fresh = [
        order
        for order in orders
        if order.id not in known
        or not (order.id in settled or known[order.id].trace["of"] == _candidates(order))
    ]
    facts = _Facts.of(merchant_id, fresh)
    credited = {order.id: _credit(order, facts) for order in fresh}
    for order_id, row in known.items():
        if order_id not in credited:
            credited[order_id] = _as_credit(row)
        elif (row.program_id, row.promoter_id) == (
            credited[order_id].program_id,
            credited[order_id].promoter_id,
        ):
            credited[order_id].frozen = row.frozen
    return credited


def write(merchant_id: int, credited: Sequence[Credit], traces: dict[int, Any]) -> None:
    """Store credited with the trace of their lines (by order id)."""
    if not credited:
        return
    rows = [
        {
            "merchant_id": merchant_id,
            "order_id": credit.order_id,
            "program_id": credit.program_id,
            "promoter_id": credit.promoter_id,
            "link_id": credit.link_id,
            "source": credit.source,
            "touched_at": credit.touched_at,
            "refusal": credit.refusal,
            "frozen": credit.frozen,
            "trace": {
                "of": credit.candidates,
                "choice": credit.choice,
                "lines": traces.get(credit.order_id, []),
            },
        }
        for credit in credited
    ]
    statement = insert(table(Attribution))
    changed = {
        name: statement.excluded[name]
        for name in rows[0]
        if name not in ("merchant_id", "order_id")
    }
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["merchant_id", "order_id"], set_=changed),
        rows,
    )


def _known(merchant_id: int, order_ids: Collection[int]) -> dict[int, Attribution]:
    rows = db.session.scalars(
        sa.select(Attribution)
        .where(Attribution.merchant_id == merchant_id, Attribution.order_id.in_(order_ids))
        .execution_options(populate_existing=True)
    )
    return {row.order_id: row for row in rows}


def _as_credit(row: Attribution) -> Credit:
    return Credit(
        row.order_id,
        row.program_id,
        row.promoter_id,
        row.link_id,
        row.source,
        row.touched_at,
        row.refusal,
        row.trace["choice"],
        row.frozen,
        row.trace["of"],
    )


@dataclass(slots=True)
class _Facts:
    """What a batch of orders needs to know, in one statement per kind of row."""

    merchant_id: int
    links: dict[int, Link]
    programs: dict[tuple[int, int], Program]
    terms: dict[tuple[int, int], list[Terms]]
    members: dict[tuple[int, int, int], Membership]
    promoters: dict[int, Promoter]
    suspensions: Mapping[int, list[Suspension]]

    @classmethod
    def of(cls, merchant_id: int, orders: Sequence[Stored]) -> "_Facts":
        tokens = [token.read(text) for order in orders for text in _texts(order)]
        found = links.by_ids({each.link_id for each in tokens if each})
        mine = [link for link in found.values() if link.merchant_id == merchant_id]
        keys = {(link.merchant_id, link.program_id) for link in mine}
        return cls(
            merchant_id,
            found,
            programs.by_keys(keys) if keys else {},
            programs.terms_of(keys) if keys else {},
            programs.memberships(
                {(link.merchant_id, link.program_id, link.promoter_id) for link in mine}
            )
            if mine
            else {},
            people.promoters({link.promoter_id for link in mine}) if mine else {},
            people.suspensions({link.promoter_id for link in mine}) if mine else {},
        )


def _texts(order: Stored) -> list[str]:
    """Every token that came with the order, each once; a field may carry several with dots."""
    texts = [text for field in order.facts.tokens for text in field.split(".")]
    return list(dict.fromkeys(texts))[:MOST_TOKENS]


def _credit(order: Stored, facts: _Facts) -> Credit:
    candidates = _candidates(order)
    empty = Credit(order.id, None, None, None, None, None, None, [], None, candidates)
    if order.facts.status == Status.STUB or order.facts.placed_at is None:
        empty.choice = [("order_unknown", {})]
        return empty
    touches, ignored = _touches(order, order.facts.placed_at, facts)
    choice = rules.choose(
        touches,
        placed_at=order.facts.placed_at,
        shop_id=order.shop_id,
        renewal=order.facts.renewal,
    )
    trace = [*ignored, *choice.trace]
    if choice.winner is None:
        empty.choice = trace
        return empty
    refusal = _refusal(order, choice.winner, facts)
    if refusal:
        trace.append((refusal, {}))
    return Credit(
        order.id,
        choice.winner.offer.program_id,
        choice.winner.promoter_id,
        choice.winner.link_id,
        choice.winner.source,
        choice.winner.at,
        refusal,
        trace,
        None,
        candidates,
    )


def _candidates(order: Stored) -> str:
    """A short text that changes when something changes that the choice is made from."""
    told, buyer = order.facts, order.facts.customer
    basis = (
        sorted(told.tokens),
        sorted(told.coupons),
        told.placed_at and told.placed_at.timestamp(),
        (told.test, told.renewal, told.status is Status.STUB),
        (buyer.external_id, buyer.email_hash, buyer.phone_hash),
    )
    return hashlib.sha256(repr(basis).encode()).hexdigest()[:16]


def _touches(order: Stored, placed_at: datetime, facts: _Facts) -> tuple[list[Touch], list[Note]]:
    """Touches from tokens: a link counts once, at its latest. Bad tokens are ignored and told."""
    latest: dict[int, Touch] = {}
    ignored: list[Note] = []
    for text in _texts(order):
        read = token.read(text)
        link = facts.links.get(read.link_id) if read else None
        if read is None:
            ignored.append(("token_forged", {"token": text[:8]}))
        elif link is None or link.merchant_id != facts.merchant_id:
            ignored.append(("token_foreign", {"token": text[:8]}))
        elif link.id not in latest or latest[link.id].at < read.issued_at:
            latest[link.id] = _touch(link, read.issued_at, placed_at, facts)
    return list(latest.values()), ignored


def _touch(link: Link, at: datetime, placed_at: datetime, facts: _Facts) -> Touch:
    key = (link.merchant_id, link.program_id)
    program = facts.programs[key]
    terms = programs.as_of(facts.terms[key], rules.moment(placed_at, at))
    member = facts.members.get((*key, link.promoter_id))
    stops = [Span(each.since, each.until) for each in facts.suspensions.get(link.promoter_id, ())]
    return Touch(
        ref=f"link:{link.code}",
        source="click",
        at=at,
        promoter_id=link.promoter_id,
        link_id=link.id,
        offer=Offer(
            program_id=link.program_id,
            priority=program.priority,
            window=timedelta(days=terms.window_days),
            sources=tuple(terms.sources),
            shop_ids=tuple(program.shop_ids),
            running=Span(None, program.ended_at),
        ),
        usable=link.was_open,
        member=member.was_active if member else _never,
        suspended=lambda at: any(stop.covers(at) for stop in stops),
    )


def _never(_: datetime) -> bool:
    return False


def _refusal(order: Stored, winner: Touch, facts: _Facts) -> str | None:
    """Why nobody is paid although there is a winner; missing data is unknown, not self."""
    if order.facts.test:
        return "test_order"
    versions = facts.terms[facts.merchant_id, winner.offer.program_id]
    terms = programs.as_of(versions, rules.moment(order.facts.placed_at or winner.at, winner.at))
    promoter, buyer = facts.promoters[winner.promoter_id], order.facts.customer
    same_mail = promoter.email_hash is not None and promoter.email_hash == buyer.email_hash
    same_phone = promoter.phone_hash is not None and promoter.phone_hash == buyer.phone_hash
    if not (same_mail or same_phone):
        return None
    return "self_purchase" if terms.self_purchase == "none" else "rebate"
