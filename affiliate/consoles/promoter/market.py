"""The market: what may be shared, what it brings, and programs to join."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import clock, ids
from affiliate.catalog.models import Product, Shop
from affiliate.consoles import lists
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_promoter_id
from affiliate.db import db
from affiliate.errors import Forbidden, NotFound
from affiliate.i18n import _
from affiliate.money import Money, share
from affiliate.people import queries as people
from affiliate.people.models import Merchant
from affiliate.programs import queries as programs
from affiliate.programs import service
from affiliate.programs.models import Enrolment, Membership, MembershipState, Program, Terms

OFFERS = 20  # programs to join that are shown
PRODUCTS = 24


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

    def covers(self, product: Product) -> bool:
        same = self.program.merchant_id == product.merchant_id
        return same and (not self.program.shop_ids or product.shop_id in self.program.shop_ids)


@dataclass(frozen=True, slots=True)
class Goods:
    product: Product
    key: str
    shop: Shop
    place: Place
    price: Money | None
    earns: Money | None


@bp.get("/market/")
def market() -> ResponseReturnValue:
    promoter_id = current_promoter_id()
    places = places_of(promoter_id)
    mine = [each for each in places if each.state == MembershipState.ACTIVE]
    found, cursor = lists.page(_chosen(promoter_id, mine), [Product.id], limit=PRODUCTS)
    return render_template(
        "promoter/market.html",
        goods=goods_of(found, mine),
        next=cursor,
        mine=mine,
        offers=[each for each in places if each.state != MembershipState.ACTIVE],
    )


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


def visible(promoter_id: int) -> sa.Select[Any]:
    """Products this promoter may share."""
    return sa.select(Product).where(
        Product.hidden_at.is_(None),
        programs.products_of_promoters([promoter_id]),
        sa.exists().where(
            Shop.merchant_id == Product.merchant_id,
            Shop.id == Product.shop_id,
            Shop.disconnected_at.is_(None),
        ),
    )


def goods_of(products: Sequence[Product], mine: Iterable[Place]) -> list[Goods]:
    """Each product with the program of these that pays most for it."""
    keys = {(each.merchant_id, each.shop_id) for each in products}
    rows = db.session.scalars(
        sa.select(Shop).where(sa.tuple_(Shop.merchant_id, Shop.id).in_(list(keys)))
    )
    shops = {(row.merchant_id, row.id): row for row in rows}
    best_first = sorted(mine, key=lambda each: -each.terms.default_rate_ppm)
    return [
        _goods(each, shops[each.merchant_id, each.shop_id], place)
        for each in products
        if (place := next((place for place in best_first if place.covers(each)), None))
    ]


def _goods(product: Product, shop: Shop, place: Place) -> Goods:
    price = None if product.price is None else Money(product.price, product.currency)
    rate = place.terms.default_rate_ppm
    return Goods(
        product,
        ids.encode("prd", product.merchant_id, product.id),
        shop,
        place,
        price,
        price and Money(share(price.minor, rate), price.currency),
    )


def _chosen(promoter_id: int, mine: Iterable[Place]) -> sa.Select[Any]:
    found = visible(promoter_id)
    wanted = request.args.get("q", "").strip()
    if wanted:
        found = found.where(
            sa.or_(
                Product.title.icontains(wanted, autoescape=True),
                Product.category.icontains(wanted, autoescape=True),
            )
        )
    asked = request.args.get("program")
    place = next((each for each in mine if each.key == asked), None)
    if place is not None:
        found = found.where(Product.merchant_id == place.program.merchant_id)
        if place.program.shop_ids:
            found = found.where(Product.shop_id.in_(place.program.shop_ids))
    return found
