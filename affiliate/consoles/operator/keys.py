"""Keys of the API: who holds one, when it was last used, and how to take it away."""

from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import ids
from affiliate.consoles import lists
from affiliate.consoles.operator import bp
from affiliate.db import db
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.people import queries, service
from affiliate.people.models import ApiKey, Grant, User


@bp.get("/keys/")
def keys() -> ResponseReturnValue:
    found, cursor = lists.page(_chosen(), [ApiKey.id])
    grants = _by_id(Grant, {each.grant_id for each in found})
    return render_template(
        "operator/keys.html",
        rows=found,
        grants=grants,
        users=_by_id(User, {each.user_id for each in found}),
        merchants=queries.merchants(
            {row.merchant_id for row in grants.values() if row.merchant_id}
        ),
        next=cursor,
    )


@bp.post("/keys/<key_id>/revoke")
def revoke(key_id: str) -> ResponseReturnValue:
    try:
        key = queries.api_key(ids.decode_one("key", key_id), lock=True)
    except NotFound:
        abort(404)
    service.revoke_key(key)
    flash(_("The key %(name)s opens nothing any more.", name=key.name), "done")
    return redirect(url_for("operator.keys"), 303)


def _chosen() -> sa.Select[Any]:
    live = ApiKey.revoked_at.is_(None)
    return sa.select(ApiKey).where(~live if request.args.get("state") == "revoked" else live)


def _by_id(table: Any, row_ids: set[int]) -> dict[int, Any]:
    found = db.session.scalars(sa.select(table).where(table.id.in_(row_ids)))
    return {each.id: each for each in found}
