"""Plain facts of an order, as every platform's parser gives them and every rule reads them.

Amounts are minor units of the shop's currency. Nothing here knows a database.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from affiliate.orders.models import Status

Note = tuple[str, dict[str, Any]]  # a code and its arguments


@dataclass(frozen=True, slots=True)
class Line:
    external_id: str
    title: str
    quantity: int
    amount: int  # before discount
    discount: int = 0  # the line's own
    order_discount: int | None = None  # the shop's allocation of the order's discount to this line
    tax: int | None = None  # None: not reported
    kind: str = "product"  # product, gift_card, tip, fee
    product_external_id: str | None = None
    variant_external_id: str | None = None
    sku: str | None = None
    category: str | None = None
    removed: bool = False  # edited away: nothing of it is left


@dataclass(frozen=True, slots=True)
class RefundLine:
    line: str
    quantity: int | None = None
    amount: int | None = None  # in the unit price's basis
    tax: int | None = None  # on top of the amount, where tax is on top


@dataclass(frozen=True, slots=True)
class Refund:
    external_id: str
    status: str = "succeeded"  # pending, succeeded, failed
    amount: int | None = None  # the cash, shipping included; None: not told
    shipping: int = 0
    lines: tuple[RefundLine, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payment that the buyer's bank asks back. Open it holds the money; lost it is a refund."""

    external_id: str
    status: str  # open, won, lost
    amount: int | None = None  # None: all that is left
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who bought. The parser knows e-mail and phone; only their keyed hashes are ever stored."""

    external_id: str | None = None
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    new: bool | None = None
    email_hash: bytes | None = None
    phone_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Order:
    external_id: str
    version: int  # monotone within the order
    status: Status
    currency: str
    placed_at: datetime | None
    paid_at: datetime | None = None
    fulfilled_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    refunded_fully: bool = False
    number: str | None = None
    test: bool = False
    renewal: bool = False
    tax_included: bool = False
    order_tax: int | None = None  # tax known only for the whole order
    discount: int = 0  # of the order, on top of the lines' own
    shipping: int = 0
    total: int | None = None
    customer: Customer = field(default_factory=Customer)
    tokens: tuple[str, ...] = ()
    coupons: tuple[str, ...] = ()
    sharers: tuple[str, ...] = ()  # the platform's own ids of who shared
    group_id: str | None = None  # the shop's id of the group buy that it belongs to
    lines: tuple[Line, ...] = ()
    refunds: tuple[Refund, ...] = ()
    refunds_complete: bool = False  # the list replaces what we had; otherwise it is merged in
    disputes: tuple[Dispute, ...] = ()
    notes: tuple[Note, ...] = ()
    # The shop's secret name of the buyer's checkout, by which a browser's word is joined. Not kept.
    checkout: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TokenNotice:
    """Tokens that the buyer's browser handed over after their order had come."""

    order_external_id: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefundNotice:
    """A refund told on its own; its order may not have reached us yet."""

    order_external_id: str
    currency: str
    refund: Refund


RANK = {status: rank for rank, status in enumerate(Status)}
# Where lists are merged a try that failed may be followed by one that succeeds, never the reverse;
# platforms that take a success back tell the whole list.
_REFUND_RANK = {"pending": 0, "failed": 1, "succeeded": 2}
_DISPUTE_RANK = {"open": 0, "won": 1, "lost": 2}


def refunded_cash(refunds: tuple[Refund, ...]) -> int:
    """What the shop says was given back, as far as it says so."""
    return sum(each.amount or 0 for each in refunds if each.status == "succeeded")


def later_refund(left: Refund, right: Refund) -> Refund:
    """Of two reports of one refund the one to believe. Which came first does not matter."""
    return max(left, right, key=_belief)


def _belief(refund: Refund) -> tuple[int, int, int, str]:
    told = refund.amount is not None
    content = repr((refund.shipping, refund.lines, refund.at and refund.at.timestamp()))
    return (_REFUND_RANK[refund.status], told, refund.amount or 0, content)


