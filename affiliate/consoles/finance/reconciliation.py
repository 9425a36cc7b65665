"""The books beside the bank: what is in hand and why, and a statement compared line by line."""

from typing import Any
from zoneinfo import ZoneInfo

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import statements
from affiliate.consoles.finance import access, bp, words
from affiliate.consoles.finance.rails import MOST_BYTES, uploaded
from affiliate.consoles.statements import Choice
from affiliate.errors import AffiliateError
from affiliate.ledger import queries as ledger
from affiliate.ledger import service as books
from affiliate.money import decimal_text
from affiliate.people.rules import Right
from affiliate.settlement import bank_lines, reconciling
from affiliate.settlement.reconciling import Compared, Found, Match

SHOWN = 200  # lines of a comparison


@bp.get("/reconciliation/")
def reconciliation() -> ResponseReturnValue:
    return _page(None, None)


@bp.post("/reconciliation/")
def compare() -> ResponseReturnValue:
    """Shows how a bank's statement and the books agree; nothing is stored or booked."""
    request.max_form_memory_size = MOST_BYTES
    chosen = _chosen() or abort(404)
    compared: list[Compared] = []

    def look() -> None:
        lines = bank_lines.read(uploaded(), chosen.currency)
        zone = ZoneInfo(statements.asked_period(chosen).zone)
        key = (chosen.owner.merchant_id, chosen.currency)
        compared.append(reconciling.compare(*key, lines, zone))

    if refusal := access.refused(look):
        return _page(None, refusal), refusal.status
    return _page(compared[0], None)


def _chosen() -> Choice | None:
    return statements.chosen_of(_choices())


def _choices() -> list[Choice]:
    return statements.of_merchants([each.id for each in access.merchants()])


def _page(compared: Compared | None, refusal: AffiliateError | None) -> str:
    choices = _choices()
    names = words.merchant_names({each.owner.merchant_id for each in choices})
    common = {"choices": [(each, names[each.owner.merchant_id]) for each in choices]}
    chosen = statements.chosen_of(choices)
    if chosen is None:
        return render_template("finance/reconciliation.html", chosen=None, **common)
    period = statements.asked_period(chosen)
    key = (chosen.owner.merchant_id, chosen.currency)
    waiting = reconciling.open_payouts(*key)
    paid = compared.payouts[:SHOWN] if compared else []
    account = ledger.find(books.clearing(*key))
    return render_template(
        "finance/reconciliation.html",
        **common,
        chosen=chosen,
        currency=chosen.currency,
        merchant=names[key[0]],
        period=period,
        months=statements.months(chosen, period),
        month=reconciling.month(*key, period),
        account=ids.encode("lac", key[0], account.id) if account else None,
        waiting=waiting,
        payees=words.payees((each.payee_kind, each.payee_id) for each in (*waiting, *paid)),
        compared=compared,
        lines=_in_order(compared) if compared else [],
        most=SHOWN,
        found=words.FOUND,
        typed=lambda each: _typed(each, chosen),
        refusal=refusal,
        wrong=[
            (each.pointer.rpartition("/")[2], each.message)
            for each in (refusal.errors if refusal else ())
            if each.pointer.startswith("/content/")
        ],
        fault=next(
            (each.message for each in (refusal.errors if refusal else ())
             if each.pointer == "/file"), None,
        ),
        may_handle=access.may(Right.HANDLE_MONEY),
    )  # fmt: skip


def _in_order(compared: Compared) -> list[Match]:
    """What needs somebody first."""
    return sorted(compared.lines, key=lambda each: each.found == Found.AGREES)


def _typed(each: Match, chosen: Choice) -> dict[str, Any]:
    """For the form of a pay-in: what the bank said of money that came in."""
    return {
        "merchant": ids.encode("mer", chosen.owner.merchant_id),
        "currency": chosen.currency,
        "amount": decimal_text(each.line.amount, chosen.currency),
        "reference": each.line.text[:300],
    }
