"""What merchants have to send, by when, so that payees can be paid."""

from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from affiliate import clock, i18n
from affiliate.consoles.finance import access, bp, words
from affiliate.money import exponent
from affiliate.people.rules import Right
from affiliate.settlement import outlook
from affiliate.settlement.models import Settlement


@bp.get("/funding/")
def funding() -> ResponseReturnValue:
    needs = outlook.needs(access.asked_scope(), clock.now(), i18n.zone())
    currencies = sorted({each.currency for each in needs})
    return render_template(
        "finance/funding.html",
        needs=needs,
        merchants=words.merchant_names({each.merchant_id for each in needs}),
        choices=access.merchants(),
        charts=[
            _chart(currency, [each for each in needs if each.currency == currency])
            for currency in currencies
        ],
        may_handle=access.may(Right.HANDLE_MONEY),
    )


def missing_for(row: Settlement) -> list[outlook.Need]:
    """Currencies of a settlement for which its merchant has sent too little yet."""
    found = outlook.needs_now(frozenset({row.merchant_id}))
    return [each for each in found if each.currency in row.totals and each.now]


def _chart(currency: str, needs: list[outlook.Need]) -> dict[str, Any]:
    """In whole units, for the eye."""
    days = outlook.by_day(needs, clock.now().astimezone(i18n.zone()).date())
    unit = 10 ** exponent(currency)
    hand = sum(max(0, each.hand) for each in needs) / unit
    return {
        "currency": currency,
        "digits": exponent(currency),
        "days": [day for day, _amount in days],
        "needed": [amount / unit for _day, amount in days],
        "hand": [hand] * len(days),
    }
