"""The main pages with the demo's data: no barriers, not too wide, readable without scripts."""

import pytest

from affiliate import demo
from affiliate.people import queries as people
from tests.browser.conftest import DESK, PHONE, barriers
from tests.browser.screens import PAGES, address

pytestmark = pytest.mark.browser


def person(who):
    return people.user_by_email(f"{who}@demo.tuike.example") if who else None


WORDS = """html => new DOMParser().parseFromString(html, "text/html")
  .querySelector("main").textContent"""


def first_words(page):
    return page.inner_text("main").lower().split()[:8]


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


def test_axe_finds_nothing_and_pages_read_without_scripts_and_on_a_phone(visit):
    demo.load()
    found = {}

    for index, (name, (path, size, who)) in enumerate(PAGES.items()):
        # Both themes and both kinds of writing, each page in one of the four ways.
        lang, theme = ("zh-Hans", "pt-BR")[index % 2], ("day", "night")[index // 2 % 2]
        here = address(path, lang)
        page = visit(here, size=size, lang=lang, theme=theme, as_=person(who))
        found[name] = barriers(page)
        # What the server sent, before any script ran.
        plain = page.evaluate(WORDS, page.context.request.get(here).text()).lower()
        assert [each for each in first_words(page) if each not in plain] == [], name
        if size == DESK and name != "components":
            visit.measure(page)
            page.set_viewport_size(PHONE)
            found[name] += [*page.evaluate(OVERLAPS), *page.evaluate(CRUSHED)]
        visit.leave(page)  # and that it is not too wide

    assert {name: each for name, each in found.items() if each} == {}
