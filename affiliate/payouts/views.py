"""`POST /rails/<rail>/hook`: where providers knock when there is news of a payout.

A knock is only a hint. Nothing in it is believed, so nobody can pay with one: it rings a job that
asks the provider, once in a short while for each payout.
"""

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from affiliate import jobs
from affiliate.errors import Invalid
from affiliate.jobs import Job
from affiliate.payouts import queries, rails

log = structlog.get_logger(__name__)

bp = Blueprint("rails", __name__, url_prefix="/rails")

MOST = 100  # references in one knock
ONCE_PER_MS = 2_000


@bp.post("/<rail>/hook")
def hook(rail: str) -> ResponseReturnValue:
    if not rails.is_called(rail):
        return {"error": "unknown_rail"}, 404
    try:
        references = rails.call_rail(rail).hints(dict(request.headers), request.get_data())[:MOST]
    except Invalid:
        return {"error": "not_a_notification"}, 422
    known = {each.reference: each for each in queries.by_references(references)}
    for reference in references:
        payout = known.get(reference)
        if payout is None or payout.rail != rail:
            log.info("hint at a payout that is not ours", rail=rail, reference=reference[:40])
            continue
        key = (payout.merchant_id, payout.id)
        jobs.ring(Job.ASK_PROVIDER, *key, once_per_ms=ONCE_PER_MS)
    return {"ok": True}, 202
