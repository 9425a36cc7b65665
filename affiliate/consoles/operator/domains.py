"""Short domains: which there are, whether they lead here, and which one new links take."""

from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles.operator import bp
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.links import domains as service
from affiliate.links.models import ShortDomain
from affiliate.notices.letters import DOMAIN_FAULTS


@bp.get("/domains/")
def domains() -> ResponseReturnValue:
    return _page({}, None)


@bp.post("/domains/")
def add_domain() -> ResponseReturnValue:
    typed = request.form
    try:
        service.add(
            typed.get("address", "")[:300],
            countries=typed.get("countries", "").replace("，", ",").split(","),
            is_default=typed.get("is_default") == "1",
        )
    except AffiliateError as refusal:
        return _page(typed, refusal)
    flash(_("Added. New links take it as soon as it was found to lead here."), "done")
    return redirect(url_for("operator.domains"), 303)


@bp.post("/domains/<domain_id>")
def change_domain(domain_id: str) -> ResponseReturnValue:
    """Whatever button was pressed: block, unblock, default or probe."""
    found = _one(domain_id)
    what = request.form.get("what")
    if what == "block":
        service.change(found, {"blocked": True})
        words = _(
            "%(domain)s is taken out of new links. Old ones go on answering.", domain=found.host
        )
    elif what == "unblock":
        service.change(found, {"blocked": False})
        words = _("%(domain)s is asked again, and used when it leads here.", domain=found.host)
    elif what == "default":
        service.change(found, {"is_default": True})
        words = _(
            "New links take %(domain)s where no other is for their market.", domain=found.host
        )
    else:
        service.ask_again(found)
        words = _("%(domain)s is being asked.", domain=found.host)
    flash(words, "done")
    return redirect(url_for("operator.domains"), 303)


def _page(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    found = service.every()
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    page = render_template(
        "operator/domains.html",
        rows=found,
        down=[each for each in found if each.state == "failing"],
        usual=service.public_address(),
        words=DOMAIN_FAULTS,
        typed=typed,
        faults=faults,
        refusal=refusal if refusal and not faults else None,
    )
    return page, refusal.status if refusal else 200


def _one(domain_id: str) -> ShortDomain:
    try:
        return service.domain(ids.decode_one("dom", domain_id), lock=True)
    except NotFound:
        abort(404)
