"""What every payee should have of an order: facts × credit × rule book → amounts (DOMAIN 4).

Pure. The engine, the simulator and `orders explain` all ask here. What depends on time (terms,
groups, sponsors) was taken as of the payment and is frozen with the first accrual; what the shop
says may still change, and everything is computed anew from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from affiliate.commissions import rules
from affiliate.commissions.rules import Share, Worth
from affiliate.money import share, spread
from affiliate.orders.facts import Note, Order
from affiliate.programs import agencies, book
from affiliate.programs.agencies import AgencyRate
from affiliate.programs.book import Answer, Book, Kind, Question, Rule, normal_code, normal_word
from affiliate.programs.grades import Figures, figures_of

PLATFORM_FEE = "platform_fee"


@dataclass(frozen=True, slots=True)
class Credited:
    """Who is credited with some lines: those of these products, or all others (None)."""

    products: frozenset[str] | None
    promoter_ids: tuple[int, ...]  # in the order of their touches


@dataclass(frozen=True, slots=True)
class Seller:
    """A credited promoter as of the payment."""

    promoter_id: int
    role: str  # direct, or rebate for who bought it themselves
    others: tuple[Share, ...] = ()  # tiers, nearest first
    inactive: tuple[int, ...] = ()  # those above who were passed over
    groups: tuple[int, ...] = ()
    content: str | None = None  # what carried the link
    # Instants just before a cut whose notice still ran: the seller gets the better of them.
    locked: tuple[datetime, ...] = ()
    grade: int | None = None
    grade_name: str | None = None  # as it was called then
    volumes: Mapping[str, Figures] = field(default_factory=dict)  # by period that a rule asks of
    agency: int | None = None  # that the seller was with, where an agency gets anything


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the first accrual froze."""

    at: datetime
    terms_id: int
    base: str
    hold_days: int
    hold_fallback_days: int
    platform_fee_ppm: int
    sellers: Mapping[int, Seller]
    categories: Mapping[str, str]  # by product: of lines whose shop tells none
    month: date = date(1970, 1, 1)  # of the payment, in the merchant's zone: its first day
    caps: Mapping[str, int] = field(default_factory=dict)  # in the order's currency, by what per

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "terms_id": self.terms_id,
            "base": self.base,
            "hold_days": self.hold_days,
            "hold_fallback_days": self.hold_fallback_days,
            "platform_fee_ppm": self.platform_fee_ppm,
            "sellers": [_seller_json(each) for each in self.sellers.values()],
            "categories": dict(self.categories),
            "month": self.month.isoformat(),
            "caps": dict(self.caps),
        }


def _seller_json(seller: Seller) -> dict[str, Any]:
    return {
        "promoter": seller.promoter_id,
        "role": seller.role,
        "others": [[each.role, each.payee_kind, each.payee_id, each.ppm] for each in seller.others],
        "inactive": list(seller.inactive),
        "groups": list(seller.groups),
        "content": seller.content,
        "locked": [at.isoformat() for at in seller.locked],
        "grade": seller.grade,
        "grade_name": seller.grade_name,
        "volumes": {period: sold.as_json() for period, sold in seller.volumes.items()},
        "agency": seller.agency,
    }


def frozen_of(stored: Mapping[str, Any]) -> Frozen:
    """The way back from `as_json`."""
    sellers = [
        Seller(
            each["promoter"],
            each["role"],
            tuple(Share(*other) for other in each["others"]),
            tuple(each["inactive"]),
            tuple(each["groups"]),
            each["content"],
            tuple(datetime.fromisoformat(at) for at in each["locked"]),
            each["grade"],
            each["grade_name"],
            {period: figures_of(sold) for period, sold in each["volumes"].items()},
            each["agency"],
        )
        for each in stored["sellers"]
    ]
    return Frozen(
        at=datetime.fromisoformat(stored["at"]),
        terms_id=stored["terms_id"],
        base=stored["base"],
        hold_days=stored["hold_days"],
        hold_fallback_days=stored["hold_fallback_days"],
        platform_fee_ppm=stored["platform_fee_ppm"],
        sellers={each.promoter_id: each for each in sellers},
        categories=stored["categories"],
        month=date.fromisoformat(stored["month"]),
        caps=stored["caps"],
    )


@dataclass(frozen=True, slots=True)
class Target:
    """What one payee should have of one line. `ppm` is 0 where a rule pays an amount."""

    line: str
    share: Share
    via_id: int
    base: int
    left: int  # of the base, after refunds
    amount: int
    rule_id: int | None = None  # the version of the rule that the seller's rate comes from

    @property
    def ppm(self) -> int:
        return self.share.ppm

    @property
    def rank(self) -> int:
        """Who is cut last comes first: the seller, then agencies, then tiers from below."""
        level = self.share.role.removeprefix("tier_")
        return int(level) if level.isdigit() else int(self.share.role == "agency")


