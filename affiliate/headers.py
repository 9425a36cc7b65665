"""Headers that every answer carries: what a page may load, and who may frame it."""

from flask import Flask, Response, g, request

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; "
    "connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)


def init_app(app: Flask) -> None:
    app.after_request(_add)


def _add(response: Response) -> Response:
    """A view that needs another policy sets it itself, before."""
    given = response.headers
    given.setdefault("Content-Security-Policy", _policy())
    given.setdefault("X-Content-Type-Options", "nosniff")
    given.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
    given.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if request.is_secure:
        given.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response


def _policy() -> str:
    """A page that is told of news may also connect to where it is told (consoles/live.py)."""
    also: str | None = g.get("connects_to")
    return POLICY.replace("connect-src 'self'", f"connect-src 'self' {also}") if also else POLICY
