"""A shop's set-up in another market: planned, then copied; products are matched as they come."""

import pytest
import sqlalchemy as sa

from affiliate.audit import Decision
from affiliate.catalog import queries as catalog
from affiliate.catalog import service
from affiliate.catalog.models import Shop
from affiliate.catalog.service import ProductFacts, VariantFacts
from affiliate.db import db, unit_of_work
from affiliate.fx import service as fx
from affiliate.intake import copying
from affiliate.intake.copying import Market
from affiliate.people.models import Role
from affiliate.programs import queries as programs
from affiliate.programs import service as program_service
from affiliate.programs.models import Rule, RuleVersion
from affiliate.programs.service import Stated, Target
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.people import a_merchant, a_user
from tests.factories.programs import a_program

USA = Market("US", "USD")


class Loja:
    """A shop in reais whose program lists it, with rules of every kind."""

    def __init__(self):
        with unit_of_work():
            self.merchant = a_merchant()
            self.owner = a_user(Role.MERCHANT_OWNER, merchant=self.merchant)
            self.shop = a_shop(self.merchant, currency="BRL", country="BR")
            self.program = a_program(self.merchant, shop_ids=[self.shop.id])
            self.shirt = a_product(self.shop, external_id="p1", category="Camisas")
            self.hat = a_product(self.shop, external_id="p2", category="Bonés")
            service.change_product(
                self.shop, self.hat,
                {"hidden": True, "variants": [VariantFacts("v1", "M", sku="HAT-M")]},
            )  # fmt: skip
            add = program_service.add_rule
            add(self.program, Target("program"), Stated("per_order", amount=1000, currency="BRL"))
            least = {"min_order_amount": 20000, "currency": "BRL"}
            add(self.program, Target("category", category="Camisas"),
                Stated(rate_ppm=150_000, conditions=least))  # fmt: skip
            program_service.set_product_rate(self.program, self.hat.id, 80_000)

    def rate(self, rate="0.2", day="2026-01-05"):
        with unit_of_work():
            fx.import_csv(f"date,base,quote,rate,source\n{day},BRL,USD,{rate},test\n", by=None)

    def copy(self, market=USA, **given):
        with unit_of_work():
            agreed = copying.plan(self.shop, market).rate
            connection = {"platform": "standard", "domain": "us.example.com", "credentials": {}}
            return copying.copy(
                self.shop, market, by=self.owner.id,
                agreed_rate=agreed.rate_id if agreed else None, **connection | given,
            )  # fmt: skip

    def rules(self, currency):
        rows = db.session.execute(
            sa.select(Rule.scope, RuleVersion.amount, RuleVersion.conditions)
            .join(RuleVersion, RuleVersion.rule_id == Rule.id)
            .order_by(Rule.id)
        )
        return [
            (scope, amount, conditions.get("min_order_amount"))
            for scope, amount, conditions in rows
            if currency in (conditions.get("currency"), self.currency_of(scope, amount))
        ]

    def currency_of(self, scope, amount):
        found = sa.select(RuleVersion.currency).join(Rule, Rule.id == RuleVersion.rule_id)
        return db.session.scalar(found.where(Rule.scope == scope, RuleVersion.amount == amount))


@pytest.fixture
def loja(app):
    return Loja()


def test_a_plan_shows_programs_and_amounts_and_writes_nothing(loja):
    loja.rate()
    before = counts()

    found = copying.plan(loja.shop, USA)

    assert [(each.program.id, each.covers_all, each.refusal) for each in found.programs] == [
        (loja.program.id, False, None)
    ]
    amounts = [(each.new_amount and each.new_amount.minor, each.new_least and each.new_least.minor)
               for each in found.amounts]  # fmt: skip
    assert amounts == [(200, None), (None, 4000)]
    assert (found.categories, found.hidden, found.product_rules) == (2, 1, 1)
    assert (found.rate.day.isoformat(), found.rate.source) == ("2026-01-05", "test")
    assert counts() == before


def counts():
    return [db.session.scalar(sa.select(sa.func.count()).select_from(t)) for t in (Shop, Rule)]