@dataclass(frozen=True, slots=True)
class Pick:
    """The rate that counts for a seller on a line."""

    rule: Rule | None
    ppm: int
    max_total_ppm: int
    full: int  # what it pays before refunds: what picks are compared by
    is_first: bool  # of the lines that chose this rule
    answer: Answer | None  # how it was chosen; None in a program without rules
    locked: datetime | None = None
    agency: AgencyRate | None = None  # what the seller's agency gets beside it
    beside: int = 0  # of an amount per order what falls on this line, to be set against that

    @property
    def kind(self) -> str:
        return self.rule.kind if self.rule else Kind.PERCENT


def targets(
    order: Order, credited: Sequence[Credited], frozen: Frozen, rule_book: Book, *, shop_id: int
) -> tuple[list[Target], list[Note]]:
    """Every payee's target of every line, and how each came about."""
    worths, notes = rules.worths(order, base=frozen.base)
    notes = [*order.notes, *notes]
    of_line = [_sellers(worth, credited) for worth in worths]
    picked = {
        promoter_id: _picks(order, worths, of_line, frozen, promoter_id, rule_book, shop_id)
        for promoter_id in dict.fromkeys(id_ for ids in of_line for id_ in ids)
    }
    for promoter_id in picked:
        if passed := frozen.sellers[promoter_id].inactive:
            about = {"promoters": list(passed), "promoter": promoter_id}
            notes.append(("inactive_upline", about))
        notes += _standing_notes(frozen.sellers[promoter_id], rule_book.as_of(frozen.at))
    found: list[Target] = []
    for index, (worth, sellers) in enumerate(zip(worths, of_line, strict=True)):
        if not sellers:
            notes.append(("line_not_credited", {"line": worth.line.external_id}))
            continue
        parts = _Parts(worth, len(sellers))
        for number, promoter_id in enumerate(sellers):
            pick = picked[promoter_id][index]
            is_open = _is_open(pick, worths, picked[promoter_id])
            found += _of_seller(parts, number, frozen.sellers[promoter_id], pick, is_open, notes)
        if frozen.platform_fee_ppm:
            found.append(_fee(worth, sellers[0], frozen.platform_fee_ppm, notes))
    if "order" in frozen.caps:
        found = _within_order(found, frozen.caps["order"], notes)
    return found, notes


def _standing_notes(seller: Seller, page: book.Page) -> list[Note]:
    """What the seller stood at, as far as rules ask for it."""
    about = {"promoter": seller.promoter_id}
    conditions = [rule.conditions for rule in page.rules]
    found: list[Note] = []
    if any(each.grades for each in conditions):
        code = "grade_at" if seller.grade_name else "grade_none"
        found.append((code, about | {"grade": seller.grade_name}))
    for band in dict.fromkeys(
        (each.volume.measure, each.volume.period, each.volume.currency)
        for each in conditions
        if each.volume
    ):
        measure, period, currency = band
        value = seller.volumes[period].of(measure, currency) if period in seller.volumes else 0
        told = {"measure": measure, "period": period, "value": value, "in": currency}
        found.append(("volume_at", about | told))
    return found


def _within_order(found: list[Target], room: int, notes: list[Note]) -> list[Target]:
    """No more than the cap of the order: sellers first, line by line, the highest tier last."""
    kept = list(found)
    for place in sorted(range(len(found)), key=lambda each: (found[each].rank, each)):
        target = found[place]
        if target.share.role == PLATFORM_FEE:
            continue
        granted = min(target.amount, room)
        room -= granted
        if granted < target.amount:
            notes.append(cut_note(target, granted, "order"))
            kept[place] = replace(target, amount=granted)
    return kept


def cut_note(target: Target, granted: int, per: str) -> Note:
    """That a cap left less of a target."""
    share_of = target.share
    about = {"line": target.line, "role": share_of.role, _whose(share_of): share_of.payee_id}
    return ("cap_cut", about | {"per": per, "amount": granted})


def _whose(share_of: Share) -> str:
    """Under which name a note tells the payee: promoters read what is told of promoters."""
    return "agency" if share_of.payee_kind == "agency" else "promoter"


def _sellers(worth: Worth, credited: Sequence[Credited]) -> tuple[int, ...]:
    product = worth.line.product_external_id
    special = (each for each in credited if each.products and product in each.products)
    others = (each for each in credited if each.products is None)
    found = next(special, None) or next(others, None)
    return found.promoter_ids if found else ()


@dataclass(frozen=True, slots=True)
class _Parts:
    """A line in equal parts for its sellers, the odd units to the earlier ones."""

    worth: Worth
    count: int

    def of(self, whole: int, number: int) -> int:
        return spread(whole, [1] * self.count)[number] if self.count > 1 else whole


