"""A merchant with one of everything, and requests made up from the OpenAPI document."""

import re
from collections import defaultdict
from datetime import timedelta
from random import Random
from zoneinfo import ZoneInfo

import schemathesis

from affiliate import clock, ids
from affiliate.attribution import service as attribution
from affiliate.catalog import service as catalog
from affiliate.commissions import service as commissions
from affiliate.commissions.service import Draft
from affiliate.db import db, unit_of_work
from affiliate.intake.coupons import wishes
from affiliate.intake.models import Event
from affiliate.links import contents, domains
from affiliate.links import service as links
from affiliate.material import service as material
from affiliate.money import Money
from affiliate.payouts import service as payouts
from affiliate.payouts.service import invoices
from affiliate.people import delegations, queries
from affiliate.people.models import Role
from affiliate.programs import grades
from affiliate.programs import queries as programs
from affiliate.programs import service as programs_service
from affiliate.programs.service import Stated, Target
from affiliate.risk import service as risk
from affiliate.settlement import closing
from affiliate.settlement import service as settlement
from affiliate.settlement.models import Settlement
from affiliate.tax import profiles
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.people import a_key, a_merchant, a_promoter, a_user, an_agency
from tests.factories.programs import a_program
from tests.factories.settlement import (
    a_commission,
    a_settlement,
    an_account,
    an_entry,
    approved,
    executed,
    payouts_of,
    with_totp,
)
from tests.material.pictures import a_picture

PUBLIC_ID = re.compile(r"[a-z]{3}_[0-9A-Za-z]{8,64}")
# What a pattern does not tell: of such texts most would be refused at the first look.
SENSIBLE = {
    "currency": "BRL",
    "country": "BR",
    "timezone": "America/Sao_Paulo",
    "email": "ana@example.com",
    "phone": "+5511987654321",
    "locale": "pt-BR",
    "url": "https://shop.example.com/p/1",
    "through": "2026-11-01",
}


