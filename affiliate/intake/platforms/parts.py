"""What several platforms' parsers need: known words, lines with ids of their own, amounts or 0."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TypeVar

from affiliate.intake import reading
from affiliate.intake.reading import Node, Unreadable
from affiliate.orders.facts import Line

T = TypeVar("T")


def one_of(node: Node, table: Mapping[str, T], name: str = "status") -> T:
    """What a word means; one that nobody knows is put aside until somebody does."""
    word = node.key()
    if word not in table:
        raise node.refuse(f"unknown_{name}", f"{word[:40]!r} is no {name} we know")
    return table[word]


def word_of(node: Node, words: Collection[str], name: str = "status") -> str:
    return one_of(node, {word: word for word in words}, name)


def distinct(nodes: Node, read: Callable[[Node], Line]) -> tuple[Line, ...]:
    """The lines of an order, of which no two may have one id."""
    found: dict[str, Line] = {}
    for node in nodes.items():
        line = read(node)
        if line.external_id in found:
            raise node.refuse("duplicate_line", "two lines have this id")
        found[line.external_id] = line
    return tuple(found.values())


def amount(node: Node, currency: str) -> int:
    """A decimal, as text or as a number; missing, null and "" are 0."""
    return node.money(currency, numbers=True) if node and node.value != "" else 0


def fen(node: Node) -> int:
    """Whole minor units; missing and null are 0."""
    return node.minor() if node else 0


def version(at: datetime) -> int:
    """Microseconds: what shops call updated is what counts up."""
    return round(at.timestamp()) * 1_000_000 + at.microsecond


def field(body: bytes, *names: str) -> str:
    """A field of a body as text, for what only people read; "" if it cannot be had."""
    try:
        node = reading.load(body)
        for name in names:
            node = node.get(name)
        return node.key()
    except Unreadable:
        return ""


def names_account(body: bytes, wanted: str, *names: str) -> bool:
    """Whether a body that can be read is about the connected account. One that cannot is kept, and
    put aside where somebody sees it.
    """
    try:
        node = reading.load(body)
        for name in names:
            node = node.get(name)
        return node.key() == wanted
    except Unreadable:
        return True
