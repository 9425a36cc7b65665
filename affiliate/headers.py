"""Headers that every answer carries: what a page may load, and who may frame it."""

from collections.abc import Iterator

from flask import Flask, Response, g, request

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; "
    "connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)


def init_app(app: Flask) -> None:
    app.after_request(_add)


def every(policy: str = POLICY, *, secure: bool) -> Iterator[tuple[str, str]]:
    yield "Content-Security-Policy", policy
    yield "X-Content-Type-Options", "nosniff"
    yield "Referrer-Policy", "strict-origin-when-cross-origin"
    yield "Cross-Origin-Opener-Policy", "same-origin"
    if secure:
        yield "Strict-Transport-Security", "max-age=31536000"


def _add(response: Response) -> Response:
    """A view that needs another policy sets it itself, before."""
    for name, value in every(_policy(), secure=request.is_secure):
        response.headers.setdefault(name, value)
    return response


def _policy() -> str:
    """A page that is told of news may also connect to where it is told (consoles/live.py)."""
    also: str | None = g.get("connects_to")
    return POLICY.replace("connect-src 'self'", f"connect-src 'self' {also}") if also else POLICY
