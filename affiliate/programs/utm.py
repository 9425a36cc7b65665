"""Templates of the UTM parameters that a link adds: how the shop's own analytics name a visit."""

import re
from collections.abc import Mapping

from affiliate.errors import FieldError, Invalid
from affiliate.i18n import _

NAMES = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term", "utm_id")
PLACES = ("link", "promoter", "program", "content", "platform", "sub1", "sub2", "sub3", "sub4",
          "sub5")  # fmt: skip
CHARACTERS_MAX = 100
_PLACE = re.compile(r"\{([^{}]*)\}")


def checked(template: Mapping[str, str] | None, pointer: str = "/utm") -> dict[str, str] | None:
    """The template as it is kept; None: there is none; an empty one adds nothing at all."""
    if template is None:
        return None
    kept: dict[str, str] = {}
    for name, given in template.items():
        at, text = f"{pointer}/{name}", " ".join(given.split())
        if name not in NAMES:
            raise _wrong(
                at, "unknown_name", _("UTM parameters are %(names)s.", names=", ".join(NAMES))
            )
        if len(text) > CHARACTERS_MAX or not text.isprintable():
            message = _("At most %(most)s characters on one line.", most=CHARACTERS_MAX)
            raise _wrong(at, "too_long", message)
        rest = _PLACE.sub(lambda found: "" if found[1] in PLACES else "{", text)
        if "{" in rest or "}" in rest:
            places = ", ".join(f"{{{each}}}" for each in PLACES)
            raise _wrong(at, "unknown_place", _("Placeholders are %(places)s.", places=places))
        if text:
            kept[name] = text
    return kept


def filled(
    template: Mapping[str, str] | None, words: Mapping[str, str]
) -> tuple[tuple[str, str], ...] | None:
    """With words for the placeholders. A parameter that has nothing to say is left out."""
    if template is None:
        return None
    made = ((name, _PLACE.sub(lambda found: words.get(found[1], ""), template[name]).strip())
            for name in NAMES if name in template)  # fmt: skip
    return tuple((name, text) for name, text in made if text)


def _wrong(pointer: str, code: str, message: object) -> Invalid:
    return Invalid(message, errors=(FieldError(pointer, code, message),))
