"""Demo people on the sign-in page: one tap for whoever sits at this machine, nothing for others."""

from dataclasses import dataclass
from typing import Any

from affiliate.consoles.account.doors import on_this_machine
from affiliate.consoles.session import ROLE_WORDS
from affiliate.people import queries
from affiliate.people.models import Role, User

DOMAIN = "demo.tuike.example"


@dataclass(frozen=True, slots=True)
class Character:
    email: str
    name: str
    role: Any
    password: str


def is_demo(user: User) -> bool:
    return (user.email or "").endswith(f"@{DOMAIN}")


def cast() -> list[Character]:
    """Who may be played, the desks first; nobody where there is no demo, or not from here."""
    found = queries.users_at(DOMAIN) if on_this_machine() else []
    if not found:
        return []
    from affiliate.demo.people import PASSWORD  # its package knows everything, so it comes late

    return [
        Character(user.email or "", user.name, ROLE_WORDS[Role(role)], PASSWORD)
        for user, role in found
    ]


def code_for(user: User) -> str | None:
    """The second factor of the demo's checker is no secret, as their password is none."""
    if not is_demo(user) or not on_this_machine():
        return None
    from affiliate.demo.people import code

    return code()
