"""What people type into a payout account, field by field: cleaned, or refused with a pointer."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from affiliate.errors import FieldError, Invalid
from affiliate.i18n import _


@dataclass(frozen=True, slots=True)
class Field:
    """Free text up to a length, or a number-like code of letters, digits and separators.

    `check` gives what was typed its normal form, or says what is wrong with it.
    """

    longest: int
    is_code: bool = False
    one_of: tuple[str, ...] = ()
    required: bool = False
    check: Callable[[str], str] | None = None


class Wrong(Exception):
    """One value cannot be taken."""

    def __init__(self, code: str, message: Any) -> None:
        super().__init__(message)
        self.code = code


def cleaned(given: Mapping[str, object], known: Mapping[str, Field]) -> dict[str, str]:
    """The fields in their normal form, without the empty ones; Invalid names all that are wrong."""
    errors = [
        error(
            name,
            "unknown_field",
            _("There is no such field; known: %(known)s.", known=", ".join(known)),
        )
        for name in given
        if name not in known
    ]
    taken: dict[str, str] = {}
    for name, field in known.items():
        try:
            taken[name] = _clean(given.get(name), field)
        except Wrong as wrong:
            errors.append(error(name, wrong.code, str(wrong)))
    if errors:
        raise Invalid(_("The payout account cannot be used as it was typed."), errors=tuple(errors))
    return {name: text for name, text in taken.items() if text}


def error(name: str, code: str, message: Any) -> FieldError:
    escaped = name.replace("~", "~0").replace("/", "~1")
    return FieldError(f"/fields/{escaped}", code, message)


def _clean(value: object, field: Field) -> str:
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Wrong("not_text", _("This must be text."))
    text = unicodedata.normalize("NFC", value).strip()
    if field.is_code:
        text = re.sub(r"\s", "", text).upper()
    _check(text, field)
    return field.check(text) if text and field.check else text


def _check(text: str, field: Field) -> None:
    if not text and field.required:
        raise Wrong("missing", _("This is needed."))
    if len(text) > field.longest:
        raise Wrong("too_long", _("At most %(longest)s characters.", longest=field.longest))
    if any(unicodedata.category(char).startswith(("C", "Zl", "Zp")) for char in text):
        raise Wrong("control_characters", _("No line breaks or invisible characters, please."))
    if field.is_code and not re.fullmatch(r"[0-9A-Z][0-9A-Z./-]*", text or "0"):
        raise Wrong("bad_characters", _("Only letters, digits, dots, slashes and hyphens."))
    if field.one_of and text and text not in field.one_of:
        raise Wrong("unknown_value", _("One of %(allowed)s.", allowed=", ".join(field.one_of)))
