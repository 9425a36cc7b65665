"""People for tests: users, keys, merchants, promoters."""

import itertools

from affiliate.people import agencies, service
from affiliate.people.models import Agency, Merchant, Promoter, Role, User

_numbers = itertools.count(1)


def a_merchant(name: str = "Casa Ana", **fields: object) -> Merchant:
    given = {"country": "BR", "currency": "BRL", "timezone": "America/Sao_Paulo"} | fields
    return service.create_merchant(name, **given)


def a_promoter(
    name: str = "Bruna", *, sponsor: Promoter | None = None, email: str | None = None, **fields
) -> Promoter:
    return service.create_promoter(
        name,
        email=email or f"promoter{next(_numbers)}@example.com",
        sponsor_id=sponsor and sponsor.id,
        **({"country": "BR", "locale": "pt-BR"} | fields),
    )


def an_agency(name: str = "Rede Sol", *members: Promoter) -> Agency:
    """With these promoters, from now on."""
    agency = agencies.create(name)
    for member in members:
        agencies.accept(agencies.invite(agency, member))
    return agency


def a_user(
    role: Role | None = Role.OPERATOR,
    *,
    merchant: Merchant | None = None,
    promoter: Promoter | None = None,
    agency: Agency | None = None,
    email: str | None = None,
    password: str | None = None,
) -> User:
    user = service.create_user(email or f"user{next(_numbers)}@example.com", password=password)
    if role is not None:
        service.grant(
            user,
            role,
            merchant_id=merchant and merchant.id,
            promoter_id=promoter and promoter.id,
            agency_id=agency and agency.id,
        )
    return user


def a_key(
    role: Role = Role.OPERATOR,
    *,
    merchant: Merchant | None = None,
    promoter: Promoter | None = None,
    agency: Agency | None = None,
    user: User | None = None,
) -> str:
    """The text of an API key: of a service user, or of `user`, who must hold the role."""
    _, text = service.create_key(
        "test key",
        role,
        merchant_id=merchant and merchant.id,
        promoter_id=promoter and promoter.id,
        agency_id=agency and agency.id,
        user=user,
    )
    return text


def bearer(key: str, **headers: str) -> dict[str, str]:
    """`client.get("/api/v1/me", headers=bearer(a_key()))`"""
    return {"Authorization": f"Bearer {key}", **headers}
