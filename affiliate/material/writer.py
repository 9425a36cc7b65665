"""Drafts of captions by a text generator that the operator set up. Off unless it is.

It is told what buyers see anyway, and nothing of people. What it answers are proposals: somebody
picks one, and only then it is kept like words of their own.
"""

import re
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from flask import current_app

from affiliate import i18n
from affiliate.errors import AffiliateError, Invalid
from affiliate.i18n import _
from affiliate.links import captions

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

DRAFTS = 3
SECONDS = 20.0
ANSWER_BYTES_MOST = 256 * 1024
_NUMBERED = re.compile(r"^\s*(\d+[.)、]|[-*•])\s*")


class NoDrafts(AffiliateError):
    """Nothing is lost: one's own words can still be written."""

    status = 409
    code = "no_drafts"


class Writer(Protocol):
    """Anything that can be asked for text."""

    def write(self, task: str) -> str: ...


class HttpWriter:
    """Speaks the chat interface that nearly all text generators offer, hosted or at home."""

    def __init__(self, url: str, model: str, key: str | None) -> None:
        self._url, self._model, self._key = url, model, key

    def write(self, task: str) -> str:
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        body = {"model": self._model, "messages": [{"role": "user", "content": task}]}
        try:
            with (
                httpx.Client(timeout=SECONDS, follow_redirects=False) as http,
                http.stream("POST", self._url, json=body, headers=headers) as answer,
            ):
                return _content(answer)
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            log.warning("the text generator gives nothing", error=type(error).__name__)
            raise NoDrafts(
                _("The text generator does not answer. Please write it yourself.")
            ) from None


def _content(answer: "httpx.Response") -> str:
    import json

    answer.raise_for_status()
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > ANSWER_BYTES_MOST:
            raise ValueError("too long")
        parts.append(part)
    found: Any = json.loads(b"".join(parts))
    text = found["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise TypeError("no text")
    return text


def writer() -> Writer | None:
    settings = current_app.config["SETTINGS"]
    if not settings.writer_url:
        return None
    key = settings.writer_key.get_secret_value() if settings.writer_key else None
    return HttpWriter(str(settings.writer_url), settings.writer_model, key)


def drafts(tag: str, *, title: str, description: str, price: str, saves: str) -> list[str]:
    """Up to three proposals in this language. Never called while a transaction is open."""
    found = writer()
    if found is None:
        raise NoDrafts(_("There is no text generator here."))
    answer = found.write(_task(tag, title, description, price, saves))
    kept = []
    for part in answer.split("---"):
        try:
            kept.append(captions.checked(_NUMBERED.sub("", part.strip())))
        except Invalid:
            continue
    if not kept:
        raise NoDrafts(_("The text generator gave nothing that can be used."))
    return kept[:DRAFTS]


def _task(tag: str, title: str, description: str, price: str, saves: str) -> str:
    """Names of places instead of prices: they are filled in fresh each time."""
    facts = [f"Product: {title[:300]}", f"About it: {description[:1500]}"]
    facts += [f"Price now: {price}"] if price else []
    facts += [f"Buyers save: {saves}"] if saves else []
    return (
        f"Write {DRAFTS} short captions in {i18n.LANGUAGES[tag]} with which a person recommends "
        "this product to friends. Separate them by a line with --- and write nothing else. "
        "Each has at most 300 characters. Claim nothing that is not said below. Write {price} for "
        "the price, {saves} for what buyers save and {link} where the link goes.\n\n"
        + "\n".join(facts)
    )
