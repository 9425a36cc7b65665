"""What is asked of a platform about coupons: one `Coupons` at the end of each file here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from affiliate.intake.api import Client, Refused
from affiliate.money import decimal_text

LETTERS = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Offer(NamedTuple):
    """A coupon as a shop is to have it."""

    code: str
    mark: str  # our id of it, by which it is known again where the shop can keep that
    percent_ppm: int | None
    amount: int | None
    currency: str
    minimum: int | None
    uses: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    zone: str  # in which days are meant

    @property
    def percent(self) -> str:
        """As shops write it: "12.5" per cent is "12.50"."""
        whole, rest = divmod(self.percent_ppm or 0, 10_000)
        return f"{whole}.{rest // 100:02}"

    def money(self, minor: int) -> str:
        return decimal_text(minor, self.currency)


class Found(NamedTuple):
    """A coupon as a shop has it."""

    id: str
    code: str
    runs: bool  # switched on; it may be too early or too late all the same
    is_ours: bool  # it carries our mark, or where there are no marks, is just what was sent


class Exists(Exception):
    """The shop will not make it, as it has this code by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupons:
    """How coupons of one platform are made and changed."""

    right: str
    """What the access must allow, in the platform's words."""

    letters: re.Pattern[str] = LETTERS
    """The codes that it takes."""

    find: Callable[[Client, Offer], Found | None]
    """By the code, whoever made it."""

    read: Callable[[Client, Offer, str], Found | None]
    """By the shop's id; None if it is gone."""

    create: Callable[[Client, Offer], str]
    """Make it, once; returns the shop's id. `Exists` where the code is taken."""

    pause: Callable[[Client, Offer, str], None]
    resume: Callable[[Client, Offer, str], None]
    remove: Callable[[Client, str], None]

    has_start: bool = True
    """It can be told when a coupon begins; else it is made only then."""

    has_marks: bool = True
    """It keeps our mark with the coupon."""


def lacks_right(refusal: Refused) -> bool:
    """Whether the shop knows us and does not let us."""
    return refusal.answer is not None and refusal.answer.status in (401, 403)


def no_right(right: str) -> Refused:
    return Refused("no_right", f"the access lacks {right}")
