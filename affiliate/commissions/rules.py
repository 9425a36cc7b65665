"""What an order pays, as pure functions over plain facts (DOMAIN 4).

The way of a line: amount → paid (less its discounts) → base (less tax inside) → remaining base
(less refunds) → one amount per payee, rounded down. Refunds are never applied one after the other:
everything is computed anew from all facts, so their order and number cannot matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from affiliate.money import spread
from affiliate.orders.facts import Line, Note, Order, Refund

EARNING_KINDS = {"product"}  # gift cards, tips and fees have base 0


@dataclass(frozen=True, slots=True)
class Worth:
    """What a line is worth: what was paid for it, its base, and what refunds leave of both."""

    line: Line
    paid: int
    base: int
    refunded: int
    pieces: int  # how many have not come back

    @property
    def is_gone(self) -> bool:
        return self.refunded >= self.paid

    @property
    def remaining_base(self) -> int:
        return self.base * (self.paid - self.refunded) // self.paid if self.paid else 0


@dataclass(frozen=True, slots=True)
class Share:
    """A payee's part of every line: role, who, and the rate in ppm of the base."""

    role: str
    payee_kind: str
    payee_id: int
    ppm: int


@dataclass(frozen=True, slots=True)
class Upline:
    promoter_id: int
    active: bool  # not suspended, and an approved member of the program


def worths(order: Order, *, base: str = "net") -> tuple[list[Worth], list[Note]]:
    """The worth of each line of an order, in its lines' sequence, and what was odd."""
    notes: list[Note] = []
    paid = _paid(order)
    bases = _bases(order, paid, base, notes)
    refunded = _refunded(order, paid, notes)
    back = _pieces_back(taken_back(order))
    found = []
    for line, sum_paid, sum_base, gone in zip(order.lines, paid, bases, refunded, strict=True):
        pieces = max(0, line.quantity - back.get(line.external_id, 0))
        found.append(Worth(line, sum_paid, sum_base, gone, pieces))
    return found, notes


def taken_back(order: Order) -> list[Refund]:
    """What went back to the buyer: refunds that succeeded, and disputes that were lost."""
    lost = [
        Refund(f"dispute:{each.external_id}", amount=each.amount)
        for each in order.disputes
        if each.status == "lost" and each.amount is not None
    ]
    return [*(refund for refund in order.refunds if refund.status == "succeeded"), *lost]


def _all_lost(order: Order) -> bool:
    return any(each.status == "lost" and each.amount is None for each in order.disputes)


def _weights(order: Order) -> list[int]:
    return [0 if line.removed else max(0, line.amount - line.discount) for line in order.lines]


def _paid(order: Order) -> list[int]:
    """Amount − line discount − share of the order's discount; never below 0."""
    weights = _weights(order)
    given = [line.order_discount for line in order.lines]
    if all(part is not None for part in given):
        parts = [part or 0 for part in given]
    else:
        parts = spread(max(0, order.discount), weights)
    return [max(0, weight - part) for weight, part in zip(weights, parts, strict=True)]


def _bases(order: Order, paid: list[int], mode: str, notes: list[Note]) -> list[int]:
    taxes = _taxes(order)
    bases = []
    for line, sum_paid, tax in zip(order.lines, paid, taxes, strict=True):
        inside = tax if order.tax_included and mode == "net" else 0
        if inside is None:
            notes.append(("tax_not_reported", {"line": line.external_id}))
        bases.append(max(0, sum_paid - (inside or 0)) if line.kind in EARNING_KINDS else 0)
    return bases


def _taxes(order: Order) -> list[int | None]:
    """Each line's tax. Tax known only for the order is spread like a discount."""
    if order.order_tax is None:
        return [line.tax for line in order.lines]
    return list(spread(max(0, order.order_tax), _weights(order)))


def _refunded(order: Order, paid: list[int], notes: list[Note]) -> list[int]:
    """How much of what was paid for each line is gone."""
    if order.cancelled_at is not None or order.refunded_fully or _all_lost(order):
        return list(paid)
    succeeded = taken_back(order)
    if not succeeded:
        return [0] * len(paid)
    back = _pieces_back(succeeded)
    named = _named(order, paid, succeeded)
    refunded = []
    for line, total, amount in zip(order.lines, paid, named, strict=True):
        if amount > total:
            notes.append(("refund_above_line", {"line": line.external_id, "over": amount - total}))
        whole = 0 < line.quantity <= back.get(line.external_id, 0)
        whole = whole and total - amount <= line.quantity
        refunded.append(total if whole else min(amount, total))
    left = [total - gone for total, gone in zip(paid, refunded, strict=True)]
    rest = _order_level_rest(order, paid, left, succeeded)
    if rest > sum(left):
        notes.append(("refund_above_order", {"over": rest - sum(left)}))
    parts = spread(min(rest, sum(left)), left)
    return [gone + part for gone, part in zip(refunded, parts, strict=True)]


