"""Grades: the merchant's ladder, what earns each step, and how many stand on it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats
from affiliate.commissions import service as commissions
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.errors import AffiliateError, invalid
from affiliate.i18n import _, _n
from affiliate.people import queries as people
from affiliate.people import service as people_service
from affiliate.people.models import Merchant
from affiliate.people.rules import Right
from affiliate.programs import queries, service
from affiliate.programs.grades import DEMOTIONS, MONEY, PERIODS
from affiliate.programs.models import Grade

WAYS, NEEDS = 2, 2  # asked for on the page; the API takes more
MEASURES: Mapping[str, Any] = MappingProxyType(
    {
        "orders": _("Orders"),
        "sales": _("Sales"),
        "team_orders": _("Orders with team"),
        "team_sales": _("Sales with team"),
    }
)
PERIOD_WORDS: Mapping[str, Any] = MappingProxyType(
    {"month": _("Every month"), "quarter": _("Every quarter")}
)
DEMOTION_WORDS: Mapping[str, Any] = MappingProxyType(
    {
        "none": _("Nobody goes down"),
        "one": _("One step at most"),
        "full": _("To what was earned"),
    }
)


@bp.get("/grades/")
def grades() -> ResponseReturnValue:
    merchant = people.merchant(current_merchant_id())
    return render_template(
        "merchant/grades.html",
        merchant=merchant,
        rows=queries.ladder(merchant.id),
        counts=queries.grade_counts(merchant.id),
        words=_words,
        periods=list(PERIOD_WORDS.items()),
        demotions=list(DEMOTION_WORDS.items()),
        may_write=current_caller().may(Right.RUN_MERCHANT),
        may_own=current_caller().may(Right.OWN_MERCHANT),
    )


@bp.post("/grades/")
def set_ladder() -> ResponseReturnValue:
    """How often grades are looked at again, and how far down that may take somebody."""
    merchant = _own(Right.OWN_MERCHANT)
    period, demotion = request.form.get("period"), request.form.get("demotion")
    if period in PERIODS and demotion in DEMOTIONS:
        changes = {"grade_period": period, "grade_demotion": demotion}
        people_service.change_merchant(merchant, changes)
        flash(_("Saved. It counts from the next closed period on."), "done")
    return redirect(url_for("merchant.grades"), 303)


@bp.post("/grades/now")
def grade_now() -> ResponseReturnValue:
    changed = len(commissions.grade_now(_own(Right.RUN_MERCHANT)))
    flash(_n("%(num)s promoter has another grade.", "%(num)s promoters have another grade.",
             changed), "done")  # fmt: skip
    return redirect(url_for("merchant.grades"), 303)


@bp.get("/grades/new")
def new_grade() -> ResponseReturnValue:
    return _form(None, {}, None)


@bp.post("/grades/new")
def create_grade() -> ResponseReturnValue:
    merchant = _own(Right.RUN_MERCHANT)
    try:
        service.create_grade(merchant.id, **_typed(merchant))
    except AffiliateError as refusal:
        return _form(None, request.form, refusal)
    flash(_("The grade is there. Rules may ask for it from now on."), "done")
    return redirect(url_for("merchant.grades"), 303)


@bp.get("/grades/<int:grade_id>")
def grade(grade_id: int) -> ResponseReturnValue:
    found = queries.grade(current_merchant_id(), grade_id)
    return _form(found, _filled(found), None)


@bp.post("/grades/<int:grade_id>")
def change_grade(grade_id: int) -> ResponseReturnValue:
    merchant = _own(Right.RUN_MERCHANT)
    found = queries.grade(merchant.id, grade_id, lock=True)
    try:
        typed = _typed(merchant)
        if not _fits(found, merchant.currency):
            del typed["needs"]  # the form could not show them: they stay as the API stated them
        service.change_grade(found, typed)
    except AffiliateError as refusal:
        return _form(found, request.form, refusal)
    flash(_("Saved. It counts from the next closed period on."), "done")
    return redirect(url_for("merchant.grades"), 303)


@bp.post("/grades/<int:grade_id>/end")
def end_grade(grade_id: int) -> ResponseReturnValue:
    merchant = _own(Right.RUN_MERCHANT)
    found = service.end_grade(queries.grade(merchant.id, grade_id, lock=True))
    flash(_("%(grade)s is not used any more.", grade=found.name), "done")
    return redirect(url_for("merchant.grades"), 303)


def _own(right: Right) -> Merchant:
    merchant_id = current_merchant_id()
    current_caller().require(right, merchant_id)
    return people.merchant(merchant_id, lock=True)


def _typed(merchant: Merchant) -> dict[str, Any]:
    name = request.form.get("name", "").strip()[:200]
    if not name:
        raise invalid("/name", "missing", _("A name, please."))
    rank = request.form.get("rank", "").strip()
    if not rank.isdecimal() or len(rank) > 4 or not 1 <= int(rank) <= 1000:
        raise invalid("/rank", "out_of_range", _("From %(least)s to %(most)s.", least=1, most=1000))
    ways = [
        [need for each in range(NEEDS) if (need := _need(f"{way}-{each}", merchant.currency))]
        for way in range(WAYS)
    ]
    return {"name": name, "rank": int(rank), "needs": [way for way in ways if way]}


def _need(place: str, currency: str) -> dict[str, Any] | None:
    measure = request.form.get(f"measure-{place}", "")
    text = request.form.get(f"at_least-{place}", "").strip()
    if measure not in MEASURES or not text:
        return None
    if measure not in MONEY:
        if not text.isdecimal() or len(text) > 12:
            raise invalid(f"/at_least-{place}", "not_a_number", _("A whole number, please."))
        return {"measure": measure, "at_least": int(text)}
    try:
        amount = formats.typed_minor(text, currency)
    except formats.NotANumber as error:
        raise invalid(f"/at_least-{place}", error.code, error.message) from error
    return {"measure": measure, "at_least": amount, "currency": currency}


def _fits(found: Grade, currency: str) -> bool:
    """Whether the form can show all that earns this grade."""
    return len(found.needs) <= WAYS and all(
        len(needs) <= NEEDS and all(need.get("currency") in (None, currency) for need in needs)
        for needs in found.needs
    )


def _filled(found: Grade) -> dict[str, Any]:
    filled: dict[str, Any] = {"name": found.name, "rank": found.rank}
    for way, needs in enumerate(found.needs[:WAYS]):
        for place, need in enumerate(needs[:NEEDS]):
            filled[f"measure-{way}-{place}"] = need["measure"]
            filled[f"at_least-{way}-{place}"] = (
                formats.amount(need["at_least"], need["currency"])
                if need.get("currency")
                else need["at_least"]
            )
    return filled


def _words(need: Mapping[str, Any]) -> str:
    """A need as people read it: "Sales from R$ 1.000,00"."""
    currency = need.get("currency")
    value = formats.money(need["at_least"], currency) if currency else need["at_least"]
    return str(_("%(measure)s from %(value)s", measure=MEASURES[need["measure"]], value=value))


def _form(found: Grade | None, typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    currency = people.merchant(current_merchant_id()).currency
    page = render_template(
        "merchant/grade_form.html",
        fits=found is None or _fits(found, currency),
        words=_words,
        grade=found,
        typed=typed,
        ways=range(WAYS),
        needs=range(NEEDS),
        measures=list(MEASURES.items()),
        currency=currency,
        refusal=refusal if refusal and not faults.keys() & {"name", "rank"} else None,
        faults=faults,
    )
    return page, refusal.status if refusal else 200
