"""A browser and a served application for tests of pages.

`site` is the address of the whole application on a database of the test's own; `visit` opens a page
of it as a person with a device: width, language, theme, with or without scripts. A page may not
write an error to the console and may not be wider than its window; both are checked at the end.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from affiliate.people.models import User
from tests.conftest import Place
from tests.consoles.signed_in import cookie_for
from tests.live.listening import Exchange, well

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 360, "height": 740}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
FLAGS = """
    --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking
    --disable-component-update --disable-default-apps --no-first-run
""".split()


def chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: `apt-get install chromium`, or CHROMIUM=/path/to/it make test")
    return {"executable_path": path, "args": FLAGS}


@pytest.fixture
def site(app: Flask, committed: object) -> Iterator[str]:
    with served(app) as address:
        yield address


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def live(place: Place, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    """The process beside it that tells open pages."""
    with well(place.redis_url) as running:
        beside = app.config["SETTINGS"].model_copy(update={"live_port": running.port})
        monkeypatch.setitem(app.config, "SETTINGS", beside)
        yield running


class Visits:
    def __init__(self, browser: Browser, site: str, app: Flask) -> None:
        self.browser, self.site, self.app = browser, site, app
        self.pages: list[Page] = []
        self.errors: list[str] = []
        self.wide: list[str] = []

    def measure(self, page: Page) -> None:
        """A page wider than its window is remembered."""
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.wide.append(page.url)

    def leave(self, page: Page) -> None:
        self.measure(page)
        page.context.close()
        self.pages.remove(page)

    def __call__(
        self,
        path: str,
        *,
        size: dict[str, int] = DESK,
        lang: str = "en",
        theme: str = "day",
        scripts: bool = True,
        as_: User | None = None,
    ) -> Page:
        context = self.browser.new_context(
            base_url=self.site,
            viewport=size,
            locale=lang,
            color_scheme="dark" if theme == "night" else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        if as_ is not None:
            context.add_cookies([cookie_for(self.app, as_, self.site)])
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self._hear(line.type, line.text))
        page.goto(path)
        self.pages.append(page)
        return page

    def _hear(self, kind: str, text: str) -> None:
        # The browser itself reports 4xx answers; refusals are part of what is tested.
        if kind == "error" and "the server responded with a status of" not in text:
            self.errors.append(text)


@pytest.fixture
def visit(browser: Browser, site: str, app: Flask) -> Iterator[Visits]:
    visits = Visits(browser, site, app)
    yield visits
    for page in list(visits.pages):
        visits.leave(page)
    assert visits.errors == []
    assert visits.wide == []


def barriers(page: Page) -> list[str]:
    """What axe finds wrong with a page, one line each: WCAG 2.2 AA and best practices."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
