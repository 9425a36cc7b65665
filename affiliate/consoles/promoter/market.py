"""The market: what may be shared, what it brings, and programs to join."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, i18n, ids
from affiliate.catalog.models import Product, Sales, Shop
from affiliate.catalog.platforms import connection
from affiliate.commissions import service as commissions
from affiliate.consoles import lists
from affiliate.consoles.promoter import bp, recommending, worth
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound
from affiliate.i18n import _
from affiliate.money import Money
from affiliate.orders import sales
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.programs import book, service
from affiliate.programs import queries as programs
from affiliate.programs.book import Book, Earning
from affiliate.programs.grades import PERIODS, Figures
from affiliate.programs.models import (
    Enrolment,
    Grade,
    Membership,
    MembershipState,
    Program,
    Terms,
)

OFFERS = 20  # programs to join that are shown
PRODUCTS = 24
# Who asks for one of these knows what they want.
LOOKING = frozenset({"q", "program", "country", "cursor", "sort"})
WORDS = 6  # of what is looked for
FEW = 3  # pieces in a week: fewer are chance
# What of a touch a shop can carry into an order, by the source it is to a program.
CARRIERS = {"click": "token", "coupon": "coupon", "sharer": "sharer"}
ONLY = {
    "coupon": _("coupon only"),
    "sharer": _("by the shop's own sharing only"),
    None: _("by claim only"),
}
# Pieces of the last week against those of the weeks before it, as many days each.
_GAIN = Sales.lately * (sales.DAYS - sales.WEEK) - (Sales.pieces - Sales.lately) * sales.WEEK


class Stopped(Forbidden):
    """Said in the promoter's language, before the service says it in English."""

    code = "promoter_stopped"

    def __init__(self) -> None:
        super().__init__(
            _("Your account is stopped: you cannot share or join anything. Ask the operator why.")
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A program as one promoter stands to it."""

    program: Program
    merchant: str
    terms: Terms
    state: str | None  # of the membership; None: never asked

    @property
    def key(self) -> str:
        return ids.encode("prg", self.program.merchant_id, self.program.id)

    def covers(self, merchant_id: int, shop_id: int) -> bool:
        same = self.program.merchant_id == merchant_id
        return same and (not self.program.shop_ids or shop_id in self.program.shop_ids)


@dataclass(frozen=True, slots=True)
class Goods:
    product: Product
    key: str
    shop: Shop
    place: Place
    rate_ppm: int | None  # None: an amount for each piece, whatever it costs
    price: Money | None
    list_price: Money | None  # while the price is reduced
    earns: Money | None

    @property
    def saves(self) -> Money | None:
        """What it is cheaper for the promoter's own use, where the program pays that."""
        return self.earns if self.place.terms.self_purchase == "rebate" else None

    @property
    def source(self) -> str | None:
        """What brings credit in this shop, links before all else; None: nothing by itself."""
        carried = connection(self.shop.platform).carries
        ways = (
            source
            for source, carrier in CARRIERS.items()
            if carrier in carried and source in self.place.terms.sources
        )
        return next(ways, None)

    @property
    def only(self) -> Any:
        """What alone counts, where links do not."""
        return None if self.source == "click" else ONLY[self.source]


@bp.get("/market/")
def market() -> ResponseReturnValue:
    promoter = people.promoter(current_promoter_id())
    places = places_of(promoter.id)
    mine = [each for each in places if each.state == MembershipState.ACTIVE]
    countries = _countries(mine)
    country = _asked_country(countries, promoter.country)
    wanted = _chosen(promoter.id, mine, country)
    rising = request.args.get("sort") == "rising"
    if rising:
        found, cursor = _rising(wanted), None
    else:
        found, cursor = lists.page(wanted, [Product.id], limit=PRODUCTS)
    offers = [each for each in places if each.state != MembershipState.ACTIVE]
    shown = [each for each in mine if each.key == request.args.get("program") or len(mine) == 1]
    return render_template(
        "promoter/market.html",
        country=country,
        countries=[(each, i18n.locale().territories[each]) for each in countries],
        goods=goods_of(found, mine, promoter.id),
        advised=[] if LOOKING & set(request.args) else _advised(promoter.id, mine),
        next=cursor,
        mine=mine,
        merchants={each.program.merchant_id for each in mine},
        grades=_grades(promoter.id, mine),
        rising=rising,
        offers=offers,
        shown=shown,
        worth=worth.of([each.program for each in [*shown, *offers[:OFFERS]]]),
    )


def _advised(promoter_id: int, mine: Sequence[Place]) -> list[tuple[Goods, Any]]:
    """What may be shared next, with the reason; nothing where nothing was sold so far."""
    merchants = sorted({each.program.merchant_id for each in mine})
    reasons = {
        (each.merchant_id, each.product_id): each.reason
        for each in recommending.advice(promoter_id, merchants)
    }
    if not reasons:
        return []
    keys = sa.tuple_(Product.merchant_id, Product.id).in_(list(reasons))
    in_stock = sa.or_(Product.stock.is_(None), Product.stock > 0)
    rows = db.session.scalars(visible(promoter_id).where(keys, in_stock)).all()
    products = {(row.merchant_id, row.id): row for row in rows}
    best = [products[key] for key in reasons if key in products][: recommending.SHOWN]
    return [
        (each, reasons[each.product.merchant_id, each.product.id])
        for each in goods_of(best, mine, promoter_id)
    ]


def _rising(wanted: sa.Select[Any]) -> Sequence[Product]:
    """What sells better this week than before, the most first."""
    sold = sa.and_(Sales.merchant_id == Product.merchant_id, Sales.product_id == Product.id)
    found = wanted.join(Sales, sold).where(_GAIN > 0, Sales.lately >= FEW)
    return db.session.scalars(found.order_by(_GAIN.desc(), Product.id).limit(PRODUCTS)).all()


def _grades(promoter_id: int, mine: Sequence[Place]) -> list[tuple[str, str]]:
    """The grades one has, with whose they are."""
    names = {each.program.merchant_id: each.merchant for each in mine}
    held = programs.grades_held(promoter_id, names)
    return [(names[merchant_id], grade.name) for merchant_id, grade in held.items()]


@bp.post("/market/join")
def join() -> ResponseReturnValue:
    """Safe to call again: who takes part or waits already is told so."""
    promoter_id = current_promoter_id()
    require_running(promoter_id)
    program = programs.program(*ids.decode_pair("prg", request.form.get("program", "")))
    merchant = people.merchant(program.merchant_id)
    if program.enrolment == Enrolment.INVITE or program.ended_at or merchant.suspended_at:
        raise NotFound(_("This program cannot be joined."))
    try:
        state = service.enrol(program, promoter_id, by_merchant=False).state
    except service.AlreadyEnrolled:
        member = programs.membership(program.merchant_id, program.id, promoter_id)
        state = member.state if member else ""
    if state == MembershipState.ACTIVE:
        flash(_("You take part in %(program)s. Share away!", program=program.name), "done")
    else:
        flash(_("Applied. You are told when %(name)s decides.", name=merchant.name), "done")
    return redirect(url_for("promoter.market"), 303)


def require_running(promoter_id: int) -> None:
    if people.promoter(promoter_id).suspended_at is not None:
        raise Stopped


def places_of(promoter_id: int) -> list[Place]:
    """Programs the promoter is in, and those that take people in; with the terms that hold now."""
    rows = db.session.execute(
        sa.select(Program, Merchant.name, Membership.state)
        .join(Merchant, Merchant.id == Program.merchant_id)
        .outerjoin(
            Membership,
            sa.and_(
                Membership.merchant_id == Program.merchant_id,
                Membership.program_id == Program.id,
                Membership.promoter_id == promoter_id,
            ),
        )
        .where(
            Program.ended_at.is_(None),
            Merchant.suspended_at.is_(None),
            sa.or_(programs.named(promoter_id), Membership.state == MembershipState.ACTIVE),
            sa.or_(
                Program.enrolment != Enrolment.INVITE, Membership.state == MembershipState.ACTIVE
            ),
        )
        .order_by(Membership.state.is_distinct_from(MembershipState.ACTIVE), Program.id)
        .limit(OFFERS * 5)
    ).all()
    terms = programs.terms_of([(row[0].merchant_id, row[0].id) for row in rows])
    now = clock.now()
    return [
        Place(program, name, programs.as_of(terms[program.merchant_id, program.id], now), state)
        for program, name, state in rows
    ]


def visible(promoter_id: int, country: str | None = None) -> sa.Select[Any]:
    """Products this promoter may share, everywhere or in one country."""
    return sa.select(Product).where(
        Product.hidden_at.is_(None),
        Product.gone_at.is_(None),
        programs.products_of_promoters([promoter_id]),
        sa.exists().where(
            Shop.merchant_id == Product.merchant_id,
            Shop.id == Product.shop_id,
            Shop.disconnected_at.is_(None),
            sa.true() if country is None else Shop.country == country,
        ),
    )


def goods_of(products: Sequence[Product], mine: Sequence[Place], promoter_id: int) -> list[Goods]:
    """Each product with the program of these that pays this promoter most for it."""
    shops = _shops(products)
    now = clock.now()
    books = programs.books({(each.program.merchant_id, each.program.id) for each in mine})
    pages = {key: book_of.as_of(now) for key, book_of in books.items()}
    groups = programs.groups_of(promoter_id, now)
    grades, volumes = _standing(promoter_id, books)

    def earning(product: Product, place: Place) -> Earning:
        return book.offered(
            pages[place.program.merchant_id, place.program.id],
            at=now,
            promoter_id=promoter_id,
            groups=groups,
            product=(product.shop_id, product.external_id),
            category=product.category,
            currency=product.currency,
            price=product.price,
            grade=grades[product.merchant_id].id if product.merchant_id in grades else None,
            volumes=volumes.get(product.merchant_id),
        )

    found = []
    for product in products:
        earnings = [
            (place, earning(product, place))
            for place in mine
            if place.covers(product.merchant_id, product.shop_id)
        ]
        if earnings:
            best = max(earnings, key=lambda each: each[1].worth)
            found.append(_goods(product, shops[product.merchant_id, product.shop_id], *best))
    return found


def _standing(
    promoter_id: int, books: Mapping[tuple[int, int], Book]
) -> tuple[dict[int, Grade], dict[int, dict[str, Figures]]]:
    """The promoter's grade and last closed periods, at merchants whose rules ask for them."""
    graded = {key[0] for key, each in books.items() if each.asks_grades}
    banded = {key[0] for key, each in books.items() if each.periods}
    present = (promoter_id, clock.now())
    return (
        programs.grades_held(promoter_id, graded) if graded else {},
        {
            merchant.id: commissions.volumes_of(merchant, [present], PERIODS, paid=())[present]
            for merchant in (people.merchants(banded).values() if banded else ())
        },
    )


def _goods(product: Product, shop: Shop, place: Place, earning: Earning) -> Goods:
    return Goods(
        product,
        ids.encode("prd", product.merchant_id, product.id),
        shop,
        place,
        None if earning.is_amount else earning.ppm,
        None if product.price is None else Money(product.price, product.currency),
        None if product.list_price is None else Money(product.list_price, product.currency),
        None if earning.amount is None else Money(earning.amount, product.currency),
    )


def _shops(products: Sequence[Product]) -> dict[tuple[int, int], Shop]:
    keys = {(each.merchant_id, each.shop_id) for each in products}
    wanted = sa.tuple_(Shop.merchant_id, Shop.id).in_(list(keys))
    rows = db.session.scalars(sa.select(Shop).where(wanted))
    return {(row.merchant_id, row.id): row for row in rows}


def _countries(mine: Collection[Place]) -> list[str]:
    """Where what these programs sell is sold."""
    merchants = {each.program.merchant_id for each in mine}
    shops = db.session.execute(
        sa.select(Shop.merchant_id, Shop.id, Shop.country).where(
            Shop.merchant_id.in_(merchants), Shop.disconnected_at.is_(None)
        )
    ).all()
    return sorted(
        {
            country
            for merchant_id, shop_id, country in shops
            if any(each.covers(merchant_id, shop_id) for each in mine)
        }
    )


def _asked_country(countries: Collection[str], home: str | None) -> str | None:
    """The one tapped; before that one's own, unless something is looked for; None is all."""
    asked = request.args.get("country")
    if asked is not None:
        return asked if asked in countries else None
    looking = request.args.get("q") or request.args.get("program")
    return home if home in countries and not looking else None


def _has(word: str) -> sa.ColumnElement[bool]:
    """Every word, wherever it stands, accents and wide letters or not. The index of pairs of
    letters finds candidates; that the pairs are one word is looked at in those alone.
    """
    plain = sa.func.plain_text
    words = plain(Product.title + " " + sa.func.coalesce(Product.category, ""))
    pairs: Any = Product.grams
    there = sa.func.strpos(words, plain(word)) > 0
    is_letter = len(word) == 1 and word < "⺀"  # of an alphabet: no pair, and no word by itself
    return there if is_letter else pairs.contains(sa.func.text_grams(word)) & there


def _chosen(promoter_id: int, mine: Iterable[Place], country: str | None) -> sa.Select[Any]:
    found = visible(promoter_id, country)
    for word in request.args.get("q", "").replace("\0", "")[:100].split()[:WORDS]:
        found = found.where(_has(word))
    asked = request.args.get("program")
    place = next((each for each in mine if each.key == asked), None)
    if place is not None:
        found = found.where(Product.merchant_id == place.program.merchant_id)
        if place.program.shop_ids:
            found = found.where(Product.shop_id.in_(place.program.shop_ids))
    return found