def test_a_copy_joins_the_program_and_states_each_amount_in_the_new_currency(loja):
    loja.rate()

    new, made, _plan = loja.copy()

    assert set(made) == {"webhook_secret"}
    assert service.webhook_secrets(new) != service.webhook_secrets(loja.shop)
    program = programs.program(loja.merchant.id, loja.program.id)
    assert program.shop_ids == sorted([loja.shop.id, new.id])
    assert loja.rules("USD") == [("program", 200, None), ("category", 0, 4000)]
    assert len(loja.rules("BRL")) == 2  # these stand as they stood
    action = sa.select(Decision.action).order_by(Decision.id.desc()).limit(1)
    assert db.session.scalar(action) == "shop.copied"


def test_without_a_rate_amounts_are_refused_with_where_to_add_one(loja):
    with pytest.raises(copying.NoRate, match="Rates of exchange"):
        copying.plan(loja.shop, USA)

    _new, _made, found = loja.copy(Market("US", "USD", convert=False))

    assert found.amounts == []
    assert any("pass over" in str(each) for each in found.left_out)


def test_a_rate_that_moved_meanwhile_is_looked_at_again(loja):
    loja.rate()
    agreed = copying.plan(loja.shop, USA).rate.rate_id
    loja.rate("0.25", "2026-01-06")

    with pytest.raises(copying.RateMoved), unit_of_work():
        copying.copy(loja.shop, USA, by=None, agreed_rate=agreed, platform="standard",
                     domain="us.example.com", credentials={})  # fmt: skip
    assert len(catalog.shops(loja.merchant.id)) == 1


def test_in_the_same_currency_nothing_is_converted(loja):
    _new, _made, found = loja.copy(Market("BR", "BRL"))

    assert (found.rate, found.amounts) == (None, [])


def test_a_product_that_comes_in_gets_what_its_counterpart_has_once(loja):
    loja.rate()
    new, *_ = loja.copy()
    with unit_of_work():
        service.put_products(
            new,
            [
                ProductFacts("p1", "Shirt", "https://us.example.com/1"),
                ProductFacts("77", "Hat", "https://us.example.com/2", category="Hats",
                             variants=[VariantFacts("9", "M", sku="HAT-M")]),
                ProductFacts("78", "Bag", "https://us.example.com/3"),
            ],
        )  # fmt: skip

    with unit_of_work():
        assert copying.match() == 2
    with unit_of_work():
        assert copying.match() == 0

    db.session.expire_all()
    found = catalog.by_external_ids(
        loja.merchant.id, [(new.id, each) for each in ("p1", "77", "78")]
    )
    shirt, hat, bag = (found[new.id, each] for each in ("p1", "77", "78"))
    assert (shirt.category, shirt.hidden_at) == ("Camisas", None)
    assert hat.category == "Hats"  # the shop's own word stays
    assert hat.hidden_at is not None
    assert (bag.category, bag.hidden_at) == (None, None)
    rates = programs.inline_rates(loja.merchant.id, [shirt.id, hat.id, bag.id])
    assert rates == {(loja.program.id, hat.id): 80_000}


def test_the_page_shows_the_plan_and_copies(client, loja):
    loja.rate()
    sign_in(client, loja.owner)
    path = f"/merchant/shops/{loja.shop.id}/copy"
    market = {"platform": "standard", "domain": "us.example.com", "country": "us",
              "currency": "usd", "convert": "1"}  # fmt: skip

    shown = client.get(path, query_string=market).text
    assert "40.00" in shown
    assert len(catalog.shops(loja.merchant.id)) == 1
    unknown = client.get(path, query_string=market | {"currency": "CNY"})
    assert unknown.status_code == 422
    assert "no rate of BRL in CNY" in unknown.text

    stale = client.post(path, data=market | {"rate": "1"})
    assert stale.status_code == 409
    rate = copying.plan(loja.shop, USA).rate.rate_id
    done = client.post(path, data=market | {"rate": str(rate)})
    assert done.status_code == 200
    assert "whsec_" in done.text
    assert client.post(path, data=market | {"rate": str(rate)}).status_code == 409
    assert len(catalog.shops(loja.merchant.id)) == 2
