"""Connecting shops, and the secrets they sign their webhooks with."""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from affiliate import audit, clock, money, security
from affiliate.catalog import rules
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import CONNECTIONS, connection
from affiliate.catalog.queries import Door, hook_url
from affiliate.db import db
from affiliate.errors import Conflict, FieldError, Invalid, invalid
from affiliate.i18n import _

PLACE = "shops.credentials"
OLD_SECRET_LIVES = timedelta(hours=24)
SECRET_BYTES = 32
LONGEST_CREDENTIAL = 4000


# Credentials of which the one before stays good for a while after it was replaced.
ROTATING = {"webhook_secret": "webhook_secrets", "aes_key": "aes_keys"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a shop's connection was given."""

    secrets: tuple[str, ...]  # its webhooks may be signed with these now, newest first
    given: Mapping[str, Any] = field(default_factory=dict)
    hook_url: str = ""  # as it was told to a platform that signs it
    domain: str = ""

    def get(self, name: str) -> str:
        return str(self.given.get(name, ""))

    def has(self, names: Iterable[str]) -> bool:
        return all(self.get(name) or (name in ROTATING and self.each(name)) for name in names)

    def each(self, name: str) -> tuple[str, ...]:
        """The values of a rotating credential that are good now, newest first."""
        if name == "webhook_secret":
            return self.secrets
        return tuple(_good_now(self.given.get(ROTATING[name], ())))


_MINI = {"appid": re.compile(r"wx[0-9a-f]{16}"), "path": re.compile(r"[A-Za-z0-9_/-]{1,200}")}


class ShopExists(Conflict):
    code = "shop_exists"

    def __init__(self, message: Any, shop_id: int | None = None) -> None:
        super().__init__(message)
        self.shop_id = shop_id  # None: it is another merchant's


def create_shop(
    merchant_id: int,
    *,
    platform: str,
    domain: str,
    currency: str,
    country: str,
    credentials: Mapping[str, str],
    name: str | None = None,
    whole: bool = True,
) -> tuple[Shop, dict[str, str]]:
    """The shop, and the credentials that were made for it and are shown only now.

    If it need not be `whole`, what the shop tells only once it has our address comes later. A shop
    that was disconnected is connected again, with its history.
    """
    if platform not in set(CONNECTIONS):
        raise invalid(
            "/platform",
            "unknown_platform",
            _("There is no connector for %(platform)s.", platform=platform),
        )
    host = _host(domain)
    check_place(country, currency)
    given, made = _complete(platform, credentials, whole=whole)
    account = given.get(connection(platform).account, "")
    row = {
        "merchant_id": merchant_id,
        "platform": platform,
        "domain": host,
        "account": account,
        "name": name or host,
        "currency": currency,
        "country": country,
        "credentials": _sealed(_with_secret({}, given)),
    }
    # Two at once: the second waits here for the first and then finds the place taken.
    shop = db.session.scalar(
        insert(Shop)
        .values(row | {"created_at": clock.now(), "version": 1})
        .on_conflict_do_nothing(index_elements=["platform", "domain", "account"])
        .returning(Shop)
    )
    if shop is None:
        shop = _again(row)
    return shop, made


def _again(row: Mapping[str, Any]) -> Shop:
    """The merchant's own shop at this place, if it is disconnected: its orders came in its currency
    and go on in it.
    """
    place = {name: row[name] for name in ("platform", "domain", "account")}
    shop = db.session.scalars(sa.select(Shop).filter_by(**place).with_for_update()).one()
    is_own = shop.merchant_id == row["merchant_id"]
    if shop.disconnected_at is None or not is_own:
        message = _("%(host)s is already connected.", host=shop.domain)
        raise ShopExists(message, shop.id if is_own else None)
    if shop.currency != row["currency"]:
        message = _("This shop was connected in %(currency)s before.", currency=shop.currency)
        raise invalid("/currency", "another_currency", message)
    shop.name, shop.country, shop.credentials = row["name"], row["country"], row["credentials"]
    shop.disconnected_at = None
    shop.version += 1
    db.session.flush()
    return shop


def disconnect_shop(shop: Shop) -> None:
    """From now on its webhooks are refused, it is not asked, and links do not lead there. What was
    booked stays, and its secrets are forgotten. Asking again changes nothing.
    """
    if shop.disconnected_at is None:
        shop.disconnected_at = clock.now()
        shop.credentials = _sealed(_with_secret({}, {}))
        shop.version += 1
        db.session.flush()
        audit.record("shop.disconnected", subject=f"shp:{shop.id}", merchant_id=shop.merchant_id)


def check_place(country: str, currency: str) -> None:
    _check_currency(currency)
    _check_country(country)


def change_shop(
    shop: Shop,
    *,
    name: str | None = None,
    credentials: Mapping[str, str] | None = None,
    whole: bool = True,
) -> dict[str, str]:
    """Rename, or rotate secrets: the previous webhook secret stays valid for 24 hours.

    Returns the credentials that were made and are shown only now.
    """
    made: dict[str, str] = {}
    if credentials is not None:
        kept = _unsealed(shop)
        _check_account(shop, credentials)
        given, made = _complete(shop.platform, credentials, kept, whole=whole)
        shop.credentials = _sealed(_with_secret(kept, given))
    if name is not None:
        shop.name = name
    shop.version += 1
    db.session.flush()
    return made


def set_miniprogram(shop: Shop, mini: Mapping[str, str] | None) -> None:
    """The shop inside of WeChat, {"appid", "path"}: links with such a target lead there."""
    for name, text in (mini or {}).items():
        if not _MINI[name].fullmatch(text):
            raise invalid(f"/miniprogram/{name}", f"bad_{name}", _(
                "A mini program is named by its AppID, like wx0123456789abcdef, and by a page of"
                " it, like pages/goods/one."
            ))  # fmt: skip
    shop.miniprogram = dict(mini) if mini else None
    db.session.flush()


def webhook_secrets(shop: Shop | Door) -> list[str]:
    """The secrets a webhook of this shop may be signed with now, newest first."""
    return _good_now(_unsealed(shop)["webhook_secrets"])


def keys(shop: Shop | Door) -> Keys:
    """All that the shop's connection was given."""
    given = _unsealed(shop)
    secrets = tuple(_good_now(given["webhook_secrets"]))
    address = hook_url(shop) if connection(shop.platform).signs_address else ""
    return Keys(secrets, given, address, shop.domain)


def _good_now(secrets: Iterable[Mapping[str, Any]]) -> list[str]:
    now = clock.now()
    return [each["value"] for each in secrets if _lives(each, now)]


def _check_account(shop: Shop, credentials: Mapping[str, str]) -> None:
    """Another account is another shop, with other orders."""
    name = connection(shop.platform).account
    if name and credentials.get(name, shop.account) != shop.account:
        raise invalid(
            f"/credentials/{name}",
            "another_account",
            _("This is another account: connect it as a shop of its own."),
        )


def _complete(
    platform: str,
    credentials: Mapping[str, str],
    kept: Mapping[str, Any] = MappingProxyType({}),
    *,
    whole: bool = True,
) -> tuple[dict[str, str], dict[str, str]]:
    """What to keep, and what of it we made ourselves."""
    given = _known(platform, credentials)
    wanted = connection(platform)
    known = {*given, *kept, *(name for name, several in ROTATING.items() if kept.get(several))}
    later = () if whole else wanted.later
    missing = [name for name in wanted.required if name not in known and name not in later]
    if missing:
        raise Invalid(
            _(
                "A %(platform)s shop needs %(missing)s.",
                platform=platform,
                missing=", ".join(missing),
            ),
            errors=tuple(
                FieldError(f"/credentials/{name}", "missing", _("This is needed."))
                for name in missing
            ),
        )
    if wanted.makes_secret and "webhook_secret" not in given and not (kept and given):
        made = {"webhook_secret": _new_secret()}
        return given | made, made
    return given, {}


def _known(platform: str, credentials: Mapping[str, str]) -> dict[str, str]:
    wanted = connection(platform)
    for name, value in credentials.items():
        pointer = f"/credentials/{name}"
        if name not in wanted.required + wanted.optional:
            raise invalid(
                pointer,
                "unknown_field",
                _("A %(platform)s shop has no %(name)s.", platform=platform, name=name),
            )
        if not value:
            raise invalid(pointer, "missing", _("This may not be empty."))
        if not value.isprintable() or len(value) > LONGEST_CREDENTIAL:
            message = _("This is no single line of text: copy it once more.")
            raise invalid(pointer, "bad_credential", message)
    if platform == Platform.STANDARD and "webhook_secret" in credentials:
        _check_standard_secret(credentials["webhook_secret"])
    return dict(credentials)


def _check_standard_secret(secret: str) -> None:
    """`whsec_` and the base64 of 24 to 64 bytes, as Standard Webhooks asks."""
    head, _underscore, tail = secret.partition("_")
    try:
        size = len(base64.b64decode(tail, validate=True)) if head == "whsec" else 0
    except ValueError:
        size = 0
    if not 24 <= size <= 64:
        raise invalid(
            "/credentials/webhook_secret",
            "bad_secret",
            _("A secret is whsec_ followed by the base64 of 24 to 64 bytes."),
        )


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(os.urandom(SECRET_BYTES)).decode()}"


