"""What the open doors have in common: reading forms, pages with secrets, limits by address."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

from flask import Response, current_app, g, make_response, render_template, request
from werkzeug.exceptions import TooManyRequests

from affiliate.config import Settings
from affiliate.people import tries
from affiliate.people.tries import TooManyTries

FROM_ONE_ADDRESS = tries.Limit("address", 100, timedelta(minutes=15))
# What a proxy adds to what it forwards.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via", "Cf-Connecting-Ip")


def typed(name: str) -> str:
    """What stands in a field, without blanks around it and without NUL, which no column takes."""
    return request.form.get(name, "").replace("\0", "").strip()


def secret_typed(name: str) -> str:
    """A password: blanks are part of it."""
    return request.form.get(name, "").replace("\0", "")


def page(template: str, *, status: int = 200, wait: int | None = None, **inside: Any) -> Response:
    """Pages of this blueprint are private, also those before signing in."""
    g.private = True
    response = make_response(render_template(template, **inside), status)
    response.headers["Referrer-Policy"] = "same-origin"
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    return response


def count_address() -> None:
    """Whatever is tried here, one address may try only so often. Refuses with TooManyTries."""
    tries.count(FROM_ONE_ADDRESS, tries.neighbourhood(request.remote_addr))


def too_many(refusal: TooManyTries) -> TooManyRequests:
    return TooManyRequests(str(refusal.message), retry_after=refusal.retry_after)


def on_this_machine() -> bool:
    """Whether the browser runs on the machine we run on. What a proxy forwards does not count,
    though the proxy itself may run here, unless it is one whose word we take.
    """
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.trusted_proxies and any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