def joined_refunds(*reports: tuple[Refund, ...]) -> tuple[Refund, ...]:
    """Union by external id: commutative and idempotent, so webhooks may come in any order."""
    known: dict[str, Refund] = {}
    for refund in (refund for report in reports for refund in report):
        before = known.get(refund.external_id)
        known[refund.external_id] = later_refund(before, refund) if before else refund
    return tuple(known[key] for key in sorted(known))


def joined_disputes(*reports: tuple[Dispute, ...]) -> tuple[Dispute, ...]:
    """Union by external id; of two reports of one the further one."""
    known: dict[str, Dispute] = {}
    for dispute in (dispute for report in reports for dispute in report):
        before = known.get(dispute.external_id)
        known[dispute.external_id] = max(before, dispute, key=_ended) if before else dispute
    return tuple(known[key] for key in sorted(known))


def _ended(dispute: Dispute) -> tuple[int, int, str]:
    at = repr(dispute.at and dispute.at.timestamp())
    return (_DISPUTE_RANK[dispute.status], dispute.amount or 0, at)


def merged(known: Order | None, told: Order) -> Order:
    """The order after a report, whatever the sequence of reports (DOMAIN 5).

    A higher version wins; of equal versions the one with the larger refunded sum, then the later
    status, then a fixed order of the content. Lines that the winner no longer has stay, removed.
    """
    if known is None:
        if not told.refunds and not told.disputes:
            return told
        return replace(
            told,
            refunds=joined_refunds(told.refunds),
            disputes=joined_disputes(told.disputes),
        )
    refunds = joined_refunds(known.refunds, told.refunds)
    later, before = _precedence(told), _precedence(known)
    newer, older = (told, known) if later >= before else (known, told)
    # Of two lists of one version neither is the newer: one may name the lines, the other only sums.
    if newer.refunds_complete and later != before:
        refunds = joined_refunds(newer.refunds)
    have = {line.external_id for line in newer.lines}
    gone = tuple(
        replace(line, removed=True) for line in older.lines if line.external_id not in have
    )
    return replace(
        newer,
        refunds=refunds,
        disputes=joined_disputes(known.disputes, told.disputes),
        lines=newer.lines + gone,
        # What carried credit once goes on doing so, also where a later report leaves it out.
        tokens=_together(known.tokens, told.tokens),
        coupons=_together(known.coupons, told.coupons),
        sharers=_together(known.sharers, told.sharers),
        # Shops move no order to another group; should one, any sequence must leave the same.
        group_id=min(filter(None, (known.group_id, told.group_id)), default=None),
    )


def with_tokens(known: Order, tokens: tuple[str, ...]) -> Order:
    return replace(known, tokens=_together(known.tokens, tokens))


def _together(known: tuple[str, ...], told: tuple[str, ...]) -> tuple[str, ...]:
    return known if set(told) <= set(known) else tuple(sorted({*known, *told}))


def _precedence(order: Order) -> tuple[Any, ...]:
    """Which of two reports is the later one, by nothing but their content."""
    is_known = order.status != Status.STUB
    return (
        order.version if is_known else -1,
        refunded_cash(order.refunds) if order.refunds_complete else 0,
        RANK[order.status],
        order.cancelled_at is not None,
        order.refunded_fully,
        order.paid_at is not None,
        order.delivered_at is not None,
        repr([_plain(getattr(order, name)) for name in _COMPARED]),
    )


_COMPARED = (
    "paid_at delivered_at cancelled_at fulfilled_at placed_at lines discount shipping total"
    " order_tax tax_included test renewal number notes customer"
).split()


def _plain(value: Any) -> Any:
    """The same text for the same fact, whatever zone an instant is written in."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, tuple):
        return [each for each in value if not getattr(each, "removed", False)]
    return value
