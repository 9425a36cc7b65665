"""Pictures of the main pages, to be looked at: `make screens` writes them to var/screens/."""

from pathlib import Path

import pytest

from tests.browser.conftest import DESK, PHONE

pytestmark = pytest.mark.browser
FOLDER = Path("var/screens")
PAGES = {
    "components": ("/-/components", DESK),
    "components-narrow": ("/-/components", PHONE),
    "phone": ("/-/phone", PHONE),
    "error": ("/-/error/404", PHONE),
}


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize("lang", ["zh-Hans", "pt-BR"])
@pytest.mark.parametrize("name", PAGES)
def test_picture(visit, name, lang, theme):
    path, size = PAGES[name]
    page = visit(path, size=size, lang=lang, theme=theme)
    page.wait_for_load_state("networkidle")
    FOLDER.mkdir(parents=True, exist_ok=True)

    page.screenshot(path=FOLDER / f"{name}-{lang}-{theme}.png")
    page.screenshot(path=FOLDER / f"{name}-{lang}-{theme}-whole.png", full_page=True)
