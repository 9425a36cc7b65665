"""Two houses side by side, everybody who may knock at their doors, and knocking."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.routing import AnyConverter, Rule
from werkzeug.test import TestResponse

from affiliate import ids
from affiliate.catalog.models import Product, Shop
from affiliate.commissions.models import Commission
from affiliate.db import db, unit_of_work
from affiliate.intake.models import Event
from affiliate.ledger.models import Account
from affiliate.links.models import Link
from affiliate.orders.models import Order
from affiliate.payouts.models import Payout, PayoutAccount
from affiliate.people import service
from affiliate.people.models import ApiKey, Grant, Merchant, Promoter, Role, User, UserSession
from affiliate.programs.models import Membership, Program
from affiliate.settlement.models import File, PayIn, Settlement
from tests.api.made_up import House
from tests.consoles.signed_in import TOKEN, open_session, token
from tests.factories.people import a_key, a_promoter, a_user
from tests.factories.programs import an_enrolment

OF_A_MERCHANT = {
    "owner": Role.MERCHANT_OWNER,
    "staff": Role.MERCHANT_STAFF,
    "analyst": Role.MERCHANT_ANALYST,
    "maker": Role.FINANCE_MAKER,
    "checker": Role.FINANCE_CHECKER,
    "auditor": Role.FINANCE_AUDITOR,
}
PUBLIC_ID = re.compile(r"\b[a-z]{3}_[0-9A-Za-z]{8,64}\b")
MARKET = {"prg", "mer", "prd", "shp", "var"}  # of an open program every promoter sees these
# Everything that stands in a URL, and what it is.
ROWS: dict[str, tuple[str, Any]] = {
    "merchant_id": ("mer", Merchant), "connection": ("shp", Shop), "shop_id": ("shp", Shop),
    "product_id": ("prd", Product), "program_id": ("prg", Program), "link_id": ("lnk", Link),
    "enrolment_id": ("enr", Membership), "order_id": ("ord", Order),
    "commission_id": ("com", Commission), "settlement_id": ("stl", Settlement),
    "payout_id": ("pay", Payout), "pay_in_id": ("pin", PayIn), "file_id": ("fil", File),
    "event_id": ("inb", Event),
}  # fmt: skip


@dataclass(frozen=True)
class Visitor:
    name: str
    cookie: str
    key: str | None
    is_outside: bool  # of another house, or of none


@dataclass
class World:
    """What is in `ours` is ours to see; the visitors of `theirs` are the other tenants."""

    app: Flask
    visitors: list[Visitor] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # parameter → what stands there
    secrets: set[str] = field(default_factory=set)  # nothing of this is for outsiders
    shown: set[str] = field(default_factory=set)  # nor this, but on the market


def build(app: Flask) -> World:
    world = World(app)
    ours, theirs = House("ours.example.com"), House("theirs.example.com")
    with unit_of_work():
        friend = a_promoter("Friend of ours", sponsor=ours.promoter)
        # The other promoter is in our program too: tenants of one house are strangers as well.
        program = db.session.scalars(sa.select(Program).filter_by(merchant_id=ours.merchant.id))
        an_enrolment(program.one(), theirs.promoter)
        people = {name: a_user(role, merchant=ours.merchant) for name, role in OF_A_MERCHANT.items()}
        people["promoter"] = a_user(Role.PROMOTER, promoter=ours.promoter)
        instance = {"operator": a_user(Role.OPERATOR), "agency": a_user(Role.AGENCY)}
        rivals = {
            "owner'": a_user(Role.MERCHANT_OWNER, merchant=theirs.merchant),
            "maker'": a_user(Role.FINANCE_MAKER, merchant=theirs.merchant),
            "promoter'": a_user(Role.PROMOTER, promoter=theirs.promoter),
        }
    world.visitors.append(Visitor("stranger", _cookie(app, {}), None, True))
    for name, user in (instance | people | rivals).items():
        world.visitors.append(_visitor(app, name, user, is_outside=name in rivals))
    _name_places(world, ours, people["owner"], friend)
    _mark(world, ours)
    return world


def _visitor(app: Flask, name: str, user: User, *, is_outside: bool) -> Visitor:
    grant = db.session.scalars(sa.select(Grant).filter_by(user_id=user.id)).one()
    with unit_of_work():
        _, key = service.create_key(
            "key", Role(grant.role), merchant_id=grant.merchant_id,
            promoter_id=grant.promoter_id, user=user,
        )  # fmt: skip
    secret, _ = open_session(user)
    return Visitor(name, _cookie(app, {"_user_id": secret}), key, is_outside)


def _cookie(app: Flask, session: dict[str, str]) -> str:
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return signer.dumps(session | {"csrf_token": TOKEN, "_permanent": True})


def _name_places(world: World, ours: House, owner: User, friend: Promoter) -> None:
    merchant_id, promoter_id = ours.merchant.id, ours.promoter.id
    for name, (prefix, model) in ROWS.items():
        keys = (merchant_id,) if model is Merchant else (merchant_id, _first(model, merchant_id))
        world.places[name] = ids.encode(prefix, *keys)
        world.places[f"int:{name}"] = str(keys[-1])
