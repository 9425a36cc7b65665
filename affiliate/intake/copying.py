"""A shop's set-up taken over into another market: what its programs and products say of it.

First a plan, which writes nothing: the programs that the new shop joins, rules with amounts as they
would be in its currency, and what stays behind. Then the same for good. Products are not copied:
they come from the new shop itself, and each gets what its counterpart has (`match`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from affiliate import audit, clock
from affiliate.catalog import service as catalog
from affiliate.catalog.models import Product, Shop, ShopCopy, Variant
from affiliate.db import db
from affiliate.errors import AffiliateError, Conflict, Invalid, invalid
from affiliate.fx import service as fx
from affiliate.fx.service import Quoted
from affiliate.i18n import _
from affiliate.money import EXPONENTS, Money
from affiliate.programs import queries as programs
from affiliate.programs import service as program_service
from affiliate.programs.book import Kind
from affiliate.programs.models import Program, Rule, RuleVersion, Terms
from affiliate.programs.service import Stated, Target

BATCH = 500


class NoRate(Invalid):
    """Amounts cannot be converted without a rate."""

    code = "no_rate"


class RateMoved(Conflict):
    """The plan that was agreed to is not the one that would be written now."""

    code = "rate_moved"


@dataclass(frozen=True, slots=True)
class Market:
    """Where the new shop sells. With `convert` amounts in rules are taken over too."""

    country: str
    currency: str
    convert: bool = True


@dataclass(frozen=True, slots=True)
class Joined:
    """A program that the shop takes part in."""

    program: Program
    covers_all: bool  # it holds for whatever shop there is: nothing to write
    refusal: Any = None  # why the new shop cannot join


@dataclass(frozen=True, slots=True)
class Converted:
    """A rule with amounts, and the one that would stand beside it."""

    program: Program
    rule: Rule
    version: RuleVersion
    amount: Money | None
    new_amount: Money | None
    least: Money | None  # the order's least amount
    new_least: Money | None


@dataclass(frozen=True, slots=True)
class Plan:
    shop: Shop
    market: Market
    rate: Quoted | None
    programs: Sequence[Joined]
    amounts: Sequence[Converted]
    product_rules: int  # come with their products
    categories: int  # products that have one
    hidden: int
    left_out: Sequence[Any]  # sentences


def plan(shop: Shop, market: Market) -> Plan:
    """What would be copied, what cannot, and the amounts. Refuses amounts without a rate."""
    if market.currency not in EXPONENTS:
        message = _("%(currency)s is no ISO 4217 currency.", currency=market.currency[:9])
        raise invalid("/currency", "unknown_currency", message)
    running = programs.running(shop.merchant_id)
    joined = [
        _joined(program, terms, market)
        for program, terms in running
        if not program.shop_ids or shop.id in program.shop_ids
    ]
    of_joined = {each.program.id: each.program for each in joined if not each.refusal}
    rules = _rules(shop.merchant_id, of_joined)
    of_products = _of_products(shop, rules)
    general = [each for each in rules if each[0].product_id is None]
    amounts = [each for each in general if _has_amounts(each[1], shop.currency)]
    rate = None
    if market.convert and market.currency != shop.currency:
        rate = fx.find(shop.currency, market.currency, clock.now().date())
        needed = amounts or any(_has_amounts(each[1], shop.currency) for each in of_products)
        if rate is None and needed:
            raise _no_rate(shop.currency, market.currency)
    converted = [
        _converted(of_joined[rule.program_id], rule, version, rate, market.currency)
        for rule, version in amounts
        if rate is not None and not _stands_already(rule, general, market.currency)
    ]
    categories, hidden = _marked_products(shop)
    left_out = _left_out(shop, market, running, has_amounts=bool(amounts))
    return Plan(
        shop, market, rate, joined, converted, len(of_products), categories, hidden, left_out
    )


def copy(
    shop: Shop,
    market: Market,
    *,
    by: int | None,
    agreed_rate: int | None,
    **connection: Any,
) -> tuple[Shop, dict[str, str], Plan]:
    """Connect the new shop and do what the plan says. Its credentials are its own."""
    found = plan(shop, market)
    if (found.rate.rate_id if found.rate else None) != agreed_rate:
        raise RateMoved(_("There is a newer rate now. Look at the amounts again."))
    program_service.check_new_shop(shop.merchant_id, market.country)
    new, made = catalog.create_shop(
        shop.merchant_id, country=market.country, currency=market.currency, **connection
    )
    for each in found.programs:
        if not each.covers_all and not each.refusal:
            program = programs.program(shop.merchant_id, each.program.id, lock=True)
            program_service.add_shop(program, new)
    for amount in found.amounts:
        _add_beside(amount.program, amount.rule, amount.version, found.rate, market.currency, by)
    db.session.add(
        ShopCopy(
            merchant_id=shop.merchant_id,
            shop_id=new.id,
            from_shop_id=shop.id,
            rate_id=found.rate.rate_id if found.rate else None,
            user_id=by,
        )
    )
    db.session.flush()
    audit.record(
        "shop.copied", subject=f"shp:{new.id}", by=by, merchant_id=shop.merchant_id,
        source=shop.id, rules=len(found.amounts),
    )  # fmt: skip
    return new, made, found


def match() -> int:
    """Products that came into copied shops get what their counterparts have: the same number in the
    shop, or else the same SKU. Each is looked at once; returns how many found one.
    """
    newer = sa.exists().where(
        Product.merchant_id == ShopCopy.merchant_id,
        Product.shop_id == ShopCopy.shop_id,
        Product.id > ShopCopy.seen_product_id,
    )
    due = sa.select(ShopCopy).where(newer).order_by(ShopCopy.merchant_id, ShopCopy.id)
    copies = db.session.scalars(due.with_for_update(skip_locked=True).limit(20)).all()
    return sum(_match(each) for each in copies)


def _match(copied: ShopCopy) -> int:
    products = db.session.scalars(
        sa.select(Product)
        .where(
            Product.merchant_id == copied.merchant_id,
            Product.shop_id == copied.shop_id,
            Product.id > copied.seen_product_id,
        )
        .order_by(Product.id)
        .limit(BATCH)
    ).all()
    pairs = _counterparts(copied, products)
    for product in products:
        other = pairs.get(product.id)
        if other is None:
            continue
        product.category = product.category or other.category
        product.hidden_at = product.hidden_at or (clock.now() if other.hidden_at else None)
        product.version += 1
    db.session.flush()
    _copy_product_rules(copied, {other.id: product_id for product_id, other in pairs.items()})
    copied.seen_product_id = products[-1].id
    return len(pairs)


def _counterparts(copied: ShopCopy, products: Sequence[Product]) -> dict[int, Product]:
    """By the id of the new product. Where several might be meant, none is."""
    there = sa.select(Product).where(
        Product.merchant_id == copied.merchant_id, Product.shop_id == copied.from_shop_id
    )
    numbers = {each.external_id: each.id for each in products}
    same_number = db.session.scalars(there.where(Product.external_id.in_(numbers)))
    found = {numbers[each.external_id]: each for each in same_number}
    new, old = aliased(Variant), aliased(Variant)
    rest = [each.id for each in products if each.id not in found]
    same_sku = db.session.execute(
        there.add_columns(new.product_id.label("new_id"))
        .join(old, sa.and_(old.merchant_id == Product.merchant_id, old.product_id == Product.id))
        .join(new, sa.and_(new.merchant_id == old.merchant_id, new.sku == old.sku))
        .where(new.product_id.in_(rest), new.sku != "")
        .distinct()
    ).all()
    several: dict[int, list[Product]] = {}
    for product, new_id in same_sku:
        several.setdefault(new_id, []).append(product)
    return found | {new_id: each[0] for new_id, each in several.items() if len(each) == 1}


def _copy_product_rules(copied: ShopCopy, new_ids: Mapping[int, int]) -> None:
    """Rules of products, by the id of the old one."""
    merchant_id = copied.merchant_id
    running = {
        program.id: program
        for program, _terms in programs.running(merchant_id)
        if not program.shop_ids or copied.shop_id in program.shop_ids
    }
    here = _currency_of(merchant_id, copied.shop_id)
    before = _currency_of(merchant_id, copied.from_shop_id)
    rate = fx.known(copied.rate_id, before, here) if copied.rate_id else None
    own = programs.inline_rates(merchant_id, list(new_ids.values()))
    for rule, version in _rules(merchant_id, running, list(new_ids)):
        product_id = new_ids[rule.product_id or 0]
        stated_already = rule.inline and (rule.program_id, product_id) in own
        needs_rate = here != before and _has_amounts(version, before)
        if stated_already or (needs_rate and rate is None):
            continue
        program = running[rule.program_id]
        try:
            with db.session.begin_nested():
                _add_beside(
                    program, rule, version, rate, here, copied.user_id, product_id=product_id
                )
        except AffiliateError:
            continue  # above a ceiling that was lowered since: the program's own rate holds


def _currency_of(merchant_id: int, shop_id: int) -> str:
    return db.session.get_one(Shop, (merchant_id, shop_id)).currency


def _of_products(
    shop: Shop, rules: Sequence[tuple[Rule, RuleVersion]]
) -> list[tuple[Rule, RuleVersion]]:
    """Those that name a product of this shop."""
    named = [rule.product_id for rule, _version in rules if rule.product_id]
    mine = sa.select(Product.id).where(
        Product.merchant_id == shop.merchant_id,
        Product.shop_id == shop.id,
        Product.id.in_(named),
    )
    own = set(db.session.scalars(mine))
    return [each for each in rules if each[0].product_id in own]


def _marked_products(shop: Shop) -> tuple[int, int]:
    """How many have a category, and how many are hidden."""
    counts = sa.select(sa.func.count(Product.category), sa.func.count(Product.hidden_at))
    mine = counts.where(Product.merchant_id == shop.merchant_id, Product.shop_id == shop.id)
    categories, hidden = db.session.execute(mine).one()
    return categories, hidden


def _joined(program: Program, terms: Terms, market: Market) -> Joined:
    refusal = None
    try:
        program_service.check_country(program, terms, market.country)
    except AffiliateError as error:
        refusal = error.message
    return Joined(program, not program.shop_ids, refusal)


def _rules(
    merchant_id: int, of_programs: Mapping[int, Program], products: Sequence[int] = ()
) -> list[tuple[Rule, RuleVersion]]:
    """Rules that stand, as they were stated last."""
    chosen = sa.select(Rule).where(
        Rule.merchant_id == merchant_id, Rule.program_id.in_(list(of_programs))
    )
    if products:
        chosen = chosen.where(Rule.product_id.in_(products))
    rules = db.session.scalars(chosen.order_by(Rule.id)).all()
    latest = programs.latest_versions([(merchant_id, each.id) for each in rules])
    stated = [(each, latest[merchant_id, each.id]) for each in rules]
    return [(rule, version) for rule, version in stated if not version.ended]


def _has_amounts(version: RuleVersion, currency: str) -> bool:
    return currency in (version.currency, version.conditions.get("currency"))


def _stands_already(rule: Rule, known: Sequence[tuple[Rule, RuleVersion]], currency: str) -> bool:
    """Whether somebody stated one like it in that currency."""
    return any(
        _subject(other) == _subject(rule) and _has_amounts(version, currency)
        for other, version in known
        if other.program_id == rule.program_id
    )


def _subject(rule: Rule) -> tuple[Any, ...]:
    return rule.scope, rule.promoter_id, rule.group_id, rule.category


def _converted(
    program: Program, rule: Rule, version: RuleVersion, rate: Quoted, currency: str
) -> Converted:
    least = version.conditions.get("min_order_amount")
    there = version.conditions.get("currency")
    stated = _stated(version, rate, currency)
    conditions = stated.conditions or {}
    return Converted(
        program,
        rule,
        version,
        Money(version.amount, version.currency) if version.currency else None,
        Money(stated.amount, stated.currency) if stated.currency else None,
        Money(least, there) if least is not None else None,
        Money(conditions["min_order_amount"], currency) if least is not None else None,
    )


def _stated(version: RuleVersion, rate: Quoted | None, currency: str) -> Stated:
    """The same in another currency; an amount never becomes nothing."""
    conditions = dict(version.conditions)
    amount, of = version.amount, version.currency
    if rate is not None:
        if conditions.get("currency") not in (None, currency):
            conditions |= {
                "min_order_amount": rate.of(conditions["min_order_amount"]), "currency": currency,
            }  # fmt: skip
        if of is not None and of != currency:
            amount, of = max(1, rate.of(amount)), currency
    return Stated(version.kind, version.rate_ppm, amount, of, version.priority, conditions)


def _add_beside(
    program: Program,
    rule: Rule,
    version: RuleVersion,
    rate: Quoted | None,
    currency: str,
    by: int | None,
    *,
    product_id: int | None = None,
) -> None:
    target = Target(rule.scope, rule.promoter_id, rule.group_id, product_id, rule.category)
    inline = rule.inline and version.kind == Kind.PERCENT
    stated = _stated(version, rate, currency)
    program_service.add_rule(program, target, stated, by=by, inline=inline)


def _no_rate(base: str, quote: str) -> NoRate:
    message = _(
        "There is no rate of %(base)s in %(quote)s. Whoever handles the money of all merchants "
        "adds it under Finance, Rates of exchange. Or copy without the amounts.",
        base=base,
        quote=quote,
    )
    return NoRate(message)


def _left_out(
    shop: Shop,
    market: Market,
    running: Sequence[tuple[Program, Terms]],
    *,
    has_amounts: bool,
) -> list[Any]:
    said = [_("Secrets and tokens: the new shop has its own.")]
    old = shop.currency
    if market.currency != old:
        if has_amounts and not market.convert:
            message = _(
                "Rules with amounts in %(currency)s: they pass over its orders.", currency=old
            )
            said.append(message)
        if any(cap["currency"] == old for _program, terms in running for cap in terms.caps):
            message = _("Caps in %(currency)s: state others in the program's terms.", currency=old)
            said.append(message)
    said.append(_("Links, coupon codes, and agencies' shares of single products."))
    return said
