"""Two houses side by side, everybody who may knock at their doors, and the knocking."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from affiliate import events, ids
from affiliate.attribution.models import Claim, Coupon, Sharer
from affiliate.catalog.models import Product, ProductGroup, Shop
from affiliate.commissions.models import Commission, Simulation
from affiliate.db import db, unit_of_work
from affiliate.intake.models import Event
from affiliate.ledger.models import Account, BookClose
from affiliate.links.models import ContentItem, Link, ShortDomain
from affiliate.material.models import Caption, Look, Material
from affiliate.notices import service as notices
from affiliate.notices.models import Notice
from affiliate.orders.models import Order
from affiliate.payouts.models import (
    Invoice,
    Payout,
    PayoutAccount,
    Remittance,
    Withdrawal,
    WriteOff,
)
from affiliate.people import joining, pictures, service
from affiliate.people.models import (
    ApiKey,
    ApprovalLimit,
    Grant,
    Merchant,
    Promoter,
    Role,
    User,
    UserSession,
)
from affiliate.programs.models import AgencyRate, Grade, Group, Membership, Program
from affiliate.programs.models import Rule as CommissionRule
from affiliate.risk.models import Case
from affiliate.settlement.models import ApprovalException, PayIn, PayoutFile, Settlement
from affiliate.tax.models import TaxProfile
from tests.api.made_up import House
from tests.consoles.signed_in import TOKEN, open_session, token
from tests.factories.people import a_promoter, a_user
from tests.factories.programs import an_enrolment

OF_A_MERCHANT = {
    "owner": Role.MERCHANT_OWNER,
    "staff": Role.MERCHANT_STAFF,
    "analyst": Role.MERCHANT_ANALYST,
    "maker": Role.FINANCE_MAKER,
    "checker": Role.FINANCE_CHECKER,
    "auditor": Role.FINANCE_AUDITOR,
}
# Rows of a merchant that stand in addresses: the prefix of their public ids.
ROWS: dict[str, tuple[str, Any]] = {
    "connection": ("shp", Shop), "shop_id": ("shp", Shop), "product_id": ("prd", Product),
    "program_id": ("prg", Program), "link_id": ("lnk", Link), "enrolment_id": ("enr", Membership),
    "order_id": ("ord", Order), "commission_id": ("com", Commission), "pay_in_id": ("pin", PayIn),
    "settlement_id": ("stl", Settlement), "payout_id": ("pay", Payout), "event_id": ("inb", Event),
    "file_id": ("fil", PayoutFile), "account": ("lac", Account), "rule_id": ("rul", CommissionRule),
    "group_id": ("grp", Group), "coupon_id": ("cpn", Coupon), "sharer_id": ("shr", Sharer),
    "grade_id": ("grd", Grade), "claim_id": ("clm", Claim), "case_id": ("rsk", Case),
    "product_group_id": ("pgr", ProductGroup), "material_id": ("mat", Material),
    "caption_id": ("cap", Caption),
    "simulation_id": ("sim", Simulation), "rate_id": ("agr", AgencyRate),
    "withdrawal_id": ("wdr", Withdrawal), "write_off_id": ("wof", WriteOff),
    "exception_id": ("exc", ApprovalException),
    "close_id": ("bkc", BookClose), "remittance_id": ("rem", Remittance),
    "invoice_id": ("inv", Invoice),
}  # fmt: skip
# Where the same word stands for something else.
INSTEAD = {
    "account.confirm": {"secret": "confirmation"},
    "account.confirmed": {"secret": "confirmation"},
    "account.join": {"code": "invitation"},
    "account.take_in": {"code": "invitation"},
    "finance.account": {"account_id": "account"},
    "finance.file": {"settlement_id": "executed"},
    "finance.new_write_off": {"account": "debt"},
    "finance.ask_write_off": {"account": "debt"},
    "api.payout_accounts_one_of_agency": {"account_id": "agency_account"},
    "api.tax_one_of_agency": {"profile_id": "agency_profile"},
    "api.payout_accounts_change_of_agency": {"account_id": "agency_account"},
    "merchant.change_product_group": {"group_id": "product_group_id"},
    "merchant.end_product_group": {"group_id": "product_group_id"},
    "api.settlements_download": {"settlement_id": "executed"},
}
PLACE = re.compile(r"<(?P<kind>int:|path:)?(?P<name>\w+)>")
WORDS = re.compile(r"<any\(([^)]*)\):\w+>")
ON_THE_MARKET = ("mer_", "shp_", "prd_", "prg_")  # of an open program every promoter sees these


@dataclass(frozen=True)
class Visitor:
    name: str
    cookie: str
    key: str | None
    is_outside: bool  # of the other house, or of none


@dataclass
class World:
    """What stands in addresses is `ours`; the visitors with a dash are the other tenants."""

    app: Flask
    visitors: list[Visitor] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def knock(self, visitor: Visitor, method: str, path: str, sent: dict[str, Any]) -> TestResponse:
        """One request, whose traces are wiped out."""
        is_api = path.startswith("/api/")
        headers = {"Accept": "application/json" if is_api else "text/html"}
        if method == "PATCH":
            headers["If-Match"] = "*"
        if is_api and visitor.key:
            headers["Authorization"] = f"Bearer {visitor.key}"
        if not is_api:
            headers["Cookie"] = f"{self.app.config['SESSION_COOKIE_NAME']}={visitor.cookie}"
            headers["X-CSRFToken"] = token(self.app)
        body = {"json" if is_api else "data": sent} if method != "GET" else {}
        self.app.extensions["redis"].flushdb()  # nobody knocks too often
        before = db.engines[None].begin_nested()
        try:
            client = self.app.test_client(use_cookies=False)
            return client.open(path, method=method, headers=headers, **body)
        finally:
            before.rollback()


def build(app: Flask) -> World:
    world = World(app)
    ours, theirs = House("ours.example.com"), House("theirs.example.com")
    with unit_of_work():
        program = db.session.scalars(sa.select(Program).filter_by(merchant_id=ours.merchant.id))
        # Even who is in the same program is another tenant.
        an_enrolment(program.one(), theirs.promoter)
        friend = a_promoter("Friend", sponsor=ours.promoter)
        instance = {
            "operator": a_user(Role.OPERATOR),
            "agency": a_user(Role.AGENCY, agency=ours.agency),
        }
        family = {
            name: a_user(role, merchant=ours.merchant) for name, role in OF_A_MERCHANT.items()
        }
        family["promoter"] = a_user(Role.PROMOTER, promoter=ours.promoter)
        others = {
            "owner'": a_user(Role.MERCHANT_OWNER, merchant=theirs.merchant),
            "maker'": a_user(Role.FINANCE_MAKER, merchant=theirs.merchant),
            "promoter'": a_user(Role.PROMOTER, promoter=theirs.promoter),
        }
    world.visitors = [Visitor("stranger", cookie(app), None, True)]
    for name, user in (instance | family | others).items():
        world.visitors.append(a_visitor(app, name, user, is_outside=name in others))
    name_places(world, ours, family["owner"], friend)
    name_secrets(world, ours)
    return world


def cookie(app: Flask, **session: str) -> str:
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return str(signer.dumps(session | {"csrf_token": TOKEN, "_permanent": True}))


def a_visitor(app: Flask, name: str, user: User, *, is_outside: bool) -> Visitor:
    grant = db.session.scalars(sa.select(Grant).filter_by(user_id=user.id)).one()
    with unit_of_work():
        _, key = service.create_key(
            "key", Role(grant.role), merchant_id=grant.merchant_id,
            promoter_id=grant.promoter_id, agency_id=grant.agency_id, user=user,
        )  # fmt: skip
    secret, _ = open_session(user)
    return Visitor(name, cookie(app, _user_id=secret), key, is_outside)


def name_places(world: World, ours: House, owner: User, friend: Promoter) -> None:
    merchant_id, promoter_id = ours.merchant.id, ours.promoter.id

    def first(model: Any, **where: Any) -> Any:
        return db.session.scalars(sa.select(model).filter_by(**where).order_by(model.id)).first()

    places = world.places
    for name, (prefix, model) in ROWS.items():
        row = first(model, merchant_id=merchant_id)
        places[name] = ids.encode(prefix, merchant_id, row.id)
        places[f"int:{name}"] = str(row.id)
    with unit_of_work():
        events.record("user.invited", user_id=owner.id)
        notices.tell_some()
        places["secret"] = service.create_link(owner)
        places["confirmation"] = service.create_link(
            owner, joining.CONFIRM, lives=joining.CONFIRM_LIVES
        )
    for name, row in {
        "merchant_id": ("mer", ours.merchant),
        "promoter_id": ("prm", ours.promoter),
        "member_id": ("prm", friend),
        "user_id": ("usr", owner),
        "key_id": ("key", first(ApiKey, user_id=owner.id)),
        "session_id": ("ses", first(UserSession, user_id=owner.id)),
        "place_id": ("pla", first(Grant, user_id=owner.id)),
        "account_id": ("acc", first(PayoutAccount, payee_id=promoter_id, payee_kind="promoter")),
        "profile_id": ("txp", first(TaxProfile, payee_id=promoter_id, payee_kind="promoter")),
        "agency_profile": ("txp", first(TaxProfile, payee_kind="agency")),
        "agency_id": ("agn", ours.agency),
        "content_id": ("cnt", first(ContentItem, promoter_id=promoter_id)),
        "domain_id": ("dom", first(ShortDomain)),
        "limit_id": ("lim", first(ApprovalLimit, user_id=ours.checker.id)),
        "delegation_id": ("dlg", first(Grant, delegated_by=ours.checker.id)),
        "agency_account": ("acc", first(PayoutAccount, payee_kind="agency")),
    }.items():
        places[name] = ids.encode(row[0], row[1].id)
    member = first(Membership, merchant_id=merchant_id, promoter_id=promoter_id)
    executed, review = db.session.scalars(
        sa.select(Settlement).filter_by(merchant_id=merchant_id).order_by(Settlement.id)
    )
    places |= {
        "int:member_id": str(member.id),
        "int:notice_id": str(first(Notice, user_id=owner.id).id),
        "settlement_id": ids.encode("stl", merchant_id, review.id),
        "executed": ids.encode("stl", merchant_id, executed.id),
        "code": first(Link, promoter_id=promoter_id).code,
        "invitation": joining.invite_code(promoter_id),
        "filename": "dist/manifest.json",
        "currency": "BRL",
        "debt": ids.encode(
            "lac", merchant_id, first(Account, merchant_id=merchant_id, kind="available").id
        ),
        "rail": "sandbox",
        "nonce": "0" * 32,
        "position": "1",
        "name": db.session.get(Look, merchant_id).logo,
        "mark": pictures.keep(promoter_id, b"a picture").mark,
    }


def name_secrets(world: World, ours: House) -> None:
    """Texts that only this house's rows have."""
    names = ("Unseen House", "Unseen Promoter", "Unseen Order")
    with unit_of_work():
        ours.merchant.name, ours.promoter.name = names[:2]
        for model in (Merchant, Promoter):
            row = ours.merchant if model is Merchant else ours.promoter
            db.session.execute(sa.update(model).filter_by(id=row.id).values(name=row.name))
        db.session.execute(
            sa.update(Order)
            .filter_by(merchant_id=ours.merchant.id)
            .values(number=names[2], placed_at=Order.paid_at)
        )
    found = {each for each in world.places.values() if each[3:4] == "_"}
    world.secrets = found | {*names, "ours.example.com", str(ours.promoter.email)}


def paths(world: World, rule: Rule) -> Iterator[str]:
    """The rule with our house's rows in it; where it names a few words, with each of them."""
    pattern = rule.rule
    for place, instead in INSTEAD.get(rule.endpoint, {}).items():
        pattern = re.sub(rf"<(int:)?{place}>", rf"<\1{instead}>", pattern)
    path = PLACE.sub(lambda found: _filled(world, found["kind"], found["name"]), pattern)
    words = WORDS.search(path)
    for word in words[1].split(", ") if words else [""]:
        yield WORDS.sub(word, path)


def _filled(world: World, kind: str | None, name: str) -> str:
    return world.places[f"int:{name}" if kind == "int:" else name]
