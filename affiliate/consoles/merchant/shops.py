"""Shops: how to connect one, and how the connected ones are doing."""

from dataclasses import dataclass
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import CONNECTIONS, Connection, connection, topics
from affiliate.consoles.merchant import bp, shop_lines
from affiliate.consoles.merchant.shop_lines import Lines
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake import files, health
from affiliate.intake import queries as intake
from affiliate.intake import service as intake_service
from affiliate.intake.health import Health
from affiliate.people import queries as people
from affiliate.people.rules import Right


@dataclass(frozen=True, slots=True)
class Row:
    shop: Shop
    connection: Connection
    hook_url: str
    lines: Lines
    health: Health


# What a shop's owner is asked for, where its name alone does not tell.
LABELS = {
    "webhook_secret": _("Webhook secret"),
    "api_token": _("Access token"),
    "store_id": _("Number of the shop"),
    "app_id": _("App id"),
    "app_secret": _("App secret"),
    "refresh_token": _("Refresh token"),
    "consumer_key": _("Consumer key"),
    "consumer_secret": _("Consumer secret"),
    "shop_cipher": _("Shop cipher"),
    "aes_key": _("EncodingAESKey"),
}


@bp.get("/shops/")
def shops() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    return render_template(
        "merchant/shops.html",
        shops=_rows(merchant_id),
        quarantined=intake.quarantined(merchant_id, limit=20),
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )


@bp.get("/shops/new")
def new_shop() -> ResponseReturnValue:
    return _form({}, None)


@bp.post("/shops/new")
def create_shop() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    typed = request.form
    given = {name: typed.get(name, "").strip() for name in LABELS}
    try:
        shop, made = service.create_shop(
            merchant_id,
            platform=typed.get("platform", ""),
            domain=typed.get("domain", "").strip(),
            name=typed.get("name", "").strip(),
            currency=typed.get("currency", "").strip().upper(),
            country=typed.get("country", "").strip().upper(),
            credentials={name: value for name, value in given.items() if value},
        )
    except AffiliateError as refusal:
        return _form(typed, refusal)
    # The secret is shown on this page and never again, so there is no page to come back to.
    return render_template(
        "merchant/shop_connected.html",
        shop=shop,
        made=made,
        connection=connection(shop.platform),
        topics=topics(shop.platform),
        hook_url=catalog.hook_url(shop),
        lines=shop_lines.lines(shop, shop_lines.days(merchant_id)),
    )


@bp.post("/shops/<int:shop_id>/file")
def take_file(shop_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    shop = catalog.shop(merchant_id, shop_id)
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


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    chosen = typed.get("platform") or request.args.get("platform", "")
    platform = chosen if chosen in set(CONNECTIONS) else Platform.SHOPIFY
    page = render_template(
        "merchant/shop_form.html",
        typed=typed,
        refusal=refusal,
        platform=platform,
        connection=connection(platform),
        connections=CONNECTIONS,
        labels=LABELS,
    )
    return page, refusal.status if refusal else 200


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
