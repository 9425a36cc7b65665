"""`affiliate users` and `affiliate keys`."""

import sys

import click
import pyotp
from flask import current_app

from affiliate import ids
from affiliate.config import Settings
from affiliate.errors import NotFound
from affiliate.people import queries, service
from affiliate.people.models import Role, User
from affiliate.shell import in_app

ROLE = click.Choice([role.value for role in Role])


@click.group()
def users() -> None:
    """People who sign in."""


@users.command("create")
@click.option("--email", required=True)
@click.option("--role", required=True, type=ROLE)
@click.option("--merchant", metavar="ID", help="mer_…, for merchant roles and finance of one.")
@click.option("--promoter", metavar="ID", help="prm_…, for the role promoter.")
@click.option("--agency", metavar="ID", help="agn_…, for the role agency.")
@click.option("--name")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin; no link.")
@in_app
def create_user(
    email: str,
    role: str,
    merchant: str | None,
    promoter: str | None,
    agency: str | None,
    name: str | None,
    password_stdin: bool,
) -> None:
    """Create a user and print a one-time link to choose a password.

    For an address that is known already, only the role is added.
    """
    known = queries.user_by_email(email)
    password = _password() if password_stdin else None
    user = known or service.create_user(email, name=name)
    service.grant(user, Role(role), **_place(merchant, promoter, agency))
    if password is not None:
        service.set_password(user, password)
    if known:
        click.echo(f"{user.email} is now also {role}.", err=True)
    elif password is None:
        settings: Settings = current_app.config["SETTINGS"]
        click.echo(f"{settings.address}/welcome/{service.create_link(user)}")


@users.command("totp")
@click.option("--email", required=True)
@in_app
def set_up_totp(email: str) -> None:
    """Set up a second factor, replacing any before it; shown this once."""
    uri = service.set_up_totp(_user(email))
    click.echo(uri)
    click.echo(f"secret: {pyotp.parse_uri(uri).secret}")


@click.group()
def keys() -> None:
    """Keys of the API."""


@keys.command("create")
@click.option("--name", required=True)
@click.option("--role", required=True, type=ROLE)
@click.option("--merchant", metavar="ID", help="mer_…, for merchant roles and finance of one.")
@click.option("--promoter", metavar="ID", help="prm_…, for the role promoter.")
@click.option("--agency", metavar="ID", help="agn_…, for the role agency.")
@click.option("--user", metavar="E-MAIL", help="Whom it acts as; they must hold the role.")
@in_app
def create_key(
    name: str,
    role: str,
    merchant: str | None,
    promoter: str | None,
    agency: str | None,
    user: str | None,
) -> None:
    """Print a new key, alone on stdout. It is shown this once.

    Without --user it acts as a service user of its own, which can neither make nor approve
    settlements.
    """
    owner = _user(user) if user else None
    _, text = service.create_key(name, Role(role), user=owner, **_place(merchant, promoter, agency))
    click.echo(text)


def _place(merchant: str | None, promoter: str | None, agency: str | None) -> dict[str, int | None]:
    merchant_id = ids.decode_one("mer", merchant) if merchant else None
    promoter_id = ids.decode_one("prm", promoter) if promoter else None
    if merchant_id is not None:
        queries.merchant(merchant_id)
    if promoter_id is not None:
        queries.promoter(promoter_id)
    agency_id = ids.decode_one("agn", agency) if agency else None
    if agency_id is not None:
        queries.agency(agency_id)
    return {"merchant_id": merchant_id, "promoter_id": promoter_id, "agency_id": agency_id}


def _user(email: str) -> User:
    user = queries.user_by_email(email)
    if user is None:
        raise NotFound(f"There is no user {email}; `affiliate users create` makes one.")
    return user


def _password() -> str:
    return sys.stdin.readline().rstrip("\r\n")
