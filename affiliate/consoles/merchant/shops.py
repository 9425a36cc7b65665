"""Shops: how to connect one, and how the connected ones are doing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Shop
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake import queries as intake
from affiliate.intake import service as intake_service
from affiliate.intake.models import Event
from affiliate.people.rules import Right


@dataclass(frozen=True, slots=True)
class Row:
    shop: Shop
    hook_url: str
    last_event_at: datetime | None
    counts: dict[str, int]


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
    secret = typed.get("webhook_secret", "").strip()
    try:
        shop, made = service.create_shop(
            merchant_id,
            platform=typed.get("platform", ""),
            domain=typed.get("domain", "").strip(),
            name=typed.get("name", "").strip(),
            currency=typed.get("currency", "").strip().upper(),
            country=typed.get("country", "").strip().upper(),
            credentials={"webhook_secret": secret} if secret else {},
        )
    except AffiliateError as refusal:
        return _form(typed, refusal)
    # The secret is shown on this page and never again, so there is no page to come back to.
    return render_template(
        "merchant/shop_connected.html", shop=shop, made=made, hook_url=catalog.hook_url(shop)
    )


@bp.post("/shops/retry")
def retry() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    moved = intake_service.retry(merchant_id)
    flash(_("%(count)s events are tried again.", count=moved), "done")
    return redirect(url_for("merchant.shops"), 303)


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    page = render_template(
        "merchant/shop_form.html",
        typed=typed,
        refusal=refusal,
        platform=typed.get("platform") or request.args.get("platform", "shopify"),
    )
    return page, refusal.status if refusal else 200


def _rows(merchant_id: int) -> list[Row]:
    counts: dict[int, dict[str, int]] = {}
    last: dict[int, datetime] = {}
    for shop_id, state, count, at in db.session.execute(
        sa.select(Event.shop_id, Event.state, sa.func.count(), sa.func.max(Event.received_at))
        .where(Event.merchant_id == merchant_id)
        .group_by(Event.shop_id, Event.state)
    ):
        counts.setdefault(shop_id, {})[state] = count
        last[shop_id] = max(at, last.get(shop_id, at))
    return [
        Row(shop, catalog.hook_url(shop), last.get(shop.id), counts.get(shop.id, {}))
        for shop in catalog.shops(merchant_id)
    ]
