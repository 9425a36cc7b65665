"""Who may do what, and how people are recognised: pure rules, asked by every door."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from types import MappingProxyType

import phonenumbers
import pyotp
from email_validator import EmailNotValidError, validate_email

from affiliate import security
from affiliate.errors import Forbidden, NotFound
from affiliate.i18n import _
from affiliate.people.models import Role

LOCALES = ("en", "zh-Hans", "es", "es-AR", "es-MX", "pt-BR")
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
REACHED = frozenset(
    {
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,  # +1 does not tell them apart
        phonenumbers.PhoneNumberType.PERSONAL_NUMBER,
    }
)
STEP_SECONDS = 30  # RFC 6238
GMAIL = frozenset({"gmail.com", "googlemail.com"})
LONGEST = 254  # of an address, RFC 5321
_PLAIN = re.compile(r"(?=.{1,64}$)[\w+-]+(\.[\w+-]+)*", re.ASCII)  # what is before the @, mostly


class Right(StrEnum):
    """What a role may do. docs/api.md shows the table."""

    ADMINISTER = "administer"  # the instance: merchants, promoters, keys of anybody
    READ_MERCHANT = "read_merchant"  # catalogue, programs, enrolments, links, orders, commissions
    RUN_MERCHANT = "run_merchant"  # change those
    OWN_MERCHANT = "own_merchant"  # its settings, its keys and team
    READ_MONEY = "read_money"  # balances, settlements, payouts, pay-ins
    HANDLE_MONEY = "handle_money"  # execute, pay-ins, cancel, mark paid, failed or returned
    READ_AUDIT = "read_audit"  # what was decided about it
    MAKE_SETTLEMENTS = "make_settlements"
    APPROVE_SETTLEMENTS = "approve_settlements"
    PROMOTE = "promote"  # one's own profile, links, earnings, payout accounts
    RUN_AGENCY = "run_agency"  # its promoters, its earnings, its payout accounts


_MERCHANT = frozenset({Role.MERCHANT_OWNER, Role.MERCHANT_STAFF, Role.MERCHANT_ANALYST})
_FINANCE = frozenset({Role.FINANCE_MAKER, Role.FINANCE_CHECKER, Role.FINANCE_AUDITOR})

HOLDERS: Mapping[Right, frozenset[Role]] = MappingProxyType(
    {
        Right.ADMINISTER: frozenset({Role.OPERATOR}),
        Right.READ_MERCHANT: _MERCHANT | _FINANCE | {Role.OPERATOR},
        Right.RUN_MERCHANT: frozenset({Role.OPERATOR, Role.MERCHANT_OWNER, Role.MERCHANT_STAFF}),
        Right.OWN_MERCHANT: frozenset({Role.OPERATOR, Role.MERCHANT_OWNER}),
        Right.READ_MONEY: _FINANCE | {Role.OPERATOR, Role.MERCHANT_OWNER, Role.MERCHANT_ANALYST},
        Right.HANDLE_MONEY: frozenset({Role.OPERATOR, Role.FINANCE_MAKER}),
        Right.READ_AUDIT: _FINANCE | {Role.OPERATOR},
        Right.MAKE_SETTLEMENTS: frozenset({Role.OPERATOR, Role.FINANCE_MAKER}),
        Right.APPROVE_SETTLEMENTS: frozenset({Role.FINANCE_CHECKER}),
        Right.PROMOTE: frozenset({Role.PROMOTER}),
        Right.RUN_AGENCY: frozenset({Role.AGENCY}),
    }
)
# Four eyes are people's eyes: a key without a person behind it counts for none.
PEOPLE_ONLY = frozenset({Right.MAKE_SETTLEMENTS, Right.APPROVE_SETTLEMENTS})

Scope = frozenset[int] | None  # merchant ids; None: every merchant


@dataclass(frozen=True, slots=True)
class Held:
    """A role as its holder has it: for one merchant, promoter or agency, or the whole instance."""

    role: Role
    merchant_id: int | None = None
    promoter_id: int | None = None
    agency_id: int | None = None

    def covers(self, merchant_id: int) -> bool:
        if self.merchant_id is not None:
            return self.merchant_id == merchant_id
        return self.role is Role.OPERATOR or self.role in _FINANCE


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a user, with the roles this key or session brings along."""

    user_id: int
    held: tuple[Held, ...]
    is_service: bool = False
    key_id: int | None = None

    def may(self, *rights: Right) -> bool:
        """Whether any of these rights is held, for whatever merchant."""
        return any(self._with(right) for right in rights)

    def scope(self, right: Right) -> Scope:
        """The merchants for which the right is held."""
        ids: set[int] = set()
        for held in self._with(right):
            if held.merchant_id is None:
                return None
            ids.add(held.merchant_id)
        return frozenset(ids)

    def has(self, right: Right, merchant_id: int) -> bool:
        """Whether the right is held for this merchant."""
        return any(held.covers(merchant_id) for held in self._with(right))

    def require(self, right: Right, merchant_id: int) -> None:
        """NotFound where the merchant is none of the caller's business, so that nobody learns
        what exists elsewhere; Forbidden where the caller sees it but may not do this.
        """
        if self.has(right, merchant_id):
            return
        if any(held.covers(merchant_id) for held in self.held):
            raise Forbidden(_("Your role does not allow this."))
        raise NotFound(_("There is no such thing here."))

    @property
    def promoter_ids(self) -> frozenset[int]:
        """The promoters this caller is."""
        return frozenset(
            held.promoter_id for held in self._with(Right.PROMOTE) if held.promoter_id is not None
        )

    def require_promoter(self, promoter_id: int) -> None:
        """The promoter is the caller, or the caller administers the instance; else NotFound."""
        if promoter_id not in self.promoter_ids and not self.may(Right.ADMINISTER):
            raise NotFound(_("There is no such promoter here."))

    @property
    def agency_ids(self) -> frozenset[int]:
        """The agencies this caller works for."""
        return frozenset(
            held.agency_id for held in self._with(Right.RUN_AGENCY) if held.agency_id is not None
        )

    def is_payee(self, kind: str, payee_id: int) -> bool:
        """Whether what this payee earns is the caller's."""
        mine = {"promoter": self.promoter_ids, "agency": self.agency_ids}
        return payee_id in mine.get(kind, frozenset())

    def require_agency(self, agency_id: int) -> None:
        """The caller works for it, or administers the instance; else NotFound."""
        if agency_id not in self.agency_ids and not self.may(Right.ADMINISTER):
            raise NotFound(_("There is no such agency here."))

    def _with(self, right: Right) -> list[Held]:
        if self.is_service and right in PEOPLE_ONLY:
            return []
        return [held for held in self.held if held.role in HOLDERS[right]]


