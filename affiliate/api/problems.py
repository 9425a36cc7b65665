"""Refusals as RFC 9457 problems. Nothing a caller can send ends in a 5xx."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint, Response, g, request
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from werkzeug.exceptions import HTTPException, InternalServerError

from affiliate.errors import AffiliateError, FieldError, Invalid

log = structlog.get_logger(__name__)

# SQLSTATE classes of trouble that goes away by itself: another try finds a settled state.
TRANSIENT = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock not available
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Problem(AffiliateError):
    """A refusal of the door itself, before any feature was asked."""

    def __init__(
        self, status: int, code: str, message: str, errors: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(message, errors=errors)
        self.status = status
        self.code = code


def register(bp: Blueprint) -> None:
    """For the API's own addresses only; pages have their own."""
    bp.register_error_handler(AffiliateError, refused)
    bp.register_error_handler(HTTPException, by_protocol)
    bp.register_error_handler(IntegrityError, clashed)
    bp.register_error_handler(OperationalError, unavailable)
    bp.register_error_handler(PoolExhausted, unavailable)
    bp.register_error_handler(Exception, broken)


def refused(error: AffiliateError) -> Response:
    response = problem(error.status, error.code, str(error.message), error.errors)
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="tuike"'
    return response


def by_protocol(error: HTTPException) -> Response:
    """What Werkzeug refuses: unknown addresses, wrong methods, bodies too large."""
    status = error.code or 500
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return broken(error)
    if status < 400:  # a redirect to a tidier address: API addresses have one form only
        status = 404
    words = "There is nothing at this address." if status == 404 else error.description or ""
    response = problem(status, CODES.get(status, "bad_request"), words)
    for name, value in error.get_headers(request.environ):
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    return response


def clashed(error: IntegrityError) -> Response:
    """A unique key said no to the slower of two requests at once; all else is our mistake."""
    if _sqlstate(error) != "23505":
        return broken(error)
    log.warning("unique key clash", constraint=_constraint(error))
    return problem(409, "conflict", "Somebody else stored the same at the same time.")


def unavailable(error: Exception) -> Response:
    if _sqlstate(error) in TRANSIENT:
        response = problem(409, "busy", "Others are changing the same rows. Try again.")
    else:
        log.error("database not available", exc_info=error)
        response = problem(503, "unavailable", "The database cannot be reached. Try again.")
    response.headers["Retry-After"] = "1"
    return response


def broken(error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    words = "This is our mistake. Please report it with the request id."
    return problem(InternalServerError.code, "internal", words)


def problem(status: int, code: str, detail: str, errors: Sequence[FieldError] = ()) -> Response:
    """`type` is stable; `title` belongs to it; `detail` speaks of this case only."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
    }
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = [
            {"pointer": each.pointer, "code": each.code, "message": str(each.message)}
            for each in errors
        ]
    body["request_id"] = g.get("request_id", "")
    return Response(
        json.dumps(body, ensure_ascii=False), status, mimetype="application/problem+json"
    )


def of_validation(error: ValidationError, given: Any) -> Invalid:
    """Each wrong field by pointer and code. Values are not repeated: they may be secrets."""
    errors = tuple(
        FieldError(pointer(each["loc"], given), each["type"], each["msg"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return Invalid("Some fields are not acceptable.", errors=errors)


def pointer(location: tuple[int | str, ...], given: Any) -> str:
    """A JSON pointer (RFC 6901) into what was sent.

    Pydantic also names the branch of a union it tried; such steps lead nowhere and are left out,
    except for the last one, which may be a field that is missing.
    """
    path = ""
    for depth, step in enumerate(location):
        inside = isinstance(given, dict) and step in given
        inside = inside or (isinstance(given, list) and isinstance(step, int) and step < len(given))
        if inside:
            given = given[step]
        elif depth < len(location) - 1 or not isinstance(given, dict):
            continue
        path += "/" + escape(str(step))
    return path


def escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _sqlstate(error: Exception) -> str | None:
    cause = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlstate", None)


def _constraint(error: IntegrityError) -> str | None:
    return getattr(getattr(error.orig, "diag", None), "constraint_name", None)
