"""Refusals: what a person or a shop can cause. A 500 is left for our own mistakes.

Every subclass carries a status and a stable code; the API shows them as RFC 9457 problems, the
command line as one line, pages as a sentence. `pointer` is a JSON pointer to the field at fault.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong, by JSON pointer (RFC 6901), with a stable code."""

    pointer: str
    code: str
    message: Any  # may be lazy, like that of the refusal


class AffiliateError(Exception):
    """A refusal that is part of normal business: shown, never paged on."""

    status = 409
    code = "refused"

    def __init__(self, message: Any = "", *, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message)
        self.message = message  # may be lazy: put into the reader's language when it is shown
        self.errors = errors


class Invalid(AffiliateError):
    """The request is understood but a value in it is not acceptable."""

    status = 422
    code = "invalid"


class NotFound(AffiliateError):
    """There is no such thing, or it is not yours: both look the same."""

    status = 404
    code = "not_found"


class Forbidden(AffiliateError):
    """You are known, and this is not yours to do."""

    status = 403
    code = "forbidden"


class Conflict(AffiliateError):
    """Somebody was faster, or the state no longer allows it."""

    status = 409
    code = "conflict"


class Stale(AffiliateError):
    """The row changed since it was read: read it again, then change it."""

    status = 412
    code = "stale"


def invalid(pointer: str, code: str, message: Any) -> Invalid:
    """One wrong field as a refusal."""
    return Invalid(message, errors=(FieldError(pointer, code, message),))
