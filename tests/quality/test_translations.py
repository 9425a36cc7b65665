"""No page is half translated: all words are marked, all that is marked is in every catalogue."""

import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from affiliate.config import ROOT
from affiliate.i18n import FOLDER, FOLDERS

KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "_n": (1, 2),
    "_p": ((1, "c"), 2),
}
# English on purpose: what developers read, and a card that only programs see.
NOT_FOR_READERS = ("api/", "links/card.html", "links/unknown.html")
NAMES = {"Tuike", "推客"}

Key = tuple[str | None, str]


@cache
def marked() -> dict[Key, Message]:
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    catalogue = Catalog()
    for folder in ("affiliate", "templates"):
        found = extract_from_dir(
            ROOT / folder,
            method_map=[(pattern.removeprefix(f"{folder}/"), how) for pattern, how in methods],
            options_map=options,
            keywords=KEYWORDS,
            directory_filter=lambda _: True,
        )
        for _, _, text, _, context in found:
            catalogue.add(text, context=context)
    return {key(message): message for message in catalogue if message.id}


def key(message: Message) -> Key:
    return message.context, message.id[0] if message.pluralizable else message.id


def catalogue(language: str) -> Catalog:
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", FOLDERS.values())
def test_a_catalogue_has_every_marked_string_and_no_other(language):
    kept = {key(message) for message in catalogue(language) if message.id}

    assert kept == set(marked()), "run `make translations` and translate what is new"


@pytest.mark.parametrize("language", FOLDERS.values())
def test_everything_is_translated_and_nothing_is_a_guess(language):
    for message in catalogue(language):
        if message.id:
            strings = message.string if message.pluralizable else (message.string,)

            assert all(strings), f"not translated: {message.id}"
            assert not message.fuzzy, f"not checked: {message.id}"


@pytest.mark.parametrize("language", FOLDERS.values())
def test_placeholders_survive_translation(language):
    for message in catalogue(language):
        if message.id:
            ids = message.id if message.pluralizable else (message.id,)
            strings = message.string if message.pluralizable else (message.string,)
            wanted = set().union(*map(placeholders, ids))
            for string in strings:
                assert placeholders(string) == wanted, string
                assert string.count("%%") == ids[-1].count("%%"), string


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[sd]", text))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.stem
)
def test_templates_have_no_words_outside_the_catalogue(path: Path):
    name = str(path.relative_to(ROOT / "templates"))
    if name.startswith(NOT_FOR_READERS):
        return
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", " ", path.read_text(), flags=re.S)
    attributes = re.findall(r'(?:aria-label|alt|title|placeholder)="([^"]*[^\W\d_]{2}[^"]*)"', text)
    text = re.sub(r"<!.*?>|<(script|style).*?</\1>|<[^>]*>|&\w+;", " ", text, flags=re.S)

    assert not attributes
    assert set(re.findall(r"[^\W\d_]{2,}", text)) <= NAMES
