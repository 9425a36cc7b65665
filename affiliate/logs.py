"""Structured logs: one event a line, with the request's id in every line it causes."""

import logging
import re
import secrets
import sys
import time

import structlog
from flask import Flask, Response, g, request

from affiliate.config import Settings

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def configure(app: Flask, settings: Settings) -> None:
    """Set up logging for this process and tie every request to an id."""
    begin(settings)
    app.before_request(_begin)
    app.after_request(_end)


def begin(settings: Settings) -> None:
    """Logging alone, for a process without the application."""
    logging.basicConfig(stream=sys.stderr, level=settings.log_level, format="%(message)s")
    for name in ("rq", "rq.worker", "alembic"):
        logging.getLogger(name).setLevel("WARNING")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def begin_request(given: str) -> str:
    """From now on every line of this thread carries the request's id: this is it."""
    # A proxy's id is taken over only if it cannot break a log line.
    request_id = given if _SAFE_ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def end_request(method: str, rule: str, status: int, began: float | None) -> None:
    """The rule, not the path: paths may carry tokens and one-time links."""
    structlog.get_logger("affiliate.request").info(
        "request",
        method=method,
        route=rule,
        status=status,
        ms=round((time.perf_counter() - began) * 1000, 1) if began is not None else None,
    )


def _begin() -> None:
    g.request_id = begin_request(request.headers.get("X-Request-Id", ""))
    g.began = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    rule = request.url_rule.rule if request.url_rule else "-"
    end_request(request.method, rule, response.status_code, g.get("began"))
    return response