class House:
    """A merchant, its promoter, and a row of every kind between them."""

    def __init__(self, domain: str) -> None:
        with unit_of_work():
            self._found(domain)
            an_entry(self.merchant, self.promoter, 5000)
            self._tax()
        paid = a_settlement(self.merchant, self.maker)
        executed(approved(paid, self.checker), self.maker)
        self._remittance(paid)
        with unit_of_work():
            an_entry(self.merchant, self.promoter, 3000)
        a_settlement(self.merchant, self.maker)
        with unit_of_work():
            sold = a_commission(self.merchant, self.agency, via=self.promoter)
            an_entry(self.merchant, self.agency, 200, commission=sold)
            zone = self.merchant.timezone
            last_month = grades.shifted(grades.month_of(clock.now(), zone), -1)
            closing.close(self.merchant.id, last_month, by=self.maker.id)

    def _found(self, domain: str) -> None:
        self.merchant = a_merchant()
        shop = a_shop(self.merchant, domain=domain)
        product = a_product(shop)
        link = a_link(a_program(self.merchant), product=product)
        item = contents.create(link.promoter_id, kind="note", title=f"Note about {domain}")
        links.change_link(link, {"item": item, "slug": f"note-{item.id}"})
        domains.add(f"go.{domain}")
        catalog.create_product_group(self.merchant.id, f"Goods of {domain}", [product.id])
        review = {"product": product.external_id, "rating": "5", "origin": "Shopee"}
        catalog.take_reviews(shop, [(2, review)])
        self.promoter = queries.promoter(link.promoter_id)
        program = programs.program(link.merchant_id, link.program_id)
        programs_service.add_rule(program, Target("program"), Stated(rate_ppm=90_000))
        programs_service.create_group(self.merchant.id, f"Friends of {domain}")
        grade = programs_service.create_grade(self.merchant.id, name=domain, rank=1)
        programs_service.give_grade(grade, self.promoter.id)
        self.agency = an_agency(f"Agency of {domain}", self.promoter)
        an_account(self.agency)
        programs_service.add_agency_rate(program, self.agency.id, mode="own", ppm=10_000)
        ten = wishes.Terms(percent_ppm=100_000)
        wishes.create(program, self.promoter.id, f"ANA-{domain}", [shop.id], ten)
        material.new_material(self.merchant.id, product.id, f"Words of {domain}")
        material.set_caption(self.merchant.id, "en", f"Say {domain}", product_id=product.id)
        material.change_look(self.merchant.id, {"logo": a_picture("PNG", (20, 20))})
        attribution.add_sharer(program, self.promoter.id, shop, f"sharer of {domain}")
        attribution.claim(program, self.promoter.id, shop, "77", "She told me so.")
        commissions.begin(program, Draft(), since=clock.now() - timedelta(1), until=clock.now())
        risk.flag_shared_account([self.promoter.id, self.promoter.id + 1])
        an_account(self.promoter)
        self.maker = a_user(Role.FINANCE_MAKER)
        self.checker = with_totp(a_user(Role.FINANCE_CHECKER))
        settlement.record_pay_in(
            self.merchant.id, Money(100, "BRL"), reference=domain, by=self.maker.id
        )
        settlement.record_exception(
            self.merchant.id, reason="One person", limits={"BRL": 1}, by=self.maker.id,
            until=clock.now() + timedelta(9),
        )  # fmt: skip
        delegations.set_limit(self.checker.id, "BRL", 10**12)
        delegations.delegate(
            self.checker.id, a_user(Role.FINANCE_AUDITOR).id, since=clock.now(),
            until=clock.now() + timedelta(9),
        )  # fmt: skip
        self._withdrawal()
        debtor = a_promoter()
        an_entry(self.merchant, debtor, -70)
        payouts.request_write_off(
            self.merchant.id, ("promoter", debtor.id), "BRL", amount=70, reason="Gone",
            by=self.maker.id,
        )  # fmt: skip
        db.session.add(
            Event(merchant_id=shop.merchant_id, shop_id=shop.id, dedup_key="1", order_key="1",
                  topic="order.updated", received_at=clock.now(), state="quarantined",
                  error={"code": "missing", "pointer": "/data/id", "message": "Missing"})
        )  # fmt: skip

    def _withdrawal(self) -> None:
        """One that is refused, so that the entries are there for others."""
        an_entry(self.merchant, self.promoter, 90)
        self.merchant.payout_mode = "on_request"
        payee = ("promoter", self.promoter.id)
        asked = payouts.withdraw(self.merchant.id, payee, "BRL", by=self.maker.id)
        payouts.refuse(self.merchant.id, asked.id, by=self.maker.id, reason="no")
        self.merchant.payout_mode = "automatic"

    def _tax(self) -> None:
        """Tax data of both payees, an invoice, and tax of a year ago that was remitted."""
        for kind, payee in (("promoter", self.promoter), ("agency", self.agency)):
            profiles.say(kind, payee.id, country="PT", person="individual", by=self.maker.id)
        invoices.give(
            self.merchant.id, ("promoter", self.promoter.id), Money(70, "BRL"), number="NF 1",
            by=self.maker.id,
        )  # fmt: skip
        self.merchant.withholding = "br_irrf"
        self.taxed = a_promoter()
        an_account(self.taxed)
        profiles.say(
            "promoter", self.taxed.id, country="BR", person="individual", tax_id="52998224725",
            by=self.maker.id,
        )  # fmt: skip
        an_entry(self.merchant, self.taxed, 1_000_000)

    def _remittance(self, paid: Settlement) -> None:
        payout = next(each for each in payouts_of(paid) if each.payee_id == self.taxed.id)
        at = clock.now() - timedelta(days=40)
        month = at.astimezone(ZoneInfo(self.merchant.timezone)).date().replace(day=1)
        with unit_of_work():
            payouts.mark_paid(
                self.merchant.id, payout.id, by=self.maker.id, paid_at=at, reference="TED 1"
            )
            payouts.remit(
                self.merchant.id, "BRL", month, amount=payout.withheld, reference="DARF 1",
                by=self.maker.id,
            )  # fmt: skip


