"""Reviews that were written elsewhere: brought along as a table, shown with where they are from."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate.catalog import queries, service
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError
from affiliate.i18n import _
from affiliate.intake import sheets
from affiliate.people.rules import Right


@bp.get("/reviews/")
def reviews() -> ResponseReturnValue:
    return _page()


@bp.post("/reviews/")
def take_reviews() -> ResponseReturnValue:
    merchant_id = _merchant()
    typed = request.form.get("shop", "")
    shop = queries.shop(merchant_id, int(typed) if typed.isdecimal() else 0)
    sent = request.files.get("file")
    try:
        with db.session.begin_nested():
            taken = service.take_reviews(shop, sheets.rows(sent.read() if sent else b""))
    except AffiliateError as refusal:
        return _page(refusal)
    words = _(
        "%(added)s reviews are new, %(changed)s changed, %(known)s were known.",
        added=taken.added, changed=taken.changed, known=taken.known,
    )  # fmt: skip
    flash(words, "done")
    return redirect(url_for("merchant.reviews"), 303)


@bp.post("/reviews/delete")
def delete_reviews() -> ResponseReturnValue:
    """All of one origin, and only those."""
    gone = service.delete_reviews(_merchant(), request.form.get("origin", ""))
    flash(_("%(count)s reviews are deleted.", count=gone), "done")
    return redirect(url_for("merchant.reviews"), 303)


def _merchant() -> int:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    return merchant_id


def _page(refusal: AffiliateError | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    page = render_template(
        "merchant/reviews.html",
        origins=queries.origins_of_reviews(merchant_id),
        shops=queries.shops(merchant_id),
        refusal=refusal,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200
