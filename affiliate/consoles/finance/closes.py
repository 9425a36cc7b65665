"""Closing months: which are closed and as what, and which may be."""

from datetime import date

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.session import current_person
from affiliate.errors import invalid
from affiliate.i18n import _
from affiliate.ledger import rules
from affiliate.ledger.models import BookClose
from affiliate.money import Money
from affiliate.people.models import Merchant
from affiliate.people.rules import Right
from affiliate.settlement import closing


@bp.get("/closes/")
def closes() -> ResponseReturnValue:
    choices = access.merchants()
    merchant = _merchant(choices)
    found = closing.of_merchant(merchant.id) if merchant else []
    return render_template(
        "finance/closes.html",
        choices=choices,
        merchant=merchant,
        rows=[(each, _balances(each)) for each in found],
        waiting=closing.waiting(merchant.id) if merchant else [],
        people=words.users([each.closed_by for each in found]),
        may_close=access.may(Right.HANDLE_MONEY),
    )


@bp.post("/closes/")
def close_month() -> ResponseReturnValue:
    access.only(Right.HANDLE_MONEY)
    merchant_id = access.asked_merchant(request.form.get("merchant"))
    if merchant_id is None:
        raise invalid("/merchant", "missing", _("Choose a merchant."))
    month = _month(request.form.get("month", ""))
    closing.close(merchant_id, month, by=current_person().user.id)
    flash(_("%(month)s is closed.", month=formats.month(month)), "done")
    return redirect(url_for("finance.closes", merchant=ids.encode("mer", merchant_id)), 303)


def _merchant(choices: list[Merchant]) -> Merchant | None:
    asked = access.asked_merchant()
    known = {each.id: each for each in choices}
    return known.get(asked) if asked else next(iter(choices), None)


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise invalid("/month", "missing", _("Choose a month.")) from None


def _balances(row: BookClose) -> list[tuple[str, Money]]:
    return [
        (
            each["kind"],
            Money(rules.balance(each["kind"], each["debits"], each["credits"]), each["currency"]),
        )
        for each in row.balances
    ]
