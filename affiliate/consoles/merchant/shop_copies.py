"""A shop's set-up copied into another market: first looked at, then done."""

from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog.platforms import CONNECTIONS, connection
from affiliate.consoles.merchant import bp
from affiliate.consoles.merchant.shop_setup import LABELS
from affiliate.consoles.merchant.shops import connected, faults, given, name, own
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake import copying
from affiliate.intake.copying import Market, Plan
from affiliate.people.rules import Right


@bp.get("/shops/<int:shop_id>/copy")
def copy_form(shop_id: int) -> ResponseReturnValue:
    """With a market in the address it shows what would be copied; nothing is written."""
    found = own(shop_id)
    if not request.args.get("country"):
        return _page(shop_id, {"platform": found.platform, "convert": "1"}, None, None)
    try:
        return _page(shop_id, request.args, copying.plan(found, _market(request.args)), None)
    except AffiliateError as refusal:
        return _page(shop_id, request.args, None, refusal)


@bp.post("/shops/<int:shop_id>/copy")
def copy_shop(shop_id: int) -> ResponseReturnValue:
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    found, typed = own(shop_id), request.form
    agreed = typed.get("rate", "")
    try:
        shop, made, done = copying.copy(
            found,
            _market(typed),
            by=current_caller().user_id,
            agreed_rate=int(agreed) if agreed.isdecimal() else None,
            platform=typed.get("platform", ""),
            domain=typed.get("domain", "").strip(),
            name=name(),
            credentials=given(typed),
            whole=False,
        )
    except AffiliateError as refusal:
        return _page(shop_id, typed, _plan_again(found, typed), refusal)
    words = _(
        "Copied from %(shop)s: %(programs)s programs, %(rules)s rules with amounts.",
        shop=found.name,
        programs=sum(not each.refusal for each in done.programs),
        rules=len(done.amounts),
    )
    flash(words, "done")
    if not connection(shop.platform).hooks:
        return redirect(url_for("merchant.shop", shop_id=shop.id), 303)
    return connected(shop, made)


def _market(typed: Mapping[str, str]) -> Market:
    return Market(
        country=typed.get("country", "").strip().upper(),
        currency=typed.get("currency", "").strip().upper(),
        convert=bool(typed.get("convert")),
    )


def _plan_again(shop: Any, typed: Mapping[str, str]) -> Plan | None:
    try:
        return copying.plan(shop, _market(typed))
    except AffiliateError:
        return None


def _page(
    shop_id: int, typed: Mapping[str, str], plan: Plan | None, refusal: AffiliateError | None
) -> ResponseReturnValue:
    found = own(shop_id)
    chosen = typed.get("platform", found.platform)
    platform = chosen if chosen in set(CONNECTIONS) else found.platform
    page = render_template(
        "merchant/shop_copy.html",
        shop=found,
        typed=typed,
        plan=plan,
        refusal=refusal,
        faults=faults(refusal),
        platform=platform,
        connection=connection(platform),
        connections=CONNECTIONS,
        labels=LABELS,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200
