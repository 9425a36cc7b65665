"""Choosing whom an order is credited to, and remembering why."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from affiliate import ids
from affiliate.attribution import rules
from affiliate.attribution.models import Attribution, Claim, ClaimState, Coupon, Sharer
from affiliate.attribution.rules import Choice, Offer, Span, Touch, When, Won
from affiliate.attribution.service.binding import Bindings, Bond
from affiliate.attribution.service.joining import OPENS, OWN, Groups, Opener
from affiliate.catalog import queries as catalog
from affiliate.db import among, db, inserting
from affiliate.links import queries as links
from affiliate.links import token
from affiliate.links.models import Link
from affiliate.links.token import Token
from affiliate.orders.facts import Note
from affiliate.orders.models import Status
from affiliate.orders.queries import Stored
from affiliate.people import queries as people
from affiliate.people.models import Promoter, Suspension
from affiliate.programs import queries as programs
from affiliate.programs.book import normal_code
from affiliate.programs.models import (
    GroupMember,
    Invitee,
    Membership,
    PlanType,
    Program,
    Terms,
)

MOST_TOKENS = 20  # of one order, all carriers together
MOST_CODES = 20  # coupons, and sharers
NOBODY_PAID = frozenset({"self_purchase", "test_order", "risk_confirmed"})


@dataclass(slots=True)
class Credit:
    """An order's attribution as it now stands. `refusal` says why a winner is not paid."""

    order_id: int
    candidates: str  # what the choice was made from
    program_id: int | None = None
    promoter_id: int | None = None
    link_id: int | None = None
    source: str | None = None
    touched_at: datetime | None = None
    credited: list[dict[str, Any]] = field(default_factory=list)  # as in models.Attribution
    claim_id: int | None = None
    refusal: str | None = None
    barred: bool = False
    opens: bool = False  # others of its group may follow it, or did
    choice: list[Any] = field(default_factory=list)
    frozen: Any = None

    @property
    def is_paid(self) -> bool:
        """Whether anybody earns of it, once it is paid for."""
        return self.program_id is not None and self.refusal not in NOBODY_PAID

    @property
    def promoter_ids(self) -> list[int]:
        """Everybody credited, in the order of their touches."""
        return list(
            dict.fromkeys(part["promoter"] for each in self.credited for part in each["by"])
        )


def choose(
    merchant_id: int, orders: Sequence[Stored], *, settled: Collection[int]
) -> dict[int, Credit]:
    """The credit of each order: chosen anew when its candidates changed, else as it was.

    So what a merchant changes in a program today does not move the credit of yesterday's orders.
    An order in `settled` (an entry of it was released) keeps the choice it has, unless a claim was
    accepted since. What paid orders bind is written along.
    """
    order_ids = [order.id for order in orders]
    groups = Groups.of(merchant_id, orders)
    known, claims = _known(merchant_id, order_ids), _accepted(merchant_id, order_ids)

    def is_fresh(order: Stored, opener: Opener | None = None) -> bool:
        row, claim = known.get(order.id), claims.get(order.id)
        if row is None or (claim and claim.id) != row.claim_id:
            return True
        return order.id not in settled and not _is_of(row.trace["of"], order, opener)

    # Whether an order of a group is, its opener may decide, which may be in this batch.
    asked = [order for order in orders if order.facts.group_id or is_fresh(order)]
    bindings = Bindings.of(merchant_id, orders)
    facts = _Facts.of(merchant_id, asked, claims, bindings, known, groups)
    credits_: dict[int, Credit] = {}
    for order in sorted(orders, key=_placed):
        row = known.get(order.id)
        opener = groups.opener_of(order)
        if is_fresh(order, opener):
            credit = _credit(order, facts, claims.get(order.id), opener)
            _keep_what_a_person_decided(credit, row)
        else:
            assert row is not None, "what is not fresh is known"
            credit = _as_credit(row)
        credits_[order.id] = credit
        groups.note(order, credit.source, credit.program_id, credit.credited)
        credit.opens = credit.source in OPENS or (row is not None and row.source in OPENS)
        _bind(order, credit, facts)
    bindings.write()
    return credits_


