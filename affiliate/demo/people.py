"""Who may sign in to a demo, and how. The sign-in page takes these people on loopback only."""

from collections.abc import Mapping
from typing import NamedTuple

import pyotp

from affiliate import clock
from affiliate.people import queries, service
from affiliate.people.models import Promoter, Role, User

DOMAIN = "demo.tuike.example"
PASSWORD = "demo-demo-demo"  # noqa: S105
# Known to everybody, as the password is, so that a visitor can approve a settlement.
TOTP_SECRET = "TUIKEDEMOTUIKEDEMOTUIKEDEMOTUIKE"  # noqa: S105


class Desk(NamedTuple):
    """Somebody who works here; promoters who may sign in are named by the story."""

    handle: str
    role: Role
    name: str
    locale: str
    timezone: str


DESKS = (
    Desk("operator", Role.OPERATOR, "Robin Lindqvist", "en", "Asia/Shanghai"),
    Desk("agency", Role.AGENCY, "Paula Prado", "pt-BR", "America/Sao_Paulo"),
    Desk("owner", Role.MERCHANT_OWNER, "林素", "zh-Hans", "Asia/Shanghai"),
    Desk("maker", Role.FINANCE_MAKER, "Grace Tan", "en", "Asia/Shanghai"),
    Desk("checker", Role.FINANCE_CHECKER, "Mateo Silva", "en", "America/Sao_Paulo"),
)
ZONES = {"CN": "Asia/Shanghai", "BR": "America/Sao_Paulo", "MX": "America/Mexico_City"}


def address(handle: str) -> str:
    return f"{handle}@{DOMAIN}"


def hire(merchant_id: int, agency_id: int) -> dict[str, User]:
    """The people at the desks, by handle. The checker has a second factor."""
    found = {}
    for desk in DESKS:
        user = _user(desk.handle, desk.name, desk.locale, desk.timezone)
        service.grant(
            user,
            desk.role,
            merchant_id=merchant_id if desk.role is Role.MERCHANT_OWNER else None,
            agency_id=agency_id if desk.role is Role.AGENCY else None,
        )
        found[desk.handle] = user
    service.set_up_totp(found["checker"], TOTP_SECRET)
    return found


def let_in(promoters: Mapping[str, Promoter]) -> None:
    """Let these promoters sign in, by handle."""
    for handle, promoter in promoters.items():
        zone = ZONES[promoter.country or "CN"]
        user = _user(handle, promoter.name, promoter.locale, zone)
        service.grant(user, Role.PROMOTER, promoter_id=promoter.id)


def _user(handle: str, name: str, locale: str, timezone: str) -> User:
    return service.create_user(
        address(handle), name=name, password=PASSWORD, locale=locale, timezone=timezone
    )


def code() -> str:
    """The checker's second factor at this moment."""
    return pyotp.TOTP(TOTP_SECRET).at(clock.now())


def log_ins() -> list[str]:
    """Lines that tell how to sign in; none when this is no demo."""
    people = queries.users_at(DOMAIN)
    if not people:
        return []
    wide = max(len(user.email or "") for user, _ in people)
    return [
        f"Demo log-ins, on this machine only. The password is {PASSWORD}",
        *(f"  {user.email:<{wide}}  {role:<15}  {user.name}" for user, role in people),
        "  The checker's second factor: `affiliate demo --code` tells it,",
        f"  as does any authenticator app with the key {TOTP_SECRET}",
    ]
