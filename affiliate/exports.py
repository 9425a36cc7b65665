"""Tables as CSV, written while they are read: a million rows take no more memory than ten."""

import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextvars import copy_context
from decimal import Decimal
from itertools import islice
from typing import Any

from flask import Flask, Response, current_app

from affiliate.db import stand_still, unit_of_work

ROWS = 500  # in one piece
# What a spreadsheet may take for a formula, also in its full-width form.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
Rows = Callable[[], Iterable[Sequence[Any]]]


def table(name: str, head: Sequence[str] | None, rows: Rows) -> Response:
    """A file to download; without a head the first row is it. `rows` is called when the answer is
    sent, in a unit of work of its own that reads everything as of one instant; it gets no request.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return Response(
        _apart(_pieces(app, head, rows)),
        mimetype="text/csv",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _apart(pieces: Generator[str, None, None]) -> Iterator[str]:
    """Between two pieces the server does other things, so what is current while one is made must
    not be so in between.
    """
    here = copy_context()
    try:
        while (piece := here.run(next, pieces, None)) is not None:
            yield piece
    finally:
        here.run(pieces.close)


def _pieces(app: Flask, head: Sequence[str] | None, rows: Rows) -> Generator[str, None, None]:
    with app.app_context(), unit_of_work():
        stand_still()
        if head is not None:
            yield _text([head])
        left = iter(rows())
        while some := list(islice(left, ROWS)):
            yield _text(some)


def _text(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Texts come from outside: none may begin like a formula. Numbers may begin with a minus."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return harmless(value) if isinstance(value, str) else value


def harmless(text: str) -> str:
    """A spreadsheet must not read somebody's name as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def as_it_was(text: str) -> str:
    """What `harmless` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
