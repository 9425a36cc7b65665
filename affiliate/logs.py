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


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    # A proxy's id is taken over only if it cannot break a log line.
    g.request_id = given if _SAFE_ID.fullmatch(given) else secrets.token_hex(8)
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    structlog.get_logger("affiliate.request").info(
        "request",
        method=request.method,
        # The rule, not the path: paths may carry tokens and one-time links.
        route=request.url_rule.rule if request.url_rule else "-",
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1) if "began" in g else None,
    )
    return response