class Dice:
    """Fills made-up requests with ids of rows that exist; the same ones in every run."""

    def __init__(self, *, untouchable: set[str] = frozenset(), leave: float = 0.1) -> None:
        self.random = Random(20261123)
        self.ids: dict[str, list[str]] = defaultdict(list)
        self._untouchable = untouchable
        self._leave = leave

    def learn(self, text: str) -> None:
        for public_id in PUBLIC_ID.findall(text):
            known = self.ids[public_id[:3]]
            if public_id[:3] in ids.PREFIXES and public_id not in {*known, *self._untouchable}:
                known.append(public_id)

    def take(self, other: "Dice", *, but: set[str]) -> None:
        for prefix in set(other.ids) - but:
            self.learn(" ".join(other.ids[prefix]))

    def real(self, value: object, name: str = "") -> object:
        """The same with ids of rows that exist and sensible texts, mostly."""
        if isinstance(value, dict):
            return {inner: self.real(each, inner) for inner, each in value.items()}
        if isinstance(value, list):
            return [self.real(each) for each in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # 1.0 is an integer to JSON Schema, and refused by us
        if not isinstance(value, str) or self.random.random() < self._leave:
            return value
        if PUBLIC_ID.fullmatch(value):
            return self.random.choice(self.ids.get(value[:3]) or [value])
        if name == "domain":
            return f"shop{self.random.randrange(10**6)}.example.com"
        return SENSIBLE.get(name, value.replace("\x00", ""))

    def fill(self, case: schemathesis.Case) -> None:
        case.path_parameters = self.real(dict(case.path_parameters))
        case.query = self.real(dict(case.query or {}))
        case.body = self.real(case.body)
        if "If-Match" in case.headers and self.random.random() >= self._leave:
            case.headers["If-Match"] = "*"


def schema_of(app, key):
    """The API's schema; each request comes with the key that `key()` gives at that moment.

    It is put in here because schemathesis likes to leave it out, and each request has an app
    context of its own, as under the web server.
    """

    def fresh(environ, start_response):
        environ["HTTP_AUTHORIZATION"] = f"Bearer {key()}"
        with app.app_context():
            return app.wsgi_app(environ, start_response)

    return schemathesis.openapi.from_wsgi("/api/openapi.json", fresh)


def operations_of(schema):
    """Those that make first, those that destroy last."""
    order = ("post", "get", "put", "patch", "delete")
    found = [operation.ok() for operation in schema.get_all_operations()]
    return sorted(found, key=lambda each: (order.index(each.method.lower()), len(each.path)))


def learn_from_lists(operations, dice: Dice) -> None:
    """What there is to begin with; twice, as some lists are inside what others show."""
    lists = [each for each in operations if each.method == "get" and each.path[-1] != "}"]
    for operation in [*lists, *lists]:
        path = {each.name: each.definition["schema"] for each in operation.path_parameters}
        filled = {name: _known(dice, shape) for name, shape in path.items()}
        if all(filled.values()):
            dice.learn(operation.Case(path_parameters=filled).call().text)


def _known(dice: Dice, shape: dict[str, str]) -> str | None:
    prefix = shape.get("pattern", "^???")[1:4]
    return next(iter(dice.ids.get(prefix, [])), None)


def keys_of_all_kinds(house: House) -> list[str]:
    operator = a_key(Role.OPERATOR, user=a_user(Role.OPERATOR))
    return [
        *[operator] * 12,
        a_key(),
        a_key(Role.FINANCE_CHECKER, user=house.checker),
        a_key(Role.PROMOTER, promoter=house.promoter),
        a_key(Role.MERCHANT_OWNER, merchant=house.merchant),
    ]