def _named(order: Order, paid: list[int], refunds: Sequence[Refund]) -> list[int]:
    """What refunds name per line, in the unit price's basis, before clamping.

    A quantity without an amount counts paid − paid × remaining quantity // quantity, over all such
    quantities of the line together, so that one by one gives the same as at once.
    """
    place = {line.external_id: index for index, line in enumerate(order.lines)}
    amounts = [0] * len(paid)
    pieces = [0] * len(paid)
    for part in (part for refund in refunds for part in refund.lines):
        index = place.get(part.line)
        if index is None:
            continue
        if part.amount is not None:
            amounts[index] += part.amount
        elif part.quantity:
            pieces[index] += part.quantity
    for index, line in enumerate(order.lines):
        if pieces[index] and line.quantity > 0:
            remaining = max(0, line.quantity - pieces[index])
            amounts[index] += paid[index] - paid[index] * remaining // line.quantity
    return amounts


def _pieces_back(refunds: Sequence[Refund]) -> dict[str, int]:
    """How many pieces of each line came back."""
    back: dict[str, int] = {}
    for part in (part for refund in refunds for part in refund.lines):
        back[part.line] = back.get(part.line, 0) + (part.quantity or 0)
    return back


def _order_level_rest(
    order: Order, paid: list[int], left: list[int], refunds: Sequence[Refund]
) -> int:
    """Cash that went back beyond what refunds name per line, in the basis of `paid`.

    With tax on top the cash has tax in it: its part that is goods is that of what is left. (Of
    the whole order, as DOMAIN 4 has it, a line refund at another tax rate would leave a remainder
    after everything came back.)
    """
    told = [refund for refund in refunds if refund.amount is not None]
    cash = sum((refund.amount or 0) - refund.shipping for refund in told)
    named = _named(order, paid, told)
    taxes = [0 if order.tax_included else tax or 0 for tax in _taxes(order)]
    tax_gone = _refunded_taxes(order, paid, taxes, named, told)
    # Without told cash an unknown line's amount is all we know of that refund.
    known = {line.external_id for line in order.lines}
    unknown = sum(
        part.amount or 0
        for refund in refunds
        if refund.amount is None
        for part in refund.lines
        if part.line not in known
    )
    rest = max(0, cash - sum(named) - sum(tax_gone) + unknown)
    tax_left = sum(
        max(0, tax - gone) for tax, gone, goods in zip(taxes, tax_gone, left, strict=True) if goods
    )
    goods_left = sum(left)
    return rest * goods_left // (goods_left + tax_left) if goods_left and tax_left else rest


def _refunded_taxes(
    order: Order, paid: list[int], taxes: list[int], named: list[int], refunds: Sequence[Refund]
) -> list[int]:
    """Tax on top that went back with each line: as reported, else in proportion."""
    if order.tax_included:
        return [0] * len(paid)
    reported: dict[str, int] = {}
    for part in (part for refund in refunds for part in refund.lines):
        if part.tax is not None:
            reported[part.line] = reported.get(part.line, 0) + part.tax
    return [
        reported.get(line.external_id, min(amount, sum_paid) * tax // sum_paid if sum_paid else 0)
        for line, sum_paid, tax, amount in zip(order.lines, paid, taxes, named, strict=True)
    ]


def tier_shares(
    uplines: Sequence[Upline], tiers_ppm: Sequence[int], *, inactive_upline: str
) -> list[Share]:
    """The upline's shares. `uplines` is nearest first, `tiers_ppm[0]` is tier_2.

    An inactive upline is skipped (its tier is paid to nobody) or compressed (the next active one
    moves up).
    """
    people = [each for each in uplines if each.active or inactive_upline == "skip"]
    return [
        Share(f"tier_{level}", "promoter", person.promoter_id, ppm)
        for level, (person, ppm) in enumerate(zip(people, tiers_ppm, strict=False), start=2)
        if person.active and ppm
    ]


def within(room: int, wanted: Sequence[int]) -> list[int]:
    """What payees get when they may have no more than `room` together.

    They stand with `direct` first and the highest tier last: that one is cut first.
    """
    granted = []
    for amount in wanted:
        granted.append(min(amount, room))
        room -= granted[-1]
    return granted


def hold_until(
    *,
    paid_at: datetime,
    delivered_at: datetime | None,
    hold_days: int,
    hold_fallback_days: int,
) -> datetime:
    """When the money of an order may be released."""
    if delivered_at is None:
        return paid_at + timedelta(days=hold_fallback_days + hold_days)
    return max(paid_at, delivered_at) + timedelta(days=hold_days)


@dataclass(frozen=True, slots=True)
class Move:
    """One new entry: what it adds, and the state it is born in."""

    amount: int
    state: str


def moves(target: int, *, pending: int, settled: int) -> list[Move]:
    """New entries that bring a commission to its target.

    `pending` is the sum of its entries in the hold, `settled` of those released or further. What
    is taken back comes from the pending part first and the rest from the available.
    """
    difference = target - pending - settled
    if difference > 0:
        return [Move(difference, "pending")]
    from_pending = min(-difference, max(0, pending))
    from_available = -difference - from_pending
    wanted = [Move(-from_pending, "pending"), Move(-from_available, "available")]
    return [move for move in wanted if move.amount]
