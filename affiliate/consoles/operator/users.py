"""Users: who may sign in and as what, and the one-time links that let them in."""

from typing import Any

import sqlalchemy as sa
from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import lists
from affiliate.consoles.operator import bp
from affiliate.consoles.session import ROLE_WORDS, current_person
from affiliate.db import db
from affiliate.errors import AffiliateError, Conflict, NotFound, invalid
from affiliate.i18n import _
from affiliate.people import queries, service
from affiliate.people.models import Agency, Grant, Merchant, Role, User

MOST_MERCHANTS = 500
# Promoters come by an invite link, which also says who brought them.
GIVEN = [role for role in Role if role is not Role.PROMOTER]


@bp.get("/users/")
def users() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [User.id])
    grants = _grants([each.id for each in found])
    every = [grant for rows in grants.values() for grant in rows]
    return render_template(
        "operator/users.html",
        rows=[(each, grants.get(each.id, [])) for each in found],
        merchants=queries.merchants({each.merchant_id for each in every if each.merchant_id}),
        me=current_person().user.id,
        next=cursor,
    )


@bp.get("/users/new")
def new_user() -> ResponseReturnValue:
    return _form(request.args, None)


@bp.post("/users/new")
def create_user() -> ResponseReturnValue:
    """For an address that is known already only the role is added, and no link is made."""
    typed = request.form
    known = queries.user_by_email(typed.get("email", "").strip())
    try:
        with db.session.begin_nested():
            user = known or service.create_user(
                typed.get("email", "").strip(), name=typed.get("name", "").strip()[:200] or None
            )
            service.grant(
                user, _role(typed), merchant_id=_merchant(typed), agency_id=_agency(typed)
            )
    except AffiliateError as refusal:
        return _form(typed, refusal)
    if known:
        flash(_("%(name)s has this role now.", name=user.name), "done")
        return redirect(url_for("operator.users", q=user.email), 303)
    return _link(user)


@bp.post("/users/<user_id>/link")
def new_link(user_id: str) -> ResponseReturnValue:
    """For whoever lost the one before, or the password."""
    user = _find(user_id)
    if user.disabled_at is not None:
        raise Conflict(_("This person may not sign in. Let them in again first."))
    return _link(user)


@bp.post("/users/<user_id>/<any(disable, enable):decision>")
def let_in_or_out(user_id: str, decision: str) -> ResponseReturnValue:
    user = _find(user_id)
    if user.id == current_person().user.id:
        raise Conflict(_("You cannot shut yourself out."))
    if decision == "disable":
        service.disable_user(user)
        flash(_("%(name)s is signed out everywhere and may not sign in.", name=user.name), "done")
    else:
        service.enable_user(user)
        flash(_("%(name)s may sign in again.", name=user.name), "done")
    return redirect(url_for("operator.users", q=user.email), 303)


def _link(user: User) -> ResponseReturnValue:
    """The secret is on this page and never again, so there is no page to come back to."""
    address = current_app.config["SETTINGS"].address
    page = render_template(
        "operator/user_link.html",
        user=user,
        link=f"{address}{url_for('public.welcome', secret=service.create_link(user))}",
        days=service.LINK_LIVES.days,
    )
    return page, 200, {"Referrer-Policy": "no-referrer"}


def _find(user_id: str) -> User:
    try:
        user = db.session.get(User, ids.decode_one("usr", user_id), with_for_update=True)
    except NotFound:
        abort(404)
    return user if user and not user.is_service else abort(404)


def _chosen() -> sa.Select[Any]:
    found = sa.select(User).where(User.is_service.is_(False))
    if wanted := request.args.get("q", "").strip():
        like = f"%{wanted.replace('%', '').replace('_', '')}%"
        found = found.where(sa.or_(User.name.ilike(like), sa.cast(User.email, sa.Text).ilike(like)))
    if (role := request.args.get("role")) in list(Role):
        found = found.where(User.id.in_(sa.select(Grant.user_id).where(Grant.role == role)))
    return found


def _grants(user_ids: list[int]) -> dict[int, list[Grant]]:
    found: dict[int, list[Grant]] = {}
    for grant in db.session.scalars(
        sa.select(Grant).where(Grant.user_id.in_(user_ids)).order_by(Grant.id)
    ):
        found.setdefault(grant.user_id, []).append(grant)
    return found


def _role(typed: Any) -> Role:
    if typed.get("role") not in [str(role) for role in GIVEN]:
        raise invalid("/role", "unknown_role", _("Choose a role."))
    return Role(typed["role"])


def _merchant(typed: Any) -> int | None:
    """Merchant roles are for one merchant; finance for one or, without a choice, for all."""
    role, text = _role(typed), typed.get("merchant")
    if not role.startswith(("merchant_", "finance_")):
        return None
    if not text and role.startswith("merchant_"):
        raise invalid("/merchant", "missing", _("This role is for one merchant: choose it."))
    if not text:
        return None
    try:
        return queries.merchant(ids.decode_one("mer", text)).id
    except NotFound as error:
        raise invalid("/merchant", "not_found", _("Choose a merchant.")) from error


def _agency(typed: Any) -> int | None:
    if _role(typed) is not Role.AGENCY:
        return None
    try:
        return queries.agency(ids.decode_one("agn", typed.get("agency", ""))).id
    except NotFound as error:
        raise invalid("/agency", "not_found", _("Choose an agency.")) from error


def _form(typed: Any, refusal: AffiliateError | None) -> ResponseReturnValue:
    merchants = db.session.scalars(
        sa.select(Merchant).order_by(Merchant.name).limit(MOST_MERCHANTS)
    )
    agencies = db.session.scalars(
        sa.select(Agency)
        .where(Agency.closed_at.is_(None))
        .order_by(Agency.name)
        .limit(MOST_MERCHANTS)
    )
    faults = {each.pointer.strip("/"): each.message for each in refusal.errors} if refusal else {}
    page = render_template(
        "operator/user_form.html",
        typed=typed,
        roles=[(str(role), ROLE_WORDS[role]) for role in GIVEN],
        merchants=[(ids.encode("mer", each.id), each.name) for each in merchants],
        agencies=[(ids.encode("agn", each.id), each.name) for each in agencies],
        refusal=refusal if refusal and not faults else None,
        faults=faults,
    )
    return page, refusal.status if refusal else 200
