"""What an order pays, written a second time: straight from the rules in words, slow and simple.

It imports nothing of the platform but the plain facts of an order. It shares no code with the
engine, so where both agree on thousands of orders, both read the rules the same way.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from affiliate.orders.facts import Order

PPM = 1_000_000
SCOPES = "promoter_product promoter group_product product category group program".split()


@dataclass
class Terms:
    since: datetime
    rate: int
    ceiling: int


@dataclass
class Rule:
    """A version of a rule; the newest version of `key` that has begun counts."""

    key: int
    since: datetime
    scope: str
    version: int = 0
    kind: str = "percent"
    rate: int = 0
    amount: int = 0
    currency: str | None = None
    priority: int = 0
    ended: bool = False
    promoter: int | None = None
    group: int | None = None
    product: str | None = None
    category: str | None = None
    new_customer: bool | None = None
    least: tuple[int, str] | None = None
    coupon: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    content: str | None = None
    grade: int | None = None
    band: tuple[int, int | None] | None = None  # of orders in the last closed month: from, below


@dataclass
class AgencyRate:
    """A version of what the agency gets; the newest of `key` that has begun counts."""

    key: int
    since: datetime
    difference: bool
    rate: int
    ended: bool = False
    promoter: int | None = None
    product: str | None = None


@dataclass
class Seller:
    promoter: int
    role: str = "direct"
    tiers: list[tuple[str, int, int]] = field(default_factory=list)  # role, promoter, rate
    groups: set[int] = field(default_factory=set)
    content: str | None = None
    earlier: list[datetime] = field(default_factory=list)
    grade: int | None = None
    orders: int = 0  # in the last closed month
    agency: int | None = None


@dataclass
class World:
    at: datetime
    terms: list[Terms]
    rules: list[Rule]
    sellers: dict[int, Seller]
    credited: list[tuple[set[str] | None, list[int]]]  # products (None: all others), promoters
    fee: int = 0
    gross: bool = False
    agency: list[AgencyRate] = field(default_factory=list)  # of the one agency there is


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    if sum(weights) == 0:
        return [0 for _ in weights]
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    parts = [int(each) for each in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(exact[i] - parts[i]), i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


# --- what a line is worth --------------------------------------------------------------------


def paid_of(order: Order) -> list[int]:
    after = [0 if each.removed else max(0, each.amount - each.discount) for each in order.lines]
    if all(each.order_discount is not None for each in order.lines):
        off = [each.order_discount for each in order.lines]
    else:
        off = largest_remainder(max(0, order.discount), after)
    return [max(0, money - less) for money, less in zip(after, off, strict=True)]


def taxes_of(order: Order) -> list[int | None]:
    if order.order_tax is None:
        return [each.tax for each in order.lines]
    after = [0 if each.removed else max(0, each.amount - each.discount) for each in order.lines]
    return list(largest_remainder(max(0, order.order_tax), after))


def base_of(order: Order, gross: bool) -> list[int]:
    bases = []
    for line, paid, tax in zip(order.lines, paid_of(order), taxes_of(order), strict=True):
        inside = (tax or 0) if order.tax_included and not gross else 0
        bases.append(max(0, paid - inside) if line.kind == "product" else 0)
    return bases


def gone_of(order: Order) -> list[int]:
    """How much of what was paid went back, of each line."""
    paid = paid_of(order)
    everything = order.cancelled_at is not None or order.refunded_fully
    everything |= any(each.status == "lost" and each.amount is None for each in order.disputes)
    if everything:
        return paid
    refunds = [each for each in order.refunds if each.status == "succeeded"]
    lost = [each.amount for each in order.disputes if each.status == "lost"]

    gone, named, pieces = [], [], []
    for line, money in zip(order.lines, paid, strict=True):
        parts = [p for refund in refunds for p in refund.lines if p.line == line.external_id]
        by_amount = sum(p.amount for p in parts if p.amount is not None)
        by_piece = sum(p.quantity or 0 for p in parts if p.amount is None)
        if by_piece and line.quantity > 0:
            rest = max(0, line.quantity - by_piece)
            by_amount += money - money * rest // line.quantity
        back = sum(p.quantity or 0 for p in parts)
        is_whole = 0 < line.quantity <= back and money - by_amount <= line.quantity
        gone.append(money if is_whole else min(by_amount, money))
        named.append(by_amount)
        pieces.append(back)

    rest = _rest(order, paid, gone, refunds, sum(lost))
    left = [money - less for money, less in zip(paid, gone, strict=True)]
    more = largest_remainder(min(rest, sum(left)), left)
    return [less + extra for less, extra in zip(gone, more, strict=True)]


def _rest(order: Order, paid: list[int], gone: list[int], refunds: list, lost: int) -> int:
    """Cash beyond what refunds name, in the basis of what was paid for goods."""
    told = [each for each in refunds if each.amount is not None]
    cash = sum(each.amount - each.shipping for each in told) + lost
    named, tax_back, taxes = [], [], taxes_of(order)
    for index, line in enumerate(order.lines):
        parts = [p for refund in told for p in refund.lines if p.line == line.external_id]
        amount = sum(p.amount for p in parts if p.amount is not None)
        by_piece = sum(p.quantity or 0 for p in parts if p.amount is None)
        if by_piece and line.quantity > 0:
            keep = max(0, line.quantity - by_piece)
            amount += paid[index] - paid[index] * keep // line.quantity
        named.append(amount)
        if order.tax_included:
            tax_back.append(0)
        elif any(p.tax is not None for p in parts):
            tax_back.append(sum(p.tax or 0 for p in parts))
        else:
            tax = taxes[index] or 0
            tax_back.append(min(amount, paid[index]) * tax // paid[index] if paid[index] else 0)
    known = {line.external_id for line in order.lines}
    unknown = sum(
        p.amount or 0
        for each in refunds
        if each.amount is None
        for p in each.lines
        if p.line not in known
    )
    rest = max(0, cash - sum(named) - sum(tax_back) + unknown)
    left = [money - less for money, less in zip(paid, gone, strict=True)]
    if order.tax_included:
        return rest
    tax_left = sum(
        max(0, (tax or 0) - back)
        for tax, back, goods in zip(taxes, tax_back, left, strict=True)
        if goods
    )
    return rest * sum(left) // (sum(left) + tax_left) if sum(left) and tax_left else rest


def left_of(order: Order, gross: bool) -> list[int]:
    return [
        base * (paid - gone) // paid if paid else 0
        for base, paid, gone in zip(
            base_of(order, gross), paid_of(order), gone_of(order), strict=True
        )
    ]


# --- which rate ------------------------------------------------------------------------------


def terms_at(world: World, at: datetime) -> Terms:
    return max((each for each in world.terms if each.since <= at), key=lambda each: each.since)


def rules_at(world: World, at: datetime) -> list[Rule]:
    newest: dict[int, Rule] = {}
    for rule in sorted(world.rules, key=lambda each: each.since):
        if rule.since <= at:
            newest[rule.key] = rule
    return [rule for rule in newest.values() if not rule.ended]


def rule_for(world: World, order: Order, line, seller: Seller, at: datetime) -> Rule | None:
    fitting = [rule for rule in rules_at(world, at) if _fits(rule, world, order, line, seller)]
    if not fitting:
        return None
    best_scope = min(SCOPES.index(rule.scope) for rule in fitting)
    fitting = [rule for rule in fitting if SCOPES.index(rule.scope) == best_scope]
    top = max(rule.priority for rule in fitting)
    fitting = [rule for rule in fitting if rule.priority == top]
    newest = max(rule.since for rule in fitting)
    return min((rule for rule in fitting if rule.since == newest), key=lambda rule: rule.key)


def _fits(rule: Rule, world: World, order: Order, line, seller: Seller) -> bool:
    if rule.promoter is not None and rule.promoter != seller.promoter:
        return False
    if rule.group is not None and rule.group not in seller.groups:
        return False
    if rule.product is not None and rule.product != line.product_external_id:
        return False
    if rule.category is not None and rule.category != (line.category or "").strip().casefold():
        return False
    if rule.kind != "percent" and rule.currency != order.currency:
        return False
    if rule.new_customer is not None and order.customer.new is not rule.new_customer:
        return False
    if rule.least is not None:
        amount, currency = rule.least
        goods = zip(order.lines, paid_of(order), strict=True)
        total = sum(paid for each, paid in goods if each.kind == "product")
        if currency != order.currency or total < amount:
            return False
    if rule.begins is not None and world.at < rule.begins:
        return False
    if rule.ends is not None and world.at >= rule.ends:
        return False
    if rule.content is not None and rule.content != (seller.content or "").strip().casefold():
        return False
    if rule.grade is not None and rule.grade != seller.grade:
        return False
    if rule.band is not None:
        low, high = rule.band
        if seller.orders < low or (high is not None and seller.orders >= high):
            return False
    used = {each.strip().casefold() for each in order.coupons}
    if rule.coupon == "*":
        return bool(used)
    return rule.coupon is None or rule.coupon in used


# --- who gets what ---------------------------------------------------------------------------


def targets(order: Order, world: World) -> dict[tuple[str, str, int, int], int]:
    """(line, role, payee, via) → amount; payee 0 is the platform."""
    found: dict[tuple[str, str, int, int], int] = {}
    bases, lefts = base_of(order, world.gross), left_of(order, world.gross)
    gones, paids = gone_of(order), paid_of(order)
    whose = [_whose(line, world) for line in order.lines]
    picks = {
        promoter: _picks(order, world, world.sellers[promoter], whose, bases)
        for promoters in whose
        for promoter in promoters
    }
    for index, line in enumerate(order.lines):
        for number, promoter in enumerate(whose[index]):
            seller, count = world.sellers[promoter], len(whose[index])
            rule, rate, ceiling = picks[promoter][index]
            base = largest_remainder(bases[index], [1] * count)[number]
            left = largest_remainder(lefts[index], [1] * count)[number]
            room_of = left
            wanted = left * rate // PPM
            if rule is not None and rule.kind == "per_unit":
                back = sum(
                    p.quantity or 0
                    for refund in order.refunds
                    if refund.status == "succeeded"
                    for p in refund.lines
                    if p.line == line.external_id
                )
                units = max(0, line.quantity - back) if gones[index] < paids[index] else 0
                wanted = largest_remainder(rule.amount * units, [1] * count)[number]
            if rule is not None and rule.kind == "per_order":
                same = [
                    place
                    for place, pick in picks[promoter].items()
                    if pick[0] is not None and pick[0].version == rule.version and bases[place]
                ]
                alive = any(gones[place] < paids[place] for place in same)
                is_first = bool(same) and index == min(same)
                whole = rule.amount if is_first and alive else 0
                wanted = largest_remainder(whole, [1] * count)[number]
                room_of = base
            room = min(room_of, room_of * ceiling // PPM)
            asked = [(seller.role, promoter, wanted)]
            if seller.agency is not None and (share := agency_rate(world, line, promoter)):
                whole = left * share.rate // PPM
                if share.difference and rule is not None and rule.kind == "per_order":
                    # The amount stands on one line, and is set against all that it is for.
                    same = [
                        place
                        for place, pick in picks[promoter].items()
                        if pick[0] is not None and pick[0].version == rule.version
                    ]
                    parts = largest_remainder(rule.amount, [lefts[place] for place in same])
                    mine = largest_remainder(parts[same.index(index)], [1] * count)[number]
                    whole = max(0, whole - mine)
                elif share.difference and rule is not None and rule.kind != "percent":
                    whole = max(0, whole - wanted)
                elif share.difference:
                    whole = left * max(0, share.rate - rate) // PPM
                asked.append(("agency", seller.agency, whole))
            asked += [(role, who, left * ppm // PPM) for role, who, ppm in seller.tiers]
            for role, who, amount in asked:
                granted = min(amount, room)
                room -= granted
                found[line.external_id, role, who, promoter] = granted
        if world.fee and whose[index]:
            key = (line.external_id, "platform_fee", 0, whose[index][0])
            found[key] = lefts[index] * world.fee // PPM
    return found


def agency_rate(world: World, line, promoter: int) -> AgencyRate | None:
    """That of the promoter and product, else of the promoter, else of the product, else of all."""
    newest: dict[int, AgencyRate] = {}
    for each in sorted(world.agency, key=lambda each: each.since):
        if each.since <= world.at:
            newest[each.key] = each
    for who, what in ((True, True), (True, False), (False, True), (False, False)):
        for each in newest.values():
            if each.ended or (each.promoter is not None) != who:
                continue
            if (each.product is not None) != what:
                continue
            if each.promoter in (None, promoter) and (
                each.product in (None, line.product_external_id)
            ):
                return each
    return None


def _whose(line, world: World) -> list[int]:
    for products, promoters in world.credited:
        if products is not None and line.product_external_id in products:
            return promoters
    for products, promoters in world.credited:
        if products is None:
            return promoters
    return []


def _picks(order: Order, world: World, seller: Seller, whose: list[list[int]], bases: list[int]):
    """By line: the rule, the rate and the ceiling; the better one while a notice runs."""
    best: dict[int, tuple[Rule | None, int, int]] = {}
    value: dict[int, int] = {}
    for at in [world.at, *seller.earlier]:
        terms, used = terms_at(world, at), set()
        for index, line in enumerate(order.lines):
            if seller.promoter not in whose[index]:
                continue
            rule = rule_for(world, order, line, seller, at)
            if rule is None or rule.kind == "percent":
                rate = terms.rate if rule is None else rule.rate
                worth = bases[index] * rate // PPM
            elif rule.kind == "per_unit":
                rate, worth = 0, rule.amount * line.quantity
            else:
                rate, worth = 0, 0 if rule.version in used else rule.amount
                if bases[index]:
                    used.add(rule.version)
            worth = min(worth, bases[index], bases[index] * terms.ceiling // PPM)
            if index not in best or worth > value[index]:
                best[index], value[index] = (rule, rate, terms.ceiling), worth
    return best


# --- uplines, holds, entries ----------------------------------------------------------------


def tiers(above: list[tuple[int, bool]], rates: list[int], mode: str) -> list[tuple[str, int, int]]:
    """`above`: the sponsors, nearest first, and whether each is active."""
    found, level = [], 2
    for who, is_active in above:
        if level - 2 >= len(rates):
            break
        if not is_active and mode == "compress":
            continue
        if is_active and rates[level - 2]:
            found.append((f"tier_{level}", who, rates[level - 2]))
        level += 1
    return found


def hold(paid: datetime, delivered: datetime | None, days: int, fallback: int) -> datetime:
    if delivered is None:
        return paid + timedelta(days=fallback) + timedelta(days=days)
    return (paid if paid > delivered else delivered) + timedelta(days=days)


def entries(target: int, pending: int, settled: int) -> list[tuple[int, str]]:
    """What has to be added, and where: taken back from the pending part first."""
    change = target - (pending + settled)
    if change > 0:
        return [(change, "pending")]
    back, found = -change, []
    if back and pending > 0:
        found.append((-min(back, pending), "pending"))
        back -= min(back, pending)
    if back:
        found.append((-back, "available"))
    return found


# --- whose order it is -----------------------------------------------------------------------


@dataclass
class Touch:
    """`ok` is whether link, member, invitation, program and promoter were good at that instant."""

    ref: str
    source: str
    at: datetime
    promoter: int
    program: int
    link: int = 0
    priority: int = 0
    exclusive: bool = False
    window: timedelta = timedelta(days=30)
    sources: tuple[str, ...] = ("coupon", "click", "sharer", "binding")
    model: str = "last"
    credit: str = "order"
    product: str | None = None
    protected: bool = False
    ok: bool = True


def credited(
    touches: list[Touch], placed_at: datetime, renewal: bool
) -> list[tuple[set[str] | None, list[int]]]:
    """As World.credited; empty when nobody is credited."""
    good = [each for each in touches if each.source == "claim" or _counts(each, placed_at, renewal)]
    good.sort(key=lambda each: (each.at, each.link, each.ref))
    claims = [each for each in good if each.source == "claim"]
    if claims:
        return [(None, [claims[-1].promoter])]
    if not good:
        return []
    # The exclusive program first, then the higher priority, then the newest touch.
    best = good[-1]
    for each in reversed(good):
        if (each.exclusive, each.priority) > (best.exclusive, best.priority):
            best = each
    inside = [each for each in good if each.program == best.program]
    last = inside[-1]
    if last.credit == "order":
        return [(None, _winners(inside, last))]
    found: list[tuple[set[str] | None, list[int]]] = []
    for product in dict.fromkeys(each.product for each in inside if each.product):
        mine = [each for each in inside if each.product in (product, None)]
        found.append(({product}, _winners(mine, last)))
    rest = [each for each in inside if each.product is None]
    if rest:
        found.append((None, _winners(rest, last)))
    return found


def joined(
    opened: list[tuple[set[str] | None, list[Touch]]], placed_at: datetime, renewal: bool
) -> list[tuple[set[str] | None, list[int]]]:
    """For an order that has no winner of its own: those of the order that opened its group, as
    touches of that order's instant. Their program's list of sources does not matter here.
    """
    found = []
    for products, touches in opened:
        good = [each for each in touches if _counts(each, placed_at, renewal)]
        if good:
            found.append((products, [each.promoter for each in good]))
    return found


def _counts(touch: Touch, placed_at: datetime, renewal: bool) -> bool:
    bound = touch.source == "binding"
    return (
        touch.ok
        and (bound or not renewal)
        and touch.at <= placed_at + timedelta(minutes=10)
        and (bound or touch.at >= placed_at - touch.window)
        and (touch.source == "group" or touch.source in touch.sources)
    )


def _winners(touches: list[Touch], terms: Touch) -> list[int]:
    order = list(terms.sources)
    protected = any(each.protected for each in touches) and "click" in order
    if protected and order.index("click") < order.index("binding"):
        order.remove("binding")
        order.insert(order.index("click"), "binding")
    for source in order:
        mine = [each for each in touches if each.source == source]
        if mine and terms.model == "linear":
            return list(dict.fromkeys(each.promoter for each in mine))
        if mine:
            return [mine[0 if terms.model == "first" else -1].promoter]
    return []