def _with_secret(kept: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Old and new credentials in one; superseded secrets get their end."""
    changed = {**kept, **given}
    for name, several in ROTATING.items():
        new = changed.pop(name, None)
        if new or several in kept or name == "webhook_secret":
            changed[several] = _superseded(kept.get(several, []), new)
    return changed


def _superseded(kept: Iterable[dict[str, Any]], new: str | None) -> list[dict[str, Any]]:
    now = clock.now()
    secrets = [each for each in kept if _lives(each, now)]
    if new and (not secrets or secrets[0]["value"] != new):
        until = (now + OLD_SECRET_LIVES).isoformat()
        secrets = [each | {"until": each["until"] or until} for each in secrets]
        secrets.insert(0, {"value": new, "since": now.isoformat(), "until": None})
    return secrets


def _lives(secret: Mapping[str, Any], now: datetime) -> bool:
    return secret["until"] is None or datetime.fromisoformat(secret["until"]) > now


def _sealed(credentials: Mapping[str, Any]) -> bytes:
    return security.seal(json.dumps(credentials).encode(), place=PLACE)


def _unsealed(shop: Shop | Door) -> dict[str, Any]:
    clear: dict[str, Any] = json.loads(security.unseal(shop.credentials, place=PLACE))
    return clear


def _host(domain: str) -> str:
    try:
        return rules.bare_host(domain)
    except rules.BadAddress as error:
        raise invalid("/domain", "bad_domain", str(error)) from None


def _check_country(country: str) -> None:
    if not (len(country) == 2 and country.isascii() and country.isupper()):
        message = _("A country is two letters, like BR, CN or MX.")
        raise invalid("/country", "unknown_country", message)


def _check_currency(currency: str) -> None:
    try:
        money.exponent(currency)
    except money.BadAmount as error:
        raise invalid("/currency", error.code, str(error)) from None
