"""What intake asks of a platform that tells of its products."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from affiliate.catalog.service import Keys, ProductFacts
from affiliate.intake.api import Client, Page, Window
from affiliate.intake.reading import Node


class Ground(NamedTuple):
    """What must be known of the shop to read its products."""

    domain: str
    currency: str
    country: str = ""


def never(keys: Keys, body: Node) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """How a platform's products are recognised and read, and how its API is asked for them."""

    of: Callable[[Node, str], Node | None]
    """Where a body, sent under this topic, names the product that it is about; None if it is about
    something else. Only a body that is nothing but an id is told by its topic."""

    read: Callable[[Node, Ground], ProductFacts | None]
    """The facts; None if this body alone tells none, Unreadable where they cannot be taken."""

    thin: Callable[[Keys, Node], bool] = never
    """Whether this body does not tell all, so that the product must be fetched."""

    fetch: Callable[[Client, str], Sequence[bytes]]
    """The product of this id, as bodies that `read` reads; Refused `not_found` if there is none."""

    pull: Callable[[Client, Window | None, str], Page]
    """A page of what changed in a window, or of all there is, from a cursor on."""

    tells_changes: bool = True
    """Whether a window can be asked for."""

    whole_every: timedelta = timedelta(hours=24)
    """How often all there is must be read, to find what is told no more."""
