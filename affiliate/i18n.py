"""The reader's language: by `?lang=`, else an earlier choice kept in a cookie, else the person's
setting, else what the browser asks for. English is the source; the others are in translations/.

Python marks strings with `from affiliate.i18n import _`, templates have `_` anyway. A marked string
is lazy: it becomes words in the language of whoever reads it, when it is shown.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Response, g, has_request_context, request
from flask_babel import (
    Babel,
    Domain,
    force_locale,
    get_locale,
    gettext,
    ngettext,
    pgettext,
)
from flask_babel.speaklater import LazyString
from markupsafe import Markup, escape

__all__ = ["LANGUAGES", "LOCALES", "_", "_n", "_p", "init_app", "language", "locale", "read_as"]

FOLDER = Path(__file__).parent / "translations"
LANGUAGES = MappingProxyType(
    {"zh-Hans": "简体中文", "en": "English", "es": "Español", "pt-BR": "Português"}
)
# By tag: what CLDR calls the way these readers write numbers, money and dates.
LOCALES = MappingProxyType(
    {
        "zh-Hans": "zh_Hans",
        "en": "en",
        "es": "es_419",
        "es-MX": "es_MX",
        "es-AR": "es_AR",
        "pt-BR": "pt_BR",
    }
)
FOLDERS = MappingProxyType({"zh": "zh_Hans", "es": "es", "pt": "pt_BR"})
DEFAULT = "en"
COOKIE = "lang"
A_YEAR = 365 * 86400


class Words(LazyString):
    """A marked string, to be used like a `str`. The library's own claims to be safe markup, with
    all that was put into it; ours are escaped on a page like any other text.
    """

    def __init__(self, put: Callable[..., str], *arguments: Any, **inside: Any) -> None:
        super().__init__(put, *arguments, **inside)  # type: ignore[no-untyped-call]

    def __html__(self) -> Markup:
        return escape(str(self))


def _(text: str, /, **inside: Any) -> Any:
    return Words(gettext, text, **inside)


def _n(one: str, many: str, num: int, /, **inside: Any) -> Any:
    return Words(ngettext, one, many, num, **inside)


def _p(context: str, text: str, /, **inside: Any) -> Any:
    return Words(pgettext, context, text, **inside)


class Catalogues(Domain):
    """Reads .po files themselves, once for each process: no compiled file that could be stale."""

    def get_translations(self) -> NullTranslations:
        found = get_locale()
        if found is None or found.language == DEFAULT:
            return NullTranslations()
        if found.language not in self.cache:
            self.cache[found.language] = _catalogue(FOLDERS[found.language])
        catalogue: NullTranslations = self.cache[found.language]
        return catalogue


def _catalogue(name: str) -> Translations:
    with (FOLDER / name / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=name)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def init_app(app: Flask) -> None:
    babel = Babel()
    babel.init_app(app, default_locale=DEFAULT, locale_selector=lambda: LOCALES[language()])
    babel.domain_instance = Catalogues()  # type: ignore[no-untyped-call]
    app.jinja_env.globals.update(language=language, languages=LANGUAGES)
    app.after_request(_remember)


def language() -> str:
    """The reader's language tag, as for `<html lang>`: one of LOCALES."""
    if "language" not in g:
        g.language = _chosen()
    tag: str = g.language
    return tag


def settle(otherwise: Callable[[str | None], str]) -> None:
    """For pages that know better than English: called with what the reader asked for, if that is
    one of our languages. Call it before anything is put into words.
    """
    g.language = otherwise(_wished())


def locale() -> Locale:
    return get_locale() or Locale.parse(LOCALES[DEFAULT])


def zone() -> ZoneInfo:
    found: ZoneInfo = g.get("person_zone") or ZoneInfo("UTC")
    return found


def person(*, locale: str | None, timezone: str | None) -> None:
    """Tell whose request this is; call it before anything is put into words."""
    g.person_locale = locale
    g.person_zone = ZoneInfo(timezone) if timezone else None


@contextmanager
def read_as(tag: str, *, timezone: str | None = None) -> Iterator[None]:
    """What is written inside is for a reader of this language and zone: mails, posters."""
    before, zone_before = g.get("language"), g.get("person_zone")
    g.language, g.person_zone = tag, ZoneInfo(timezone) if timezone else None
    try:
        with force_locale(LOCALES[tag]):
            yield
    finally:
        g.language, g.person_zone = before, zone_before
        if before is None:
            g.pop("language")


def _chosen() -> str:
    return _wished() or DEFAULT


def _wished() -> str | None:
    if not has_request_context():
        person: str | None = g.get("person_locale")
        return person
    wishes = (request.args.get("lang"), request.cookies.get(COOKIE), g.get("person_locale"))
    return next((tag for tag in wishes if tag in LOCALES), None) or _asked_by_browser()


def _asked_by_browser() -> str | None:
    # Not werkzeug's best_match: of "zh-CN, en;q=0.5" it would take English, for its exact match.
    for wished, quality in request.accept_languages:
        if quality > 0 and (found := _nearest(wished)):
            return found
    return None


def _nearest(wished: str) -> str | None:
    parts = wished.lower().split("-")
    exact = (tag for tag in LOCALES if tag.lower() == wished.lower())
    same_language = (tag for tag in LOCALES if tag.lower().split("-")[0] == parts[0])
    return next(exact, None) or next(same_language, None)


def _remember(response: Response) -> Response:
    if response.mimetype != "text/html":
        return response
    response.headers["Content-Language"] = language()
    response.vary.update(("Accept-Language", "Cookie"))
    if request.args.get("lang") in LOCALES:
        cookie: dict[str, Any] = {"max_age": A_YEAR, "samesite": "Lax", "secure": request.is_secure}
        response.set_cookie(COOKIE, request.args["lang"], **cookie)
    return response
