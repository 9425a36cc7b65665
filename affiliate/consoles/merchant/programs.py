"""Programs: what they pay, to whom, and how long money is held."""

from typing import Any

import sqlalchemy as sa
from flask import current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import formats, ids
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError, Invalid
from affiliate.i18n import _
from affiliate.people.rules import Right
from affiliate.programs import queries, service, utm
from affiliate.programs.models import Membership, Program, SoldOut, Terms
from affiliate.programs.rules import Offer

TIERS = 2  # asked for on the page; the API takes as many as the policy allows


@bp.get("/programs/")
def programs() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    running = queries.running(merchant_id)
    return render_template(
        "merchant/programs.html",
        programs=running,
        invitations={program.id: _invitation(program) for program, _terms in running},
        members=_members(merchant_id),
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )


@bp.get("/programs/new")
def new_program() -> ResponseReturnValue:
    return _form(None, None, {}, None)


@bp.post("/programs/new")
def create_program() -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    try:
        service.create_program(
            merchant_id,
            name=_name(),
            enrolment=request.form.get("enrolment", "open"),
            sold_out=_sold_out(),
            utm=_utm(),
            offer=Offer(**_typed_terms()),
        )
    except AffiliateError as refusal:
        return _form(None, None, request.form, refusal)
    flash(_("The program runs. Promoters see it in the market."), "done")
    return redirect(url_for("merchant.programs"), 303)


@bp.get("/programs/<int:program_id>")
def program(program_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    found = queries.program(merchant_id, program_id)
    return _form(found, queries.latest_terms(merchant_id, program_id), {}, None)


@bp.post("/programs/<int:program_id>")
def change_program(program_id: int) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    found = queries.program(merchant_id, program_id, lock=True)
    terms = queries.latest_terms(merchant_id, program_id)
    if request.form.get("version") != str(found.version):
        return _form(found, terms, request.form, _Meanwhile())
    try:
        changes = {
            "name": _name(),
            "enrolment": request.form.get("enrolment", found.enrolment),
            "sold_out": _sold_out(),
            "utm": _utm(),
            **_typed_terms(),
        }
        service.change_program(found, changes)
    except AffiliateError as refusal:
        return _form(found, terms, request.form, refusal)
    flash(_("Saved. New terms hold for orders paid from now on."), "done")
    return redirect(url_for("merchant.programs"), 303)


class _Meanwhile(AffiliateError):
    """Two people on one page: the second is told, and loses nothing that was typed."""

    def __init__(self) -> None:
        super().__init__(_("Somebody else changed this program meanwhile. Look at it again."))


def _name() -> str:
    name = request.form.get("name", "").strip()
    if not name:
        raise Invalid(_("A program needs a name."))
    return name[:200]


def _sold_out() -> SoldOut:
    typed = request.form.get("sold_out", SoldOut.REDIRECT)
    return SoldOut(typed) if typed in set(SoldOut) else SoldOut.REDIRECT


def _utm() -> dict[str, str] | None:
    """None where nothing is typed: then our own two parameters are added."""
    typed = {name: request.form.get(name, "").strip()[:500] for name in utm.NAMES}
    return utm.checked({name: text for name, text in typed.items() if text} or None)


def _typed_terms() -> dict[str, Any]:
    typed = request.form
    tiers = [typed.get(f"tier_{level}", "").strip() for level in range(2, 2 + TIERS)]
    return {
        "default_rate_ppm": formats.typed_ppm(typed.get("rate", "")),
        "tiers_ppm": [formats.typed_ppm(each) for each in tiers if each],
        "window_days": _whole(typed.get("window_days", "30")),
        "hold_days": _whole(typed.get("hold_days", "15")),
        "self_purchase": typed.get("self_purchase", "none"),
        "inactive_upline": typed.get("inactive_upline", "skip"),
    }


def _whole(text: str) -> int:
    if not text.strip().isdecimal():
        raise formats.NotANumber(_("Days are a whole number, like 30."))
    return int(text)


def _form(
    found: Program | None, terms: Terms | None, typed: Any, refusal: AffiliateError | None
) -> ResponseReturnValue:
    page = render_template(
        "merchant/program_form.html",
        program=found,
        terms=terms,
        typed=typed,
        refusal=refusal,
        utm_names=utm.NAMES,
        utm_places=utm.PLACES,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200


def _invitation(program: Program) -> str:
    """Where promoters join it who know nobody in it yet."""
    address = current_app.config["SETTINGS"].address
    return f"{address}/join/{ids.encode('prg', program.merchant_id, program.id)}"


def _members(merchant_id: int) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Membership.program_id, sa.func.count())
        .where(Membership.merchant_id == merchant_id, Membership.state == "active")
        .group_by(Membership.program_id)
    )
    return {program_id: count for program_id, count in rows}  # noqa: C416
