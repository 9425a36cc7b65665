"""Shops: how to connect one, and how the connected ones are doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import CONNECTIONS, Connection, connection, topics
from affiliate.consoles.merchant import bp, shop_lines
from affiliate.consoles.merchant.shop_guides import GUIDES, guide
from affiliate.consoles.merchant.shop_lines import Lines
from affiliate.consoles.merchant.shop_setup import CARRIES, LABELS, progress
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.intake import consent, files, health, trying
from affiliate.intake import queries as intake
from affiliate.intake import service as intake_service
from affiliate.intake.health import Health
from affiliate.people import queries as people
from affiliate.people.rules import Right
from affiliate.programs import service as programs

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Row:
    shop: Shop
    connection: Connection
    hook_url: str
    lines: Lines
    health: Health


@bp.get("/shops/")
def shops() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    return render_template(
        "merchant/shops.html",
        shops=_rows(merchant_id),
        quarantined=intake.quarantined(merchant_id, limit=20),
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )


# --- connecting one ------------------------------------------------------------------------------


@bp.get("/shops/new")
def new_shop() -> ResponseReturnValue:
    chosen = request.args.get("platform", "")
    if chosen in set(CONNECTIONS):
        return form_page(chosen, {}, None)
    return render_template(
        "merchant/shop_platforms.html", connections=CONNECTIONS, guides=GUIDES, carries=CARRIES
    )


@bp.post("/shops/new")
def create_shop() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    typed = request.form
    try:
        country = typed.get("country", "").strip().upper()
        programs.check_new_shop(merchant_id, country)
        shop, made = service.create_shop(
            merchant_id,
            platform=typed.get("platform", ""),
            domain=typed.get("domain", "").strip(),
            name=name(),
            currency=typed.get("currency", "").strip().upper(),
            country=country,
            credentials=given(typed),
            whole=False,
        )
    except service.ShopExists as refusal:
        if refusal.shop_id is None:
            return form_page(typed.get("platform", ""), typed, refusal)
        words = _(
            "This shop is connected already. If you have not copied its secret, make a new one."
        )
        flash(words, "wait")
        return redirect(url_for("merchant.shop", shop_id=refusal.shop_id), 303)
    except AffiliateError as refusal:
        return form_page(typed.get("platform", ""), typed, refusal)
    return connected(shop, made)


def connected(shop: Shop, made: Mapping[str, str]) -> ResponseReturnValue:
    """What to paste into the shop. A secret that was made is shown in this answer and never again,
    so there is no page to come back to.
    """
    return render_template(
        "merchant/shop_connected.html",
        shop=shop,
        made=made,
        **_of(shop),
    )


# --- one that is connected -----------------------------------------------------------------------


@bp.get("/shops/<int:shop_id>/")
def shop(shop_id: int) -> ResponseReturnValue:
    found = own(shop_id)
    return render_template(
        "merchant/shop.html",
        shop=found,
        progress=progress(found),
        health=health.of_shops([found])[found.id],
        may_write=current_caller().may(Right.RUN_MERCHANT),
        **_of(found),
    )


@bp.get("/shops/<int:shop_id>/progress")
def shop_progress(shop_id: int) -> ResponseReturnValue:
    """The steps alone, for a page that is open while the first events come in."""
    found = own(shop_id)
    return render_template(
        "merchant/_shop_progress.html",
        shop=found,
        progress=progress(found),
        may_write=current_caller().may(Right.RUN_MERCHANT),
        **_of(found),
    )


@bp.post("/shops/<int:shop_id>/test")
def test_shop(shop_id: int) -> ResponseReturnValue:
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    trying.send(own(shop_id))
    if request.headers.get("HX-Request"):
        return make_response("", 204)  # what becomes of it is told like any event
    flash(_("A test order was sent. It is booked within a second."), "done")
    return redirect(url_for("merchant.shop", shop_id=shop_id), 303)


@bp.post("/shops/<int:shop_id>/secret")
def new_secret(shop_id: int) -> ResponseReturnValue:
    """A new secret of our making; the one before stays good for a day."""
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found = own(shop_id, lock=True)
    if not connection(found.platform).makes_secret:
        raise NotFound(_("This shop's secret is made in its own settings."))
    return connected(found, service.change_shop(found, credentials={}))


@bp.post("/shops/<int:shop_id>/miniprogram")
def change_mini_program(shop_id: int) -> ResponseReturnValue:
    """The shop inside of WeChat; nothing typed: there is none."""
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found = own(shop_id, lock=True)
    typed = {name: request.form.get(name, "").strip()[:300] for name in ("appid", "path")}
    service.set_miniprogram(found, typed if any(typed.values()) else None)
    flash(_("Saved."), "done")
    return redirect(url_for("merchant.shop", shop_id=shop_id), 303)


@bp.post("/shops/<int:shop_id>/credentials")
def change_credentials(shop_id: int) -> ResponseReturnValue:
    """Only what was typed is changed."""
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found = own(shop_id, lock=True)
    if typed := given(request.form):
        service.change_shop(found, credentials=typed, whole=False)
        flash(_("Saved. What is kept here is never shown again."), "done")
    return redirect(url_for("merchant.shop", shop_id=shop_id), 303)


@bp.post("/shops/<int:shop_id>/name")
def rename_shop(shop_id: int) -> ResponseReturnValue:
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found = own(shop_id, lock=True)
    service.change_shop(found, name=name() or found.domain)
    return redirect(url_for("merchant.shop", shop_id=shop_id), 303)


@bp.post("/shops/<int:shop_id>/disconnect")
def disconnect_shop(shop_id: int) -> ResponseReturnValue:
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found = own(shop_id, lock=True)
    service.disconnect_shop(found)
    flash(_("%(shop)s is disconnected. What it told us stays.", shop=found.name), "done")
    return redirect(url_for("merchant.shops"), 303)


@bp.post("/shops/<int:shop_id>/file")
def take_file(shop_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    shop = own(shop_id)
    sent = request.files.get("file")
    zone = people.merchant(merchant_id).timezone
    taken = files.take(shop, sent.read() if sent else b"", zone)
    words = _("%(orders)s orders read, of which %(changed)s are new or changed.", **taken._asdict())
    flash(words, "done")
    return redirect(url_for("merchant.shops"), 303)


@bp.post("/shops/retry")
def retry() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    moved = intake_service.retry(merchant_id)
    flash(_("%(count)s events are tried again.", count=moved), "done")
    return redirect(url_for("merchant.shops"), 303)


def own(shop_id: int, *, lock: bool = False) -> Shop:
    """One that is connected; another merchant's is none."""
    found = catalog.shop(current_merchant_id(), shop_id, lock=lock)
    if found.disconnected_at is not None:
        raise NotFound(_("This shop is not connected any more."))
    return found