# --- which rate --------------------------------------------------------------------------------


def _picks(
    order: Order,
    worths: Sequence[Worth],
    of_line: Sequence[tuple[int, ...]],
    frozen: Frozen,
    promoter_id: int,
    rule_book: Book,
    shop_id: int,
) -> dict[int, Pick]:
    """The pick for each line of this seller, by the line's place.

    Inside the notice of a cut each line gets the better of before and after, the present on a tie.
    """
    seller = frozen.sellers[promoter_id]
    mine = [index for index, sellers in enumerate(of_line) if promoter_id in sellers]
    amount = sum(worth.paid for worth in worths if worth.line.kind in rules.EARNING_KINDS)
    best: dict[int, Pick] = {}
    for instant in (None, *seller.locked):
        page = rule_book.as_of(instant or frozen.at)
        taken: set[int] = set()
        for index in mine:
            asked = _question(order, worths[index], frozen, seller, amount, shop_id)
            pick = _pick(page, asked, worths[index], taken, instant)
            if index not in best or pick.full > best[index].full:
                best[index] = pick
    if seller.agency is not None:
        _add_agency(best, worths, seller, rule_book.as_of(frozen.at), shop_id)
    return _with_firsts(best, worths)


def _add_agency(
    best: dict[int, Pick],
    worths: Sequence[Worth],
    seller: Seller,
    page: book.Page,
    shop_id: int,
) -> None:
    """What the seller's agency gets of each line, as of the payment; a notice is the seller's."""
    assert seller.agency is not None
    for index, pick in best.items():
        product = worths[index].line.product_external_id
        key = (shop_id, product) if product else None
        rate = agencies.choose(page.agency_rates, seller.agency, seller.promoter_id, key)
        best[index] = replace(pick, agency=rate)
    per_order: dict[int, list[int]] = {}
    for index, pick in best.items():
        if pick.rule is not None and pick.kind == Kind.PER_ORDER:
            per_order.setdefault(pick.rule.version_id, []).append(index)
    for places in per_order.values():
        rule = best[places[0]].rule
        assert rule is not None
        parts = spread(rule.amount, [worths[index].remaining_base for index in places])
        for index, part in zip(places, parts, strict=True):
            best[index] = replace(best[index], beside=part)


def _question(
    order: Order, worth: Worth, frozen: Frozen, seller: Seller, amount: int, shop_id: int
) -> Question:
    product = worth.line.product_external_id
    told = worth.line.category or frozen.categories.get(product or "")
    return Question(
        at=frozen.at,
        promoter_id=seller.promoter_id,
        groups=frozenset(seller.groups),
        product=(shop_id, product) if product else None,
        category=normal_word(told),
        currency=order.currency,
        order_amount=amount,
        new_customer=order.customer.new,
        coupons=frozenset(filter(None, map(normal_code, order.coupons))),
        content=normal_word(seller.content),
        grade=seller.grade,
        volumes=seller.volumes,
    )


def _pick(
    page: book.Page,
    asked: Question,
    worth: Worth,
    taken: set[int],
    locked: datetime | None,
) -> Pick:
    answer = book.choose(page, asked) if page.rules else None
    rule = answer.rule if answer else None
    ceiling = page.terms.max_total_ppm
    room = min(worth.base, share(worth.base, ceiling))
    if rule is None or rule.kind == Kind.PERCENT:
        ppm = rule.rate_ppm if rule else page.terms.default_rate_ppm
        return Pick(rule, ppm, ceiling, min(room, share(worth.base, ppm)), False, answer, locked)
    if rule.kind == Kind.PER_UNIT:
        full = min(room, rule.amount * worth.line.quantity)
        return Pick(rule, 0, ceiling, full, False, answer, locked)
    full = 0 if rule.version_id in taken else min(room, rule.amount)
    if worth.base:
        taken.add(rule.version_id)
    return Pick(rule, 0, ceiling, full, False, answer, locked)


def _with_firsts(best: dict[int, Pick], worths: Sequence[Worth]) -> dict[int, Pick]:
    """Which lines are the first of their rule per order, now that each line has its pick. What
    is worth nothing, a gift say, is none.
    """
    seen: set[int] = set()
    for index, pick in sorted(best.items()):
        if pick.rule is not None and pick.kind == Kind.PER_ORDER and worths[index].base:
            best[index] = replace(pick, is_first=pick.rule.version_id not in seen)
            seen.add(pick.rule.version_id)
    return best