def bar(merchant_id: int, order_id: int) -> None:
    """Nobody is paid for this order any more: a person confirmed a risk. Book it afterwards."""
    db.session.execute(
        sa.update(Attribution)
        .where(Attribution.merchant_id == merchant_id, Attribution.order_id == order_id)
        .values(barred=True, refusal="risk_confirmed")
    )


def write(merchant_id: int, credited: Sequence[Credit], traces: dict[int, Any]) -> None:
    """Store credits with the trace of their lines (by order id)."""
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
            "credited": credit.credited,
            "claim_id": credit.claim_id,
            "refusal": credit.refusal,
            "barred": credit.barred,
            "frozen": credit.frozen,
            "trace": {
                "of": credit.candidates,
                "choice": credit.choice,
                "lines": traces.get(credit.order_id, []),
            },
        }
        for credit in credited
    ]
    statement = inserting(Attribution, rows)
    changed = {
        name: statement.excluded[name]
        for name in rows[0]
        if name not in ("merchant_id", "order_id")
    }
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["merchant_id", "order_id"], set_=changed)
    )


def known(merchant_id: int, order_ids: Collection[int]) -> dict[int, Credit]:
    """Whom these orders are credited to, as it was stored last."""
    return {key: _as_credit(row) for key, row in _known(merchant_id, order_ids).items()}


def _known(merchant_id: int, order_ids: Collection[int]) -> dict[int, Attribution]:
    rows = db.session.scalars(
        sa.select(Attribution)
        .where(Attribution.merchant_id == merchant_id, among(Attribution.order_id, order_ids))
        .execution_options(populate_existing=True)
    )
    return {row.order_id: row for row in rows}


def _accepted(merchant_id: int, order_ids: Collection[int]) -> dict[int, Claim]:
    rows = db.session.scalars(
        sa.select(Claim).where(
            Claim.merchant_id == merchant_id,
            among(Claim.order_id, order_ids),
            Claim.state == ClaimState.ACCEPTED,
        )
    )
    return {row.order_id or 0: row for row in rows}


def _as_credit(row: Attribution) -> Credit:
    return Credit(
        order_id=row.order_id,
        candidates=row.trace["of"],
        program_id=row.program_id,
        promoter_id=row.promoter_id,
        link_id=row.link_id,
        source=row.source,
        touched_at=row.touched_at,
        credited=row.credited,
        claim_id=row.claim_id,
        refusal=row.refusal,
        barred=row.barred,
        choice=row.trace["choice"],
        frozen=row.frozen,
    )


def _keep_what_a_person_decided(credit: Credit, row: Attribution | None) -> None:
    """And the terms of the first accrual, as long as the same people are credited."""
    if row is None:
        return
    credit.barred = row.barred
    if row.barred and credit.program_id is not None:
        credit.refusal = "risk_confirmed"
    if (row.program_id, _who(row.credited)) == (credit.program_id, _who(credit.credited)):
        credit.frozen = row.frozen


