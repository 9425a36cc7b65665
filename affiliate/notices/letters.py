"""What is written to whom when something happened: one function for each kind of event.

A letter is words and at most one thing to do. Each function is called with the reader's language
set. One-time links are made here, when the letter is written, so that no event and no queue ever
holds a secret. A new kind of letter is a function with its name in LETTERS.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from flask import current_app

from affiliate import formats
from affiliate.commissions.service import telling
from affiliate.config import Settings
from affiliate.events import Event
from affiliate.i18n import _, _n
from affiliate.notices.models import Kind
from affiliate.people import browsers, joining, service
from affiliate.people.models import User

RESET_LIVES = timedelta(hours=1)
ORDERS = telling.EVENT  # the only ones that come by the thousand


@dataclass(frozen=True, slots=True)
class Letter:
    subject: Any
    words: tuple[Any, ...]  # paragraphs before the button
    action: tuple[Any, str] | None = None  # words and address of the button
    after: tuple[Any, ...] = ()


def reset_asked(_event: Event, user: User) -> Letter:
    secret = service.create_link(user, "reset", lives=RESET_LIVES)
    return Letter(
        _("Choose a new password"),
        (_("Somebody, probably you, asked for a new password for Tuike."),),
        (_("Choose a new password"), _address(f"/reset/{secret}")),
        (
            _("The link works once and for an hour."),
            _("If it was not you, do nothing: your password stays as it is."),
        ),
    )


def password_changed(_event: Event, _user: User) -> Letter:
    return Letter(
        _("Your password was changed"),
        (
            _("The password of your Tuike account was changed just now."),
            _("You were signed out everywhere else."),
        ),
        (_("It was not me"), _address("/forgot")),
    )


def device_added(event: Event, _user: User) -> Letter:
    browser = browsers.name_of(event.payload.get("user_agent", "")) or _("unknown browser")
    network = event.payload.get("network") or "–"
    return Letter(
        _("You signed in on a new device"),
        (
            _("Somebody signed in to your Tuike account on a device we do not know."),
            _("When: %(when)s", when=formats.instant(event.happened_at)),
            _("Browser: %(browser)s", browser=browser),
            _("Network: %(network)s", network=network),
        ),
        (_("See where you are signed in"), _address("/account/security")),
        (
            _("If it was you, there is nothing to do."),
            _("If not, end that session and change your password."),
        ),
    )


def joined(_event: Event, user: User) -> Letter:
    secret = service.create_link(user, joining.CONFIRM, lives=joining.CONFIRM_LIVES)
    return Letter(
        _("Confirm your e-mail address"),
        (
            _("Welcome to Tuike, %(name)s!", name=user.name),
            _("Confirm that this address is yours, and you can begin to share."),
        ),
        (_("Confirm and begin"), _address(f"/confirm/{secret}")),
        (
            _("The link works once and for a week."),
            _("If you did not join Tuike, do nothing."),
        ),
    )


def join_repeated(event: Event, user: User) -> Letter:
    """They forgot, or somebody else typed their address. Who never began may begin now."""
    if user.unconfirmed_since is not None:
        return joined(event, user)
    if user.password_hash is None:
        return invited(event, user)
    return Letter(
        _("You have an account already"),
        (
            _("Somebody, probably you, wanted to join Tuike with this address."),
            _("It belongs to an account already. Sign in as before, or choose a new password."),
        ),
        (_("Sign in"), _address("/sign-in")),
        (_("If it was not you, do nothing: nothing was changed."),),
    )


def code_letter(code: str) -> Letter:
    return Letter(
        _("%(code)s is your code for Tuike", code=code),
        (
            _("Type these six digits where you were asked for them:"),
            code,
            _("They are good for ten minutes. Tell them to nobody: we never ask for them."),
        ),
        None,
        (_("If you did not ask for a code, do nothing."),),
    )


def code_message(code: str) -> str:
    """Short, as it costs by length; the last line lets phones fill in the code by themselves."""
    words = _("%(code)s is your code for Tuike. Tell it to nobody.", code=code)
    return f"{words}\n\n@{_host()} #{code}"


def promoter_joined(event: Event, _user: User) -> Letter:
    """To the sponsor."""
    return Letter(
        _("%(name)s is in your team now", name=event.payload["name"]),
        (_("They joined by your invite link. You can help them begin."),),
        (_("See your team"), _address("/promoter/team/")),
    )


def enrolment_approved(event: Event, _user: User) -> Letter:
    program = event.payload["name"]
    return Letter(
        _("You take part in %(program)s", program=program),
        (_("The merchant said yes. From now on you earn with what you share of it."),),
        (_("See the market"), _address("/promoter/market/")),
    )


def enrolment_refused(event: Event, _user: User) -> Letter:
    return Letter(
        _("%(program)s did not take you in", program=event.payload["name"]),
        (_("The merchant said no this time. You may apply again."),),
        (_("See the market"), _address("/promoter/market/")),
    )


def order_earned(event: Event, _user: User) -> Letter:
    """One order, or all that came in together."""
    number = int(event.payload["orders"])
    order = event.payload["order"] if number == 1 else ""
    return Letter(
        _n(
            "New order: %(amount)s for you",
            "%(num)s new orders: %(amount)s for you",
            number,
            amount=_amount(event),
        ),
        (_("It is yours once the time for returns is over."),),
        (_("See your orders"), _address(f"/promoter/orders/{order}")),
    )


def payout_paid(event: Event, _user: User) -> Letter:
    return _about_payout(
        event,
        _("%(amount)s are on their way to you", amount=_amount(event)),
        _("The payout was made. Banks take up to a day or two to show it."),
    )


def payout_waits(event: Event, _user: User) -> Letter:
    return _about_payout(
        event,
        _("Confirm your payout of %(amount)s", amount=_amount(event)),
        _("The transfer waits for you. If nobody confirms it in time, it goes back."),
    )


def payout_failed(event: Event, _user: User) -> Letter:
    return _about_payout(
        event,
        _("Your payout of %(amount)s did not arrive", amount=_amount(event)),
        _("The money is yours and can be paid out again. Look whether your account is right."),
    )


def _about_payout(event: Event, subject: Any, words: Any) -> Letter:
    path = f"/promoter/wallet/payouts/{event.payload['payout']}"
    return Letter(subject, (words,), (_("See the payout"), _address(path)))


def _amount(event: Event) -> str:
    return formats.money(event.payload["amount"], event.payload["currency"])


def invited(_event: Event, user: User) -> Letter:
    secret = service.create_link(user)
    return Letter(
        _("Welcome to Tuike"),
        (_("There is an account for you on Tuike. Choose a password, and you can begin."),),
        (_("Choose a password"), _address(f"/welcome/{secret}")),
        (_("The link works once and for a week."),),
    )


def second_factor_added(_event: Event, _user: User) -> Letter:
    return _safety(
        _("Second factor set up"),
        _("From now on you sign in to Tuike with your password and a code of your phone."),
    )


def second_factor_removed(_event: Event, _user: User) -> Letter:
    return _safety(
        _("Second factor removed"),
        _("From now on your password alone opens your Tuike account."),
    )


def recovery_code_used(event: Event, _user: User) -> Letter:
    left = int(event.payload["left"])
    return _safety(
        _("A recovery code was used"),
        _n("There is %(num)s left. Make new ones soon.", "There are %(num)s left.", left)
        if left
        else _("There are none left. Make new ones now."),
    )


def rate_cut(event: Event, _user: User) -> Letter:
    program = event.payload["name"]
    until = datetime.fromisoformat(event.payload["until"])
    return Letter(
        _("A rate of %(program)s goes down", program=program),
        (
            _("%(program)s pays less for some products from now on.", program=program),
            _(
                "You share it already, so until %(until)s you get the better of the old and the"
                " new rate.",
                until=formats.instant(until),
            ),
        ),
        (_("See the market"), _address("/promoter/market/")),
    )


def grade_changed(event: Event, _user: User) -> Letter:
    merchant, grade = event.payload["merchant"], event.payload["grade"]
    if grade is None:
        subject = _("You have no grade at %(merchant)s any more", merchant=merchant)
    else:
        subject = _("You are %(grade)s at %(merchant)s now", grade=grade, merchant=merchant)
    since = datetime.fromisoformat(event.payload["since"])
    return Letter(
        subject,
        (
            _("This holds for orders paid since %(since)s.", since=formats.instant(since)),
            _("Some rates depend on it."),
        ),
        (_("See the market"), _address("/promoter/market/")),
    )


def agency_invited(event: Event, _user: User) -> Letter:
    agency = event.payload["name"]
    return Letter(
        _("%(agency)s asks you to come along", agency=agency),
        (
            _("%(agency)s would like to have you among its promoters.", agency=agency),
            _("What you earn stays the same: the share comes on top, from the merchant."),
        ),
        (_("See your team"), _address("/promoter/team/")),
    )


def agency_left(event: Event, _user: User) -> Letter:
    return Letter(
        _("You are not with %(agency)s any more", agency=event.payload["name"]),
        (_("The agency let you go. What you earn stays the same."),),
        (_("See your team"), _address("/promoter/team/")),
    )


def withdrawal_refused(event: Event, _user: User) -> Letter:
    told = event.payload
    reason = WHY_REFUSED.get(told["reason"]) or told["reason"]
    return Letter(
        _("Your withdrawal from %(merchant)s was refused", merchant=told["merchant"]),
        (
            _("Why: %(reason)s", reason=reason),
            _(
                "%(amount)s can be withdrawn again, as far as nothing is held or was refunded.",
                amount=formats.money(told["amount"], told["currency"]),
            ),
        ),
        (_("See your wallet"), _address("/promoter/wallet/")),
    )


# Of withdrawals that were refused by themselves; people say it in their own words.
WHY_REFUSED: Mapping[str, Any] = MappingProxyType(
    {
        "on_hold": _("Some of the money is on hold"),
        "refunded": _("Too much was refunded since"),
    }
)


def payout_account_changed(event: Event, _user: User) -> Letter:
    of_agency = event.payload["agency"]
    used_from = datetime.fromisoformat(event.payload["used_from"])
    return Letter(
        _("Your payout account was changed"),
        (
            _(
                "Payouts in %(currency)s are to go to another account: %(account)s.",
                currency=event.payload["currency"],
                account=event.payload["account"],
            ),
            _(
                "To be safe, it is used from %(when)s on. Until then payouts go to the one before.",
                when=formats.instant(used_from),
            ),
        ),
        (
            _("See your payout account"),
            _address("/agency/money/" if of_agency else "/promoter/wallet/"),
        ),
        (
            _(
                "If it was not you, enter the right account again, which stops the change, and "
                "change your password."
            ),
        ),
    )


def domain_failed(event: Event, _user: User) -> Letter:
    domain = event.payload["address"].partition("://")[2]
    since = datetime.fromisoformat(event.payload["since"])
    fault = DOMAIN_FAULTS.get(event.payload["fault"], event.payload["fault"])
    return Letter(
        _("%(domain)s does not lead to Tuike any more", domain=domain),
        (
            _("Since %(since)s: %(fault)s", since=formats.instant(since), fault=fault),
            _(
                "Links that were passed on under it open no longer. New ones take another domain "
                "meanwhile; block it, and old ones are shown under another domain too."
            ),
        ),
        (_("See the domains"), _address("/operator/domains/")),
    )


# What a probe met, as links/probing.py says it.
DOMAIN_FAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "unreachable": _(
            "Nobody answers there. Is the domain paid for, and does its DNS point here?"
        ),
        "certificate": _("Its certificate is not valid. Has it run out?"),
        "foreign": _("Somebody else answers there. Has the domain run out, or is it blocked?"),
    }
)


def clicks_lost(event: Event, _user: User) -> Letter:
    return Letter(
        _("Clicks are being lost"),
        (
            _(
                "Links lead to the shops as always, but their clicks cannot be written down:"
                " %(trouble)s",
                trouble=event.payload["trouble"],
            ),
            _("Usually the disk with the data folder is full. Once it has room, all goes on."),
        ),
        (_("See the instance's health"), _address("/operator/")),
    )


def _safety(subject: Any, words: Any) -> Letter:
    return Letter(
        subject,
        (words,),
        (_("See your account"), _address("/account/security")),
        (_("If it was not you, change your password now."),),
    )


def _host() -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return urlsplit(settings.address).hostname or ""


def _address(path: str) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    return f"{settings.address}{path}"


LETTERS: Mapping[str, Callable[[Event, User], Letter]] = MappingProxyType(
    {
        "reset.asked": reset_asked,
        "password.changed": password_changed,
        "device.added": device_added,
        "promoter.joined": promoter_joined,
        "enrolment.approved": enrolment_approved,
        "enrolment.refused": enrolment_refused,
        ORDERS: order_earned,
        "payout.paid": payout_paid,
        "payout.action_required": payout_waits,
        "payout.failed": payout_failed,
        "payout.returned": payout_failed,
        "confirmation.asked": joined,
        "join.repeated": join_repeated,
        "user.invited": invited,
        "second_factor.added": second_factor_added,
        "second_factor.removed": second_factor_removed,
        "recovery_code.used": recovery_code_used,
        "rate.cut": rate_cut,
        "grade.changed": grade_changed,
        "agency.invited": agency_invited,
        "agency.left": agency_left,
        "withdrawal.refused": withdrawal_refused,
        "payout_account.changed": payout_account_changed,
        "domain.failed": domain_failed,
        "clicks.lost": clicks_lost,
    }
)
# What is not here is about safety.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        ORDERS: Kind.ORDERS,
        "rate.cut": Kind.PROGRAMS,
        "grade.changed": Kind.PROGRAMS,
        "enrolment.approved": Kind.PROGRAMS,
        "enrolment.refused": Kind.PROGRAMS,
        "promoter.joined": Kind.TEAM,
        "agency.invited": Kind.TEAM,
        "agency.left": Kind.TEAM,
        "withdrawal.refused": Kind.MONEY,
        "payout.paid": Kind.MONEY,
        "payout.action_required": Kind.MONEY,
        "payout.failed": Kind.MONEY,
        "payout.returned": Kind.MONEY,
    }
)
