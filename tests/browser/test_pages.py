"""The main pages with the demo's data: no barriers, not too wide, readable without scripts."""

import pytest

from affiliate import demo
from affiliate.people import queries as people
from tests.browser.conftest import DESK, PHONE, barriers
from tests.browser.screens import PAGES, address

pytestmark = pytest.mark.browser


def person(who):
    return people.user_by_email(f"{who}@demo.tuike.example") if who else None


def test_axe_finds_nothing_and_pages_read_without_scripts(visit):
    demo.load()
    found = {}

    for index, (name, (path, size, who)) in enumerate(PAGES.items()):
        # Both themes and both kinds of writing, each page in one of the four ways.
        lang, theme = ("zh-Hans", "pt-BR")[index % 2], ("day", "night")[index // 2 % 2]
        here = address(path, lang)
        page = visit(here, size=size, lang=lang, theme=theme, as_=person(who))
        page.wait_for_load_state("networkidle")
        found[name] = barriers(page)
        words = page.inner_text("main")
        visit.leave(page)

        plain = visit(here, size=size, lang=lang, theme=theme, as_=person(who), scripts=False)
        assert first_words(plain.inner_text("main")) == first_words(words), name
        visit.leave(plain)

    assert {name: each for name, each in found.items() if each} == {}


def first_words(text):
    return text.split()[:8]


# Children of one element whose boxes lie on each other by more than a hair's breadth.
OVERLAPS = """() => [...document.querySelectorAll("main li, main .row-actions, main .sheet")]
  .flatMap(parent => {
    const boxes = [...parent.children].map(each => [each, each.getBoundingClientRect()])
      .filter(([each, box]) => box.width && getComputedStyle(each).position === "static");
    return boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
      .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
      .map(([other]) => one.className + " × " + other.className));
  })"""
# Words so narrow that a word or two stand on a line.
CRUSHED = """() => [...document.querySelectorAll("main .lines .words")]
  .filter(each => each.clientWidth < 110).map(each => each.innerText.slice(0, 40))"""


def test_pages_of_the_desk_can_be_read_on_a_phone(visit):
    demo.load()
    found = {}

    for name, (path, size, who) in PAGES.items():
        if size != DESK or name == "components":
            continue
        page = visit(address(path, "pt-BR"), size=PHONE, lang="pt-BR", as_=person(who))
        page.wait_for_load_state("networkidle")
        found[name] = [*page.evaluate(OVERLAPS), *page.evaluate(CRUSHED)]
        visit.leave(page)  # and that it is not too wide

    assert {name: each for name, each in found.items() if each} == {}