def _is_open(pick: Pick, worths: Sequence[Worth], mine: Mapping[int, Pick]) -> bool:
    """Whether anything is left of the lines that chose the same rule per order."""
    if pick.rule is None or pick.kind != Kind.PER_ORDER:
        return True
    return any(
        other.rule is not None
        and other.rule.version_id == pick.rule.version_id
        and worths[index].base
        and not worths[index].is_gone
        for index, other in mine.items()
    )


# --- how much ----------------------------------------------------------------------------------


def _of_seller(
    parts: _Parts, number: int, seller: Seller, pick: Pick, is_open: bool, notes: list[Note]
) -> list[Target]:
    """The seller's and the tiers' amounts of one part of a line, and how they came about."""
    worth = parts.worth
    base, left = parts.of(worth.base, number), parts.of(worth.remaining_base, number)
    direct = Share(seller.role, "promoter", seller.promoter_id, pick.ppm)
    shares = [direct, *_of_agency(pick), *seller.others]
    wanted = [share(left, each.ppm) for each in shares]
    room_of = left
    if pick.rule is not None and pick.kind == Kind.PER_UNIT:
        wanted[0] = 0 if worth.is_gone else parts.of(pick.rule.amount * worth.pieces, number)
    elif pick.rule is not None and pick.kind == Kind.PER_ORDER:
        wanted[0] = parts.of(pick.rule.amount, number) if pick.is_first and is_open else 0
        room_of = base  # it stands for all lines that chose the rule, also when this one went back
    if pick.agency is not None and pick.kind != Kind.PERCENT:
        per_order = pick.kind == Kind.PER_ORDER
        direct_amount = parts.of(pick.beside, number) if per_order else wanted[0]
        wanted[1] = pick.agency.beside(left, direct_amount)
    granted = rules.within(min(room_of, share(room_of, pick.max_total_ppm)), wanted)
    _tell_choice(worth, seller, pick, notes)
    targets_of = []
    for each, amount, asked in zip(shares, granted, wanted, strict=True):
        is_direct = each is direct
        notes.append(_share_note(worth, parts, number, each, amount, capped=amount < asked))
        targets_of.append(
            Target(
                worth.line.external_id,
                each,
                seller.promoter_id,
                base,
                left,
                amount,
                pick.rule.version_id if is_direct and pick.rule else None,
            )
        )
    return targets_of


def _of_agency(pick: Pick) -> list[Share]:
    """The share of the seller's agency, if it gets any."""
    if pick.agency is None:
        return []
    ppm = pick.agency.after(pick.ppm) if pick.kind == Kind.PERCENT else 0
    return [Share("agency", "agency", pick.agency.agency_id, ppm)]


def _fee(worth: Worth, via_id: int, ppm: int, notes: list[Note]) -> Target:
    """The platform's fee stands aside of the ceiling, and is taken once for a line."""
    fee = Share(PLATFORM_FEE, "platform", 0, ppm)
    amount = share(worth.remaining_base, ppm)
    notes.append(_share_note(worth, _Parts(worth, 1), 0, fee, amount, capped=False))
    return Target(worth.line.external_id, fee, via_id, worth.base, worth.remaining_base, amount)


def _share_note(
    worth: Worth, parts: _Parts, number: int, each: Share, amount: int, *, capped: bool
) -> Note:
    return (
        "share",
        {
            "line": worth.line.external_id,
            "role": each.role,
            _whose(each): each.payee_id,
            "paid": parts.of(worth.paid, number),
            "base": parts.of(worth.base, number),
            "remaining_base": parts.of(worth.remaining_base, number),
            "rate_ppm": each.ppm,
            "amount": amount,
            "capped": capped,
        },
    )


def _tell_choice(worth: Worth, seller: Seller, pick: Pick, notes: list[Note]) -> None:
    """The rule chosen, those it beat, and those that were passed over and why."""
    about = {"line": worth.line.external_id, "promoter": seller.promoter_id}
    if pick.rule is not None:
        notes.append(("rule_chosen", about | _in_words(pick.rule)))
    if pick.answer is not None:
        notes.extend(("rule_beaten", about | _in_words(rule)) for rule in pick.answer.beaten)
        notes.extend(
            ("rule_passed_over", about | _in_words(rule) | {"condition": condition})
            for rule, condition in pick.answer.passed_over
        )
    if pick.locked is not None:
        notes.append(("rate_locked", about | {"at": pick.locked.isoformat()}))
    if pick.agency is not None:
        rate = {"mode": str(pick.agency.mode), "rate_ppm": pick.agency.ppm}
        told = {"line": worth.line.external_id, "agency": pick.agency.agency_id}
        notes.append(("agency_rate", told | rate))


def _in_words(rule: Rule) -> dict[str, Any]:
    pays = {"rate_ppm": rule.rate_ppm, "each": rule.amount, "in": rule.currency}
    return {"rule": rule.rule_id, "scope": str(rule.scope), "kind": str(rule.kind), **pays}
