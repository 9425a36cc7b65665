"""Tables as CSV and files as ZIP, written while they are read: a million take no more memory than
ten.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextvars import copy_context
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from flask import Flask, Response, current_app

from affiliate.db import stand_still, unit_of_work

ROWS = 500  # in one piece
# What a spreadsheet may take for a formula, also in its full-width form.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
Rows = Callable[[], Iterable[Sequence[Any]]]
Piece = TypeVar("Piece", str, bytes)


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


def archive(name: str, files: Callable[[], Iterable[tuple[str, bytes]]]) -> Response:
    """Files to download in one. `files` is called when the answer is sent, as rows of a table are;
    what it gives is packed already (pictures, videos), so it is only put one after the other.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return Response(
        _apart(_packed(app, files)),
        mimetype="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.zip"',
            "Cache-Control": "no-store",
        },
    )


class _Pipe(io.RawIOBase):
    """What was written since the last look. It cannot go back, so the sizes stand behind each
    file.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def _packed(
    app: Flask, files: Callable[[], Iterable[tuple[str, bytes]]]
) -> Generator[bytes, None, None]:
    pipe = _Pipe()
    with app.app_context(), unit_of_work():
        stand_still()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archived:
            for name, content in files():
                archived.writestr(name, content)
                yield pipe.taken()
        yield pipe.taken()


def _apart(pieces: Generator[Piece, None, None]) -> Iterator[Piece]:
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