def normal_email(email: str) -> str | None:
    """An address as it is stored, or None if it is none. Says nothing about whether it exists."""
    local, _at, domain = email.partition("@")
    if email.isascii() and len(email) <= LONGEST and _PLAIN.fullmatch(local):
        # Most mailboxes are at few hosts, and it is the host that takes long to judge.
        host = _normal_host(domain)
        return host and f"{local.lower()}@{host}"
    return _validated(email)


@lru_cache(maxsize=4096)
def _normal_host(domain: str) -> str | None:
    found = _validated(f"x@{domain}")
    return found and found.partition("@")[2]


def _validated(email: str) -> str | None:
    try:
        # The test environment differs in one thing: it takes addresses under .test.
        return validate_email(
            email, check_deliverability=False, test_environment=True
        ).normalized.lower()
    except EmailNotValidError:
        return None


def normal_phone(phone: str, country: str | None = None) -> str | None:
    """E.164, or None if the number cannot be one. `country` reads numbers without +."""
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    national = str(number.national_number)
    # Mexico dropped the 1 before mobile numbers in 2019; shops still send it.
    if number.country_code == 52 and len(national) == 11 and national.startswith("1"):
        number.national_number = int(national[1:])
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mobile_number(phone: str, country: str | None) -> str | None:
    """E.164 of a number that a message can reach; None for landlines, and for those that cost
    whoever writes to them. Of another country it begins with + and the code.
    """
    normal = normal_phone(phone, country)
    if normal is None:
        return None
    number = phonenumbers.parse(normal)
    kind = phonenumbers.number_type(number)
    return normal if phonenumbers.is_valid_number(number) and kind in REACHED else None


def buyer_email_hash(email: str | None) -> bytes | None:
    """Recognises one mailbox however it is written; None is unknown, which equals nobody."""
    normal = normal_email(email.strip()) if email else None
    if normal is None:
        return None
    local, _, domain = normal.rpartition("@")
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return security.keyed_hash(f"{local}@{domain}", purpose="buyer")


def buyer_phone_hash(phone: str | None, country: str | None = None) -> bytes | None:
    """Recognises one number however it is written; None is unknown, which equals nobody."""
    normal = normal_phone(phone, country) if phone else None
    return security.keyed_hash(normal, purpose="buyer") if normal else None


def coarse_ip(text: str | None) -> str | None:
    """An address shortened to its network (/24, /48): enough to recognise home and office by."""
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = 24 if address.version == 4 else 48
    return str(ip_network(f"{address}/{bits}", strict=False).network_address)


def matching_step(secret: str, code: str, unix_seconds: int) -> int | None:
    """The 30-second step whose code this is, one step of clock error either way (RFC 6238)."""
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    now = unix_seconds // STEP_SECONDS
    fitting = [s for s in (now - 1, now, now + 1) if security.same(totp.generate_otp(s), code)]
    return fitting[-1] if fitting else None
