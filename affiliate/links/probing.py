"""Whether the short domains still lead here: each is asked every few minutes, from outside, for
something that only this instance can answer. Operators get a letter when one is down.
"""

import hmac
import re
import secrets
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from flask import current_app

from affiliate import clock, events, security
from affiliate.db import db, unit_of_work
from affiliate.links.domains import FAILURES
from affiliate.links.models import ShortDomain

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

NONCE = re.compile(r"[0-9a-f]{32}")
SECONDS = 8
ANSWER_BYTES = 64
EVERY = timedelta(minutes=3)


def proof(nonce: str) -> str:
    return hmac.digest(security.key("domains"), nonce.encode(), "sha256").hex()


def probe_all() -> int:
    """Ask those whose time has come, each outside of transactions; how many were asked."""
    import httpx

    with unit_of_work():
        due = _due()
    wanted = f"Tuike probe of {current_app.config['SETTINGS'].address}"
    with httpx.Client(
        timeout=SECONDS, follow_redirects=False, headers={"User-Agent": wanted}
    ) as client:
        for domain_id, address in due:
            fault = probe(client, address)
            with unit_of_work():
                note(domain_id, fault)
    return len(due)


def probe(client: "httpx.Client", address: str) -> str | None:
    """What is wrong with it: unreachable, certificate or foreign; None: it leads to us."""
    import httpx

    nonce = secrets.token_hex(16)
    try:
        with client.stream("GET", f"{address}/.well-known/tuike/{nonce}") as answer:
            said = _beginning(answer)
            ours = answer.status_code == 200 and security.same(said, proof(nonce).encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return "certificate" if _is_of_tls(error) else "unreachable"
    return None if ours else "foreign"


def note(domain_id: int, fault: str | None) -> None:
    """What a probe found. The letter goes out once for each time it is down."""
    found = db.session.get(ShortDomain, domain_id, with_for_update=True)
    if found is None:
        return
    now = clock.now()
    found.probed_at, found.fault = now, fault
    if fault is None:
        found.answered_at, found.failing_since, found.failures = now, None, 0
        return
    found.failing_since = found.failing_since or now
    found.failures += 1
    if found.failures == FAILURES and found.blocked_at is None:
        log.warning("a short domain is down", address=found.address, fault=fault)
        told = {"address": found.address, "fault": fault, "since": found.failing_since.isoformat()}
        events.record("domain.failed", payload=told)


def _due() -> list[tuple[int, str]]:
    """Those nobody has asked lately; two workers at once ask each of them once."""
    now = clock.now()
    asked_before = sa.or_(ShortDomain.probed_at.is_(None), ShortDomain.probed_at <= now - EVERY)
    taken = (
        sa.update(ShortDomain)
        .where(asked_before)
        .values(probed_at=now)
        .returning(ShortDomain.id, ShortDomain.address)
        .execution_options(synchronize_session=False)
    )
    return sorted((row.id, row.address) for row in db.session.execute(taken))


def _beginning(answer: "httpx.Response") -> bytes:
    said = b""
    for part in answer.iter_bytes(ANSWER_BYTES):
        said += part
        if len(said) > ANSWER_BYTES:
            break
    return said


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