def _who(credited: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Who is credited with what; by which touch does not concern the terms."""
    return [
        (
            each["products"],
            [(part["promoter"], part["self"], part["content"]) for part in each["by"]],
        )
        for each in credited
    ]


def _placed(order: Stored) -> tuple[float, int]:
    return (order.facts.placed_at.timestamp() if order.facts.placed_at else 0.0, order.id)


def _bind(order: Stored, credit: Credit, facts: "_Facts") -> None:
    if order.facts.paid_at is None or not credit.is_paid or credit.promoter_id is None:
        facts.bindings.release(order)
        return
    key = (facts.merchant_id, credit.program_id or 0)
    terms = programs.as_of(facts.terms[key], rules.moment(order.facts.paid_at, None))
    facts.bindings.bind(order, key[1], credit.promoter_id, terms)


Key = tuple[int, int]  # merchant, program


@dataclass(slots=True)
class _Facts:
    """What a batch of orders needs to know, in one statement per kind of row."""

    merchant_id: int
    bindings: Bindings
    tokens: dict[int, list[tuple[str, Token | None]]]  # by order
    links: dict[int, Link]
    products: dict[int, tuple[int, str]]  # shop and external id
    coupons: dict[str, list[Coupon]]
    sharers: dict[tuple[int, str], list[Sharer]]
    programs: dict[Key, Program]
    terms: dict[Key, list[Terms]]
    members: dict[tuple[int, int, int], Membership]
    invitees: dict[Key, list[Invitee]]
    groups: dict[int, list[GroupMember]]
    promoters: dict[int, Promoter]
    suspensions: Mapping[int, list[Suspension]]
    _offers: dict[int, Offer] = field(default_factory=dict)  # by terms

    def offer(self, program: Program, terms: Terms) -> Offer:
        if terms.id not in self._offers:
            self._offers[terms.id] = _offer(program, terms)
        return self._offers[terms.id]

    @classmethod
    def of(
        cls,
        merchant_id: int,
        orders: Sequence[Stored],
        claims: Mapping[int, Claim],
        bindings: Bindings,
        known: Mapping[int, Attribution],
        groups: Groups,
    ) -> "_Facts":
        tokens = {order.id: _tokens(order) for order in orders}
        read = (each for told in tokens.values() for _, each in told)
        found = links.by_ids({each.link_id for each in read if each})
        coupons = _coupons(merchant_id, {code for order in orders for code in _codes(order)})
        sharers = _sharers(merchant_id, {key for order in orders for key in _sharing(order)})
        about: list[Link | Coupon | Sharer | Bond | Claim] = [
            *(link for link in found.values() if link.merchant_id == merchant_id),
            *(row for rows in coupons.values() for row in rows),
            *(row for rows in sharers.values() for row in rows),
            *(bond for bonds in bindings.bonds.values() for bond in bonds),
            *(claims[order.id] for order in orders if order.id in claims),
        ]
        pairs = {(each.program_id, each.promoter_id) for each in about}
        # Orders that are not chosen anew may be paid only now, and bind.
        pairs |= {
            (row.program_id, part["promoter"])
            for row in known.values()
            if row.program_id is not None
            for each in row.credited
            for part in each["by"]
        }
        pairs |= {pair for opener in groups.openers.values() for pair in opener.pairs}
        keys = {(merchant_id, program_id) for program_id, _ in pairs}
        people_ids = {promoter_id for _, promoter_id in pairs}
        of_keys = programs.by_keys(keys) if keys else {}
        named = [key for key, row in of_keys.items() if row.plan_type != PlanType.PUBLIC]
        invitees = programs.invitees(named) if named else {}
        return cls(
            merchant_id=merchant_id,
            bindings=bindings,
            tokens=tokens,
            links=found,
            products=_products(merchant_id, found.values()),
            coupons=coupons,
            sharers=sharers,
            programs=of_keys,
            terms=programs.terms_of(keys) if keys else {},
            members=programs.memberships({(merchant_id, *pair) for pair in pairs}) if pairs else {},
            invitees=invitees,
            groups=programs.group_members(merchant_id, people_ids) if invitees else {},
            promoters=people.promoters(people_ids) if people_ids else {},
            suspensions=people.suspensions(people_ids) if people_ids else {},
        )


def _offer(program: Program, terms: Terms) -> Offer:
    return Offer(
        program_id=program.id,
        priority=program.priority,
        exclusive=program.plan_type == PlanType.EXCLUSIVE,
        window=timedelta(days=terms.window_days),
        sources=tuple(terms.sources),
        model=terms.model,
        credit=terms.credit,
        shop_ids=tuple(program.shop_ids),
        running=Span(None, program.ended_at),
    )


def _coupons(merchant_id: int, codes: Collection[str]) -> dict[str, list[Coupon]]:
    found: dict[str, list[Coupon]] = {}
    if codes:
        rows = db.session.scalars(
            sa.select(Coupon).where(
                Coupon.merchant_id == merchant_id, Coupon.normal_code.in_(codes)
            )
        )
        for row in rows:
            found.setdefault(row.normal_code, []).append(row)
    return found


def _sharers(
    merchant_id: int, keys: Collection[tuple[int, str]]
) -> dict[tuple[int, str], list[Sharer]]:
    found: dict[tuple[int, str], list[Sharer]] = {}
    if keys:
        wanted = sa.tuple_(Sharer.shop_id, Sharer.external_id)
        rows = db.session.scalars(
            sa.select(Sharer).where(Sharer.merchant_id == merchant_id, wanted.in_(list(keys)))
        )
        for row in rows:
            found.setdefault((row.shop_id, row.external_id), []).append(row)
    return found


def _products(merchant_id: int, found: Iterable[Link]) -> dict[int, tuple[int, str]]:
    wanted = {link.product_id for link in found if link.product_id is not None}
    return catalog.external_ids(merchant_id, wanted) if wanted else {}


def _tokens(order: Stored) -> list[tuple[str, Token | None]]:
    """Every token that came with the order, each once; a field may carry several with dots."""
    texts = dict.fromkeys(text for told in order.facts.tokens for text in told.split("."))
    read = [(text, token.read(text)) for text in texts]
    # What can be read comes first: junk must not push it out.
    return sorted(read, key=lambda each: each[1] is None)[:MOST_TOKENS]


def _codes(order: Stored) -> list[str]:
    codes = [normal_code(code) for code in order.facts.coupons]
    return [code for code in dict.fromkeys(codes) if code][:MOST_CODES]


def _sharing(order: Stored) -> list[tuple[int, str]]:
    return [(order.shop_id, each) for each in order.facts.sharers[:MOST_CODES]]


def _credit(
    order: Stored, facts: _Facts, claim: Claim | None, opener: Opener | None = None
) -> Credit:
    credit = Credit(order.id, _of(order, opener), claim_id=claim.id if claim else None)
    if order.facts.status == Status.STUB or order.facts.placed_at is None:
        credit.choice = [("order_unknown", {})]
        return credit
    ignored: list[Note] = []
    choice = rules.choose(
        _touches(order, order.facts.placed_at, facts, claim, ignored),
        placed_at=order.facts.placed_at,
        shop_id=order.shop_id,
        renewal=order.facts.renewal,
    )
    if choice.first is not None:
        credit.candidates = _of(order, None, own=True)
    elif opener is not None:
        opened = _opened(order.facts.placed_at, facts, opener)
        choice = rules.join(
            choice,
            opened,
            placed_at=order.facts.placed_at,
            shop_id=order.shop_id,
            renewal=order.facts.renewal,
        )
        ignored += _joined(choice, opener)
    credit.choice = [*ignored, *choice.trace]
    first = choice.first
    if first is None:
        return credit
    credit.program_id = first.offer.program_id
    credit.promoter_id, credit.link_id = first.promoter_id, first.link_id
    credit.source, credit.touched_at = first.source, first.at
    credit.credited = _credited(order, choice, facts)
    credit.refusal = _refusal(order, credit, first, facts)
    if credit.refusal:
        about = {} if credit.refusal == "test_order" else {"promoter": first.promoter_id}
        credit.choice.append((credit.refusal, about))
    return credit


def candidates_of(order: Stored) -> str:
    """A short text that changes when something changes that the choice is made from."""
    told, buyer = order.facts, order.facts.customer
    basis = (
        sorted(told.tokens),
        sorted(told.coupons),
        sorted(told.sharers),
        told.placed_at and told.placed_at.timestamp(),
        (told.test, told.renewal, told.status is Status.STUB),
        (buyer.external_id, buyer.email_hash, buyer.phone_hash),
    )
    return hashlib.sha256(repr(basis).encode()).hexdigest()[:16]


def _of(order: Stored, opener: Opener | None, *, own: bool = False) -> str:
    """The candidates, and for an order of a group what was seen of that."""
    if order.facts.group_id is None:
        return candidates_of(order)
    seen = OWN if own else opener.mark if opener else ""
    return f"{candidates_of(order)}:{seen}"


def _is_of(known: str, order: Stored, opener: Opener | None) -> bool:
    return known in (_of(order, opener), _of(order, None, own=True))


def _credited(order: Stored, choice: Choice, facts: _Facts) -> list[dict[str, Any]]:
    return [
        {
            "products": sorted(won.products) if won.products is not None else None,
            "by": [
                {
                    "promoter": touch.promoter_id,
                    "link": touch.link_id,
                    "source": touch.source,
                    "at": touch.at.isoformat(),
                    "content": touch.content,
                    "self": _is_buyer(order, facts.promoters[touch.promoter_id]),
                }
                for touch in won.touches
            ],
        }
        for won in choice.won
    ]


def _refusal(order: Stored, credit: Credit, first: Touch, facts: _Facts) -> str | None:
    """Why nobody is paid although there is a winner."""
    if order.facts.test:
        return "test_order"
    if not any(part["self"] for each in credit.credited for part in each["by"]):
        return None
    versions = facts.terms[facts.merchant_id, first.offer.program_id]
    at = rules.moment(order.facts.placed_at or first.at, first.at)
    return "self_purchase" if programs.as_of(versions, at).self_purchase == "none" else "rebate"


def _is_buyer(order: Stored, promoter: Promoter) -> bool:
    """Missing data is unknown, not self."""
    buyer = order.facts.customer
    same_mail = promoter.email_hash is not None and promoter.email_hash == buyer.email_hash
    same_phone = promoter.phone_hash is not None and promoter.phone_hash == buyer.phone_hash
    return same_mail or same_phone


# --- what may earn it ----------------------------------------------------------------------------


def _touches(
    order: Stored, placed_at: datetime, facts: _Facts, claim: Claim | None, ignored: list[Note]
) -> list[Touch]:
    """Everything that may earn the order; what is no touch at all goes to `ignored`."""
    touches = _from_tokens(order, placed_at, facts, ignored)
    for code in _codes(order):
        touches += _from_owned(
            facts.coupons.get(code, []), "coupon", f"coupon:{code}", placed_at, facts, ignored
        )
    for key in _sharing(order):
        touches += _from_owned(
            facts.sharers.get(key, []), "sharer", f"sharer:{key[1]}", placed_at, facts, ignored
        )
    touches += [
        _from_bond(bond, placed_at, facts) for bond in facts.bindings.of_customers(order, placed_at)
    ]
    if claim is not None:
        ref = f"claim:{ids.encode('clm', claim.merchant_id, claim.id)}"
        touches.append(
            _touch(facts, claim.program_id, claim.promoter_id, "claim", placed_at, placed_at, ref)
        )
    return touches


def _from_tokens(
    order: Stored, placed_at: datetime, facts: _Facts, ignored: list[Note]
) -> list[Touch]:
    """A link counts once, at its latest token. Bad tokens are ignored and told."""
    latest: dict[int, Touch] = {}
    for text, read in facts.tokens[order.id]:
        link = facts.links.get(read.link_id) if read else None
        if read is None:
            ignored.append(("token_forged", {"token": text[:8]}))
        elif link is None or link.merchant_id != facts.merchant_id:
            ignored.append(("token_foreign", {"token": text[:8]}))
        elif link.id not in latest or latest[link.id].at < read.issued_at:
            latest[link.id] = _from_link(order, link, read.issued_at, placed_at, facts)
    return list(latest.values())


def _from_link(
    order: Stored, link: Link, at: datetime, placed_at: datetime, facts: _Facts
) -> Touch:
    ref = f"link:{link.code}"
    product = facts.products.get(link.product_id or 0)
    is_here = product is not None and product[0] == order.shop_id
    return _touch(
        facts,
        link.program_id,
        link.promoter_id,
        "click",
        at,
        placed_at,
        ref,
        link_id=link.id,
        usable=link.was_open,
        product=product[1] if product and is_here else None,
        elsewhere=product is not None and not is_here,
        content=link.content,
    )


def _from_owned(
    rows: Sequence[Coupon | Sharer],
    source: str,
    ref: str,
    placed_at: datetime,
    facts: _Facts,
    ignored: list[Note],
) -> list[Touch]:
    """Whose the code was when the order was placed; most codes are no promoter's."""
    at = rules.moment(placed_at, None)
    owners = [row for row in rows if Span(row.since, row.until).covers(at)]
    if not owners:
        ignored.append((f"{source}_of_nobody", {"touch": ref}))
    return [
        _touch(facts, row.program_id, row.promoter_id, source, placed_at, placed_at, ref)
        for row in owners
    ]


def _from_bond(bond: Bond, placed_at: datetime, facts: _Facts) -> Touch:
    return _touch(
        facts,
        bond.program_id,
        bond.promoter_id,
        "binding",
        bond.since,
        placed_at,
        "binding",
        protected=placed_at < bond.protected_until,
    )


def _opened(placed_at: datetime, facts: _Facts, opener: Opener) -> list[Won]:
    """Those credited with the opener, as touches of the instant when it was placed."""
    return [
        Won(
            None if each["products"] is None else frozenset(each["products"]),
            tuple(
                _touch(
                    facts,
                    opener.program_id,
                    part["promoter"],
                    "group",
                    opener.placed_at,
                    placed_at,
                    f"order:{opener.number}",
                    link_id=part["link"],
                    content=part["content"],
                )
                for part in each["by"]
            ),
        )
        for each in opener.credited
    ]


def _joined(choice: Choice, opener: Opener) -> list[Note]:
    """In words, to each who is credited."""
    came_by = {part["promoter"]: part["source"] for each in opener.credited for part in each["by"]}
    winners = dict.fromkeys(touch.promoter_id for won in choice.won for touch in won.touches)
    return [
        ("joined_group", {"order": opener.number, "by": came_by[who], "promoter": who})
        for who in winners
    ]


def _touch(
    facts: _Facts,
    program_id: int,
    promoter_id: int,
    source: str,
    at: datetime,
    placed_at: datetime,
    ref: str,
    *,
    link_id: int | None = None,
    usable: When | None = None,
    **more: Any,
) -> Touch:
    key = (facts.merchant_id, program_id)
    program = facts.programs[key]
    terms = programs.as_of(facts.terms[key], rules.moment(placed_at, at))
    member = facts.members.get((*key, promoter_id))
    stops = [Span(each.since, each.until) for each in facts.suspensions.get(promoter_id, ())]
    return Touch(
        ref=ref,
        source=source,
        at=at,
        promoter_id=promoter_id,
        link_id=link_id,
        offer=facts.offer(program, terms),
        usable=usable or _always,
        member=member.was_active if member else _never,
        invited=_invited(program, promoter_id, facts),
        suspended=lambda at: any(stop.covers(at) for stop in stops),
        **more,
    )


def _invited(program: Program, promoter_id: int, facts: _Facts) -> When:
    if program.plan_type == PlanType.PUBLIC:
        return _always
    named = facts.invitees.get((program.merchant_id, program.id), [])
    members = facts.groups.get(promoter_id, [])

    def invited(at: datetime) -> bool:
        groups = programs.groups_as_of(members, at)
        return any(
            (each.promoter_id == promoter_id or each.group_id in groups)
            and Span(each.since, each.until).covers(at)
            for each in named
        )

    return invited


def _always(_: datetime) -> bool:
    return True


def _never(_: datetime) -> bool:
    return False
