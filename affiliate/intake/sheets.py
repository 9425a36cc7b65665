"""Tables that people upload, CSV or XLSX, as rows of text. Nothing in them is run or followed."""

import csv
import io
import lzma
import re
import xml.parsers.expat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, InvalidOperation

from affiliate.errors import Invalid
from affiliate.i18n import _

MOST_ROWS = 50_000
MOST_COLUMNS = 200
LARGEST_PART = 64 * 1024 * 1024  # bytes of an XLSX part when it is unpacked
# XLSX keeps numbers as binary fractions; spreadsheets show 15 digits of them, and so do we.
SHOWN = Context(prec=15)
# What reading a damaged archive raises; RuntimeError: it is locked, or packed in an unknown way.
BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, xml.parsers.expat.ExpatError, RuntimeError,
    ValueError, OSError, EOFError,
)  # fmt: skip
CELL = re.compile(r"([A-Z]{1,3})\d+")

Row = tuple[int, dict[str, str]]  # its number as the sheet counts, and its cells by column name


class BadFile(Invalid):
    code = "bad_file"


def rows(content: bytes) -> Iterator[Row]:
    """The rows below the header, without the empty ones."""
    table = _xlsx(content) if content.startswith(b"PK\x03\x04") else _csv(content)
    names: list[str] = []
    for number, cells in enumerate(table, start=1):
        if number > MOST_ROWS:
            raise BadFile(_("A file may have %(most)s rows.", most=MOST_ROWS))
        if not names:
            names = _names(cells) if any(cells) else []
            continue
        found = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name}
        if any(found.values()):
            yield number, {name: cell for name, cell in found.items() if cell}


def _names(cells: list[str]) -> list[str]:
    names = [cell.strip().lower().replace(" ", "_") for cell in cells]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise BadFile(_("Two columns are called %(name)s.", name=min(twice)))
    return names


def _csv(content: bytes) -> Iterator[list[str]]:
    text = _text(content)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            yield row[:MOST_COLUMNS]
    except csv.Error as error:
        raise BadFile(_("This is no CSV file: %(error)s.", error=str(error))) from None


def _text(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise BadFile(_("Save the file as UTF-8, please.")) from None
    if "\x00" in text:
        raise BadFile(_("This is neither a CSV nor an XLSX file."))
    return text


def _xlsx(content: bytes) -> Iterator[list[str]]:
    """The first sheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            names = set(book.namelist())
            strings = _strings(book) if "xl/sharedStrings.xml" in names else []
            sheets = sorted(name for name in names if re.fullmatch(r"xl/worksheets/\w+\.xml", name))
            if not sheets:
                raise BadFile(_("This is neither a CSV nor an XLSX file."))
            first = "xl/worksheets/sheet1.xml"
            yield from _cells(_part(book, first if first in names else sheets[0]), strings)
    except BROKEN:
        raise BadFile(_("This is neither a CSV nor an XLSX file.")) from None


def _part(book: zipfile.ZipFile, name: str) -> bytes:
    """Unpacked as far as is allowed, whatever the file says of its size."""
    with book.open(name) as part:
        found = part.read(LARGEST_PART + 1)
    if len(found) > LARGEST_PART:
        raise BadFile(_("This file is too large when it is unpacked."))
    return found


def _parse(
    content: bytes, start: Callable[[str, dict[str, str]], None], end: Callable[[str, str], None]
) -> None:
    """`end` is told the text of the element. Document types, and so entities, are refused."""
    texts = [""]

    def begin(name: str, attributes: dict[str, str]) -> None:
        texts.append("")
        start(name.rpartition(":")[2], attributes)

    def finish(name: str) -> None:
        end(name.rpartition(":")[2], texts.pop())

    def text(data: str) -> None:
        texts[-1] += data

    def refuse(*_args: object) -> None:
        raise BadFile(_("This is neither a CSV nor an XLSX file."))

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, finish
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    parser.buffer_text = True
    parser.Parse(content, True)


def _strings(book: zipfile.ZipFile) -> list[str]:
    found: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        if name == "si":
            found.append("")

    def end(name: str, text: str) -> None:
        if name == "t" and found:
            found[-1] += text

    _parse(_part(book, "xl/sharedStrings.xml"), start, end)
    return found


def _cells(content: bytes, strings: list[str]) -> list[list[str]]:
    table: list[list[str]] = []
    place: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            number = attributes.get("r", "")
            wanted = int(number) if _is_small(number) else len(table) + 1
            if wanted > MOST_ROWS:
                raise BadFile(_("A file may have %(most)s rows.", most=MOST_ROWS))
            table.extend([] for _ in range(len(table), max(wanted, len(table) + 1)))
        elif name == "c":
            place.clear()
            place.update(attributes)

    def end(name: str, text: str) -> None:
        if name in ("v", "t") and table:
            _put(table[-1], place.get("r", ""), _value(place.get("t", "n"), text, strings))

    _parse(content, start, end)
    return table


def _put(row: list[str], name: str, value: str) -> None:
    found = CELL.fullmatch(name)
    column = len(row)
    if found:
        column = 0
        for letter in found[1]:
            column = column * 26 + ord(letter) - 64
        column -= 1
    if column < MOST_COLUMNS:
        row.extend([""] * (column + 1 - len(row)))
        row[column] += value


def _is_small(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _value(kind: str, text: str, strings: list[str]) -> str:
    if kind == "s":
        return strings[int(text)] if _is_small(text) and int(text) < len(strings) else ""
    if kind == "b":
        return "true" if text == "1" else "false"
    if kind != "n":
        return text
    try:
        return f"{SHOWN.create_decimal(Decimal(text)).normalize():f}"
    except InvalidOperation:
        return text
