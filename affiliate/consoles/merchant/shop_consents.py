"""A shop connected by its owner's consent at the platform, instead of copied tokens."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.platforms import connection
from affiliate.consoles.merchant import bp
from affiliate.consoles.merchant.shops import form_page, name, own
from affiliate.consoles.session import current_caller, current_merchant_id, current_person
from affiliate.db import let_go
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake import consent
from affiliate.people.rules import Right
from affiliate.programs import service as programs


@bp.post("/shops/consent")
def ask_consent() -> ResponseReturnValue:
    """A page with the way there: a form of ours may not lead to another site."""
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    typed = request.form
    platform = typed.get("platform", "")
    try:
        asked = consent.asked_for(
            merchant_id,
            platform,
            domain=typed.get("domain", "").strip(),
            name=name(),
            country=typed.get("country", "").strip().upper(),
            currency=typed.get("currency", "").strip().upper(),
        )
        programs.check_new_shop(merchant_id, asked.country)
        service.check_place(asked.country, asked.currency)
        address = consent.begin(asked, session_id=current_person().session.id)
    except AffiliateError as refusal:
        return form_page(platform, typed, refusal)
    return _way_there(platform, asked.domain, address)


@bp.post("/shops/<int:shop_id>/consent")
def renew_consent(shop_id: int) -> ResponseReturnValue:
    """The same for a shop that is connected: new tokens."""
    current_caller().require(Right.RUN_MERCHANT, current_merchant_id())
    shop = own(shop_id)
    asked = consent.Asked(
        shop.merchant_id,
        shop.platform,
        shop.domain,
        shop.name,
        shop.country,
        shop.currency,
        shop.id,
    )
    address = consent.begin(asked, session_id=current_person().session.id)
    return _way_there(shop.platform, shop.domain, address)


@bp.get("/shops/consent/<any(shopify, mercadolibre, tiendanube):platform>")
def take_consent(platform: str) -> ResponseReturnValue:
    """Where the platform sends its owner back to. Nothing in the address is believed but the code,
    and that only together with what was asked for.
    """
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    session_id = current_person().session.id
    asked, code, verifier = consent.take(
        platform, request.args.to_dict(), session_id=session_id, merchant_id=merchant_id
    )
    let_go()
    credentials = consent.exchange(asked, code, verifier)
    if asked.shop_id is not None:
        shop = catalog.shop(merchant_id, asked.shop_id, lock=True)
        consent.check_same(shop, credentials)
        service.change_shop(shop, credentials=credentials)
    else:
        shop, _made = service.create_shop(
            merchant_id,
            platform=platform,
            domain=asked.domain,
            name=asked.name,
            country=asked.country,
            currency=asked.currency,
            credentials=credentials,
        )
    consent.ring_to_register(shop)
    flash(_("%(shop)s is connected.", shop=shop.name), "done")
    return redirect(url_for("merchant.shop", shop_id=shop.id), 303)


def _way_there(platform: str, domain: str, address: str) -> ResponseReturnValue:
    return render_template(
        "merchant/shop_consent.html",
        connection=connection(platform),
        domain=domain,
        address=address,
    )
