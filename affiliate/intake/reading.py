"""Reading what a shop sent: every value with its JSON pointer, every doubt a stable code.

Numbers with a point are read as Decimal, so no amount ever passes through a float.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from affiliate.money import LARGEST, BadAmount, exponent, minor

MOST_LINES = 2000
_MISSING = object()


class Unreadable(Exception):
    """A body we cannot take. The event is quarantined with this code and pointer."""

    def __init__(self, code: str, pointer: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.pointer = pointer
        self.message = message


def load(body: bytes) -> "Node":
    """The parsed body. What only Python takes for JSON (NaN and the like) is refused."""
    try:
        value = _JSON.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable("not_utf8", "", f"the body is not UTF-8: {error.reason}") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable("not_json", "", f"the body is not JSON: {error}") from None
    return Node(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def dump(value: Any) -> bytes:
    """JSON of what was read, each number with the digits it came with."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < 40 else str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


class Node:
    """A value in the body and where it stands."""

    __slots__ = ("parent", "step", "value")

    def __init__(self, value: Any, parent: "Node | None" = None, step: str | int = "") -> None:
        self.value = value
        self.parent = parent
        self.step = step

    @property
    def pointer(self) -> str:
        """Put together only when it is told: a body has hundreds of values and rarely a fault."""
        if self.parent is None:
            return ""
        step = str(self.step).replace("~", "~0").replace("/", "~1")
        return f"{self.parent.pointer}/{step}"

    def __bool__(self) -> bool:
        """Whether there is something here: missing and null are nothing."""
        return self.value is not _MISSING and self.value is not None

    def refuse(self, code: str, message: str) -> Unreadable:
        return Unreadable(code, self.pointer, message)

    def _of(self, *kinds: type) -> Any:
        if type(self.value) in kinds:
            return self.value
        if self.value is _MISSING:
            raise self.refuse("missing", "this field is needed")
        wrong_bool = isinstance(self.value, bool) and bool not in kinds
        if wrong_bool or not isinstance(self.value, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise self.refuse("wrong_type", f"expected {names}")
        return self.value

    def get(self, name: str) -> "Node":
        """A field of an object; missing fields are nodes without a value."""
        fields = self.value if type(self.value) is dict else self._of(dict)
        return Node(fields.get(name, _MISSING), self, name)

    def items(self) -> Iterator["Node"]:
        """The elements of a list; a missing or null list is empty."""
        if self.value is _MISSING or self.value is None:
            return
        elements = self._of(list)
        if len(elements) > MOST_LINES:
            raise self.refuse("too_many", f"more than {MOST_LINES} elements")
        for index, element in enumerate(elements):
            yield Node(element, self, index)

    def text(self) -> str:
        found: str = self._of(str)
        if "\x00" in found:
            raise self.refuse("bad_character", "NUL is not allowed in text")
        if not found.isascii():
            try:
                found.encode()
            except UnicodeEncodeError:
                raise self.refuse("bad_character", "half a surrogate pair is no text") from None
        return found

    def text_or_none(self) -> str | None:
        return (self.text() or None) if self else None

    def key(self) -> str:
        """An id, which shops send as a number or as text."""
        found = self._of(int, str)
        text = str(found) if isinstance(found, int) else self.text()
        if not 0 < len(text) <= 200:
            raise self.refuse("bad_id", "an id has 1 to 200 characters")
        return text

    def key_or_none(self) -> str | None:
        return self.key() if self and self.value != "" else None

    def flag(self, default: bool = False) -> bool:
        return bool(self._of(bool)) if self else default

    def whole(self) -> int:
        """A count: a whole number from 0 to a million."""
        found = self._of(int, Decimal)
        # Asked before it is made whole: 1e1000000 would keep a worker busy for minutes.
        if isinstance(found, Decimal) and (not found.is_finite() or found.adjusted() > 6):
            raise self.refuse("out_of_range", "more than a million")
        if found != int(found):
            raise self.refuse("not_whole", "expected a whole number")
        if found < 0:
            raise self.refuse("negative", "expected 0 or more")
        if found > 10**6:
            raise self.refuse("out_of_range", "more than a million")
        return int(found)

    def count(self) -> int:
        """A whole number, also as text."""
        if isinstance(self.value, str):
            if not (self.value.isascii() and self.value.isdigit() and len(self.value) <= 7):
                raise self.refuse("not_whole", "expected a whole number")
            return Node(int(self.value), self.parent, self.step).whole()
        return self.whole()

    def times(self, quantity: int, currency: str) -> int:
        """A price, so many times."""
        found = self.money(currency, numbers=True) * quantity
        if found > LARGEST:
            raise self.refuse("amount_out_of_range", "quantity × price is too much")
        return found

    def version(self) -> int:
        """A number that only grows; up to 2^62."""
        found: int = self._of(int)
        if not 0 <= found < 1 << 62:
            raise self.refuse("out_of_range", "expected 0 to 2^62")
        return found

    def currency(self) -> str:
        found = self.text()
        try:
            exponent(found)
        except BadAmount as error:
            raise self.refuse(error.code, str(error)) from None
        return found

    def money(self, currency: str, *, numbers: bool = False, signed: bool = False) -> int:
        """Minor units from a decimal string; with `numbers` JSON numbers are taken too."""
        found = self._of(str, int, Decimal) if numbers else self._of(str)
        try:
            amount = minor(found, currency)
        except BadAmount as error:
            raise self.refuse(error.code, str(error)) from None
        if amount < 0 and not signed:
            raise self.refuse("negative_amount", "an amount below 0")
        return amount

    def seconds(self) -> datetime:
        """An instant told as whole seconds since 1970, as a number or as text."""
        found = self._of(int, str)
        text = str(found)
        if not text.isascii() or not text.isdigit() or len(text) > 11:
            raise self.refuse("bad_time", "expected seconds since 1970")
        if not 0 < int(text) < 7_258_118_400:
            raise self.refuse("bad_time", "a year out of range")
        return datetime.fromtimestamp(int(text), UTC)

    def seconds_or_none(self) -> datetime | None:
        """Missing, null and 0 are no instant."""
        return self.seconds() if self and self.value not in (0, "0", "") else None

    def minor(self, *, signed: bool = False) -> int:
        """Minor units, as platforms tell them that count in the smallest coin."""
        found: int = self._of(int)
        if abs(found) > LARGEST:
            raise self.refuse("amount_out_of_range", "beyond what is accepted")
        if found < 0 and not signed:
            raise self.refuse("negative_amount", "an amount below 0")
        return found

    def utc(self) -> datetime:
        """An ISO 8601 time of a field whose name says it is UTC, so that it has no zone."""
        return self._instant(UTC)

    def utc_or_none(self) -> datetime | None:
        return self.utc() if self and self.value != "" else None

    def local(self, zone: tzinfo) -> datetime:
        """A time without a zone, of a platform that says which one it means."""
        return self._instant(zone)

    def time(self) -> datetime:
        """An instant in UTC; times without a zone are refused, since they are nobody's."""
        return self._instant(None)

    def _instant(self, zone: tzinfo | None) -> datetime:
        try:
            found = datetime.fromisoformat(self.text())
        except ValueError:
            raise self.refuse("bad_time", "expected an ISO 8601 time") from None
        if found.tzinfo is None:
            if zone is None:
                raise self.refuse("time_without_zone", "a time needs its zone")
            found = found.replace(tzinfo=zone)
        try:
            found = found.astimezone(UTC)
        except OverflowError:
            raise self.refuse("bad_time", "a year out of range") from None
        if not 1970 <= found.year <= 2200:
            raise self.refuse("bad_time", "a year out of range")
        return found

    def time_or_none(self) -> datetime | None:
        return self.time() if self else None
