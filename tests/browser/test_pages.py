"""The main pages with the demo's data: no barriers, not too wide, readable without scripts."""

import pytest

from affiliate import demo
from affiliate.people import queries as people
from tests.browser.conftest import barriers
from tests.browser.screens import PAGES

pytestmark = pytest.mark.browser


def person(who):
    return people.user_by_email(f"{who}@demo.tuike.example") if who else None


def test_axe_finds_nothing_and_pages_read_without_scripts(visit):
    demo.load()
    found = {}

    for index, (name, (path, size, who)) in enumerate(PAGES.items()):
        # Both themes and both kinds of writing, each page in one of the four ways.
        lang, theme = ("zh-Hans", "pt-BR")[index % 2], ("day", "night")[index // 2 % 2]
        address = f"{path}?lang={lang}"
        page = visit(address, size=size, lang=lang, theme=theme, as_=person(who))
        page.wait_for_load_state("networkidle")
        found[name] = barriers(page)
        words = page.inner_text("main")
        visit.leave(page)

        plain = visit(address, size=size, lang=lang, theme=theme, as_=person(who), scripts=False)
        assert first_words(plain.inner_text("main")) == first_words(words), name
        visit.leave(plain)

    assert {name: each for name, each in found.items() if each} == {}


def first_words(text):
    return text.split()[:8]
