"""What intake asks of a platform: one `Platform` at the end of each file of this folder."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

from werkzeug.datastructures import Headers

from affiliate.catalog.service import Keys
from affiliate.intake.api import Api, Client, Page, Window
from affiliate.intake.catalogue.interface import Catalogue
from affiliate.intake.reading import Node
from affiliate.orders.facts import Order, RefundNotice

Report = Order | RefundNotice


class Knock(NamedTuple):
    """What came to the door: headers are looked up without regard to case, the body is raw."""

    headers: Headers | Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}

    def header(self, *names: str) -> str:
        """The first of these headers that is there."""
        return next((found for name in names if (found := self.headers.get(name))), "")


def by_content(knock: Knock) -> str:
    """For platforms without a delivery id: the same bytes are the same delivery."""
    return hashlib.sha256(knock.body).hexdigest()


def each_time(knock: Knock) -> str:
    """For notices that look alike whenever they come: each is kept, one fetch answers them."""
    return f"{by_content(knock)}:{uuid4().hex}"


def as_it_came(keys: Keys, knock: Knock) -> bytes:
    return knock.body


def nothing_to_greet(keys: Keys, knock: Knock) -> bytes | None:
    return None


def not_signed(keys: Keys, knock: Knock) -> str:
    return "signature" if keys.secrets else "no_secret"


def never(keys: Keys, body: Node) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """How a platform's webhooks are proved, named and read, and how its API is asked."""

    signed: Callable[[Keys, Knock], bool]
    """Whether one of the secrets signed these bytes; compared in constant time."""

    why: Callable[[Keys, Knock], str] = not_signed
    """Of a knock that is not signed, what is wrong with it: a code that the set-up page words."""

    order_key: Callable[[Node], str]
    """The order that a body is about, or "" if it is about none."""

    read: Callable[[Node], Sequence[Report]]
    """The facts; Unreadable with a pointer where they cannot be taken."""

    delivery: Callable[[Knock], str] = by_content
    """What makes a repeated delivery recognisable."""

    topic: Callable[[Knock], str] = field(default=lambda knock: "order")  # noqa: ARG005
    """For people to read; it decides nothing."""

    plain: Callable[[Keys, Knock], bytes] = as_it_came
    """The JSON to be kept, of a body that is enciphered or wrapped."""

    greet: Callable[[Keys, Knock], bytes | None] = nothing_to_greet
    """The answer to a greeting (a ping, a check of the address), which is not kept."""

    thanks: bytes = b'{"ok":true}\n'
    """What the platform wants to hear when its webhook is kept."""

    thin: Callable[[Keys, Node], bool] = never
    """Whether this body only says where to look, so that the order must be fetched."""

    dated_by_us: bool = False
    """Its facts carry the time of our fetch as version, so that alone is no news."""

    has_checkouts: bool = False
    """Its orders name the checkout that a web pixel knows too (intake/checkouts.py)."""

    api: Api | None = None
    """How requests to the platform are addressed and authorised."""

    fetch: Callable[[Client, Node], Sequence[bytes]] | None = None
    """The order behind a thin body, as bodies that `read` reads."""

    pull: Callable[[Client, Window, str], Page] | None = None
    """A page of what changed in a window, from a cursor on ("" is the first page)."""

    catalogue: Catalogue | None = None
    """How it tells of its products, if it does."""
