"""A request by a reader of one language, for tests of what pages say."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask


@contextmanager
def reading(app: Flask, lang: str = "en", path: str = "/", **more: object) -> Iterator[None]:
    # An app context of its own: inside the test's, all readers would share one `g`.
    mark = "&" if "?" in path else "?"
    with app.app_context(), app.test_request_context(f"{path}{mark}lang={lang}", **more):
        yield