def name() -> str:
    return request.form.get("name", "").strip()[:LONGEST_NAME]


def given(typed: Mapping[str, str]) -> dict[str, str]:
    """The credentials that were typed."""
    found = {each: typed.get(each, "").strip() for each in LABELS}
    return {each: value for each, value in found.items() if value}


def faults(refusal: AffiliateError | None) -> dict[str, Any]:
    """What is wrong with a typed shop, by field."""
    return {
        each.pointer.rpartition("/")[2]: each.message
        for each in (refusal.errors if refusal else ())
    }


def form_page(platform: str, typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    merchant = people.merchant(current_merchant_id())
    known = platform if platform in set(CONNECTIONS) else Platform.STANDARD
    page = render_template(
        "merchant/shop_form.html",
        typed=typed,
        merchant=merchant,
        refusal=refusal,
        faults=faults(refusal),
        platform=known,
        connection=connection(known),
        guide=guide(known),
        by_consent=consent.app_of(known) is not None,
        labels=LABELS,
        carries=CARRIES,
    )
    return page, refusal.status if refusal else 200


def _of(shop: Shop) -> dict[str, Any]:
    """What pages about one shop show of how it is connected."""
    return {
        "connection": connection(shop.platform),
        "guide": guide(shop.platform),
        "topics": topics(shop.platform),
        "hook_url": catalog.hook_url(shop),
        "lines": shop_lines.lines(shop, shop_lines.days(shop.merchant_id)),
        "by_consent": consent.app_of(shop.platform) is not None,
        "example": shop_lines.example(shop),
        "labels": LABELS,
        "carries": CARRIES,
    }


def _rows(merchant_id: int) -> list[Row]:
    found = catalog.shops(merchant_id)
    every = health.of_shops(found)
    days = shop_lines.days(merchant_id)
    return [
        Row(
            shop,
            connection(shop.platform),
            catalog.hook_url(shop),
            shop_lines.lines(shop, days),
            every[shop.id],
        )
        for shop in found
    ]
