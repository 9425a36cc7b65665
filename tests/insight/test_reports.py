"""Reports: what the API and pages say of clicks and orders, by which plans, and to whom."""

import os
import re
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate import ids
from affiliate.db import db, unit_of_work
from affiliate.insight import queries, service, store
from affiliate.insight.models import OrderDay
from affiliate.insight.store import Question
from affiliate.links import spool, token
from affiliate.links.spool import Click
from affiliate.people.models import Role
from tests.consoles.promoter_town import Town, statements
from tests.consoles.signed_in import sign_in
from tests.factories.links import a_link
from tests.factories.orders import a_refund, an_order, deliver
from tests.factories.people import a_key, a_user
from tests.insight.test_writer import CHROME

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Mobile/15E148 MicroMessenger/8.0.54(0x18003630) NetType/WIFI Language/zh_CN"
)


def clicked(link, times, **fields):
    """So many people, now, through the writer's own store."""
    now = time.now()
    lines = [
        spool.encode(
            Click(os.urandom(16), now, link.id, f"203.0.113.{number}",
                  **{"user_agent": CHROME} | fields)
        )[:-1]
        for number in range(times)
    ]  # fmt: skip
    store.keep(lines, segment="test", upto=0)


class Seen(Town):
    """Ana's link was followed ten times and brought two orders, Bia's four times and none; Bia's
    click was before Ana's in one of them.
    """

    def __init__(self, client):
        with unit_of_work():
            super().__init__("Sol")
            self.other = a_link(self.program, self.bia, product=self.product)
            self.owner = a_user(Role.MERCHANT_OWNER, merchant=self.merchant)
            clicked(self.link, 10)
            clicked(self.other, 4, user_agent=IPHONE)
            clicked(self.other, 5, user_agent="curl/8")
        early = token.make(self.other.id, time.now() - timedelta(hours=1), b"abc")
        late = token.make(self.link.id, time.now(), b"abc")
        self.first = an_order(f"{early}.{late}", total="100.00")
        self.second = an_order(late, total="100.00")
        self.nobody = an_order(None, total="50.00")
        self.deliver(client, self.first, self.second, self.nobody)

    def deliver(self, client, *orders):
        deliver(client, self.shop, *orders)
        with unit_of_work():
            service.count_orders()

    @property
    def mine(self):
        return Question(*last_days(), frozenset({self.merchant.id}))

    @property
    def anas(self):
        return Question(*last_days(), promoter_ids=frozenset({self.ana.id}))


def last_days() -> tuple[date, date]:
    today = time.now().date()
    return today - timedelta(days=5), today + timedelta(days=1)


@pytest.fixture
def town(client):
    return Seen(client)


@pytest.fixture
def client(app):
    return app.test_client()


def figures(metric, by, asked):
    return [(each.key, each.value) for each in queries.report(metric, by, asked)]


def test_what_a_merchant_reads(town):
    ana, bia = town.ana.id, town.bia.id
    for metric, by, expected in [
        ("clicks", "promoter", [(ana, 10), (bia, 9)]),
        ("valid_clicks", "promoter", [(ana, 10), (bia, 4)]),
        ("visitors", "link", [(town.link.id, 10), (town.other.id, 4)]),
        ("valid_clicks", "product", [(town.product.id, 4)]),
        ("valid_clicks", "content", [("stories", 10)]),
        ("valid_clicks", "device", [("phone", 14)]),
        ("clicks", "device", [("phone", 14), ("bot", 5)]),
        ("valid_clicks", "app", [("", 10), ("wechat", 4)]),
        ("orders", "promoter", [(ana, 2)]),
        ("orders", "shop", [(town.shop.id, 3)]),
        ("revenue", "shop", [(town.shop.id, 25_000)]),
        ("commission", "promoter", [(ana, 2_600)]),  # 10 % hers, 3 % her sponsor's
        ("conversion", "promoter", [(ana, 200_000)]),
        ("epc", "program", [(town.program.id, 18_571)]),
    ]:
        assert figures(metric, by, town.mine) == expected, (metric, by)
    assert sum(value for _, value in figures("valid_clicks", "day", town.mine)) == 14
    assert sum(value for _, value in figures("clicks", "hour", town.mine)) == 19
    assert store.assists(town.mine) == {bia: 1}


def test_what_a_promoter_reads_is_their_own(town):
    for metric, by, expected in [
        ("clicks", "link", [(town.link.id, 10)]),
        ("orders", "promoter", [(town.ana.id, 2)]),
        ("commission", "promoter", [(town.ana.id, 2_000)]),
        ("valid_clicks", "device", [("phone", 10)]),
    ]:
        assert figures(metric, by, town.anas) == expected, (metric, by)
    with pytest.raises(queries.NotCounted):
        queries.report("clicks", "language", town.anas)
    with pytest.raises(queries.NotCounted):
        queries.report("orders", "country", town.mine)


def test_a_refund_is_in_the_figures_of_the_order_s_day(town, client):
    refund = a_refund("100.00", lines=[{"line_id": "l1", "quantity": 1, "amount": "100.00"}])
    town.deliver(client, town.second | {"version": 2, "refunds": [refund]})

    (row,) = store.orders_by("promoter", town.mine)
    assert (row.orders, row.paid_orders, row.kept_orders) == (2, 2, 1)
    assert (row.revenue, row.refunds, row.commission, row.earned) == (20_000, 10_000, 1_300, 1_000)


def test_a_day_that_is_counted_again_says_the_same(town):
    def rows():
        columns = sa.select(*sa.inspect(OrderDay).columns).order_by(OrderDay.link_id)
        return db.session.execute(columns).all()

    before = rows()
    day = before[0].day
    with unit_of_work():
        store.count_orders(town.merchant.id, day)
        assert service.count_orders() is False

    assert rows() == before


def test_who_counts_is_alone(committed):
    with db.engine.begin() as other:
        other.execute(sa.text("SELECT pg_advisory_xact_lock(7425320)"))
        with unit_of_work():
            assert store.claim_orders() is False
    with unit_of_work():
        assert store.claim_orders() is True


# --- by the API ------------------------------------------------------------------------------


def asked_by(client, key, **query):
    return client.get("/api/v1/reports", query_string=query,
                      headers={"Authorization": f"Bearer {key}"})  # fmt: skip


def test_the_api_pages_through_a_report(town, client):
    with unit_of_work():
        key = a_key(Role.MERCHANT_OWNER, merchant=town.merchant)
    first = asked_by(client, key, metric="valid_clicks", by="promoter", limit=1).json
    second = asked_by(
        client, key, metric="valid_clicks", by="promoter", limit=1, cursor=first["next"]
    ).json

    assert first["data"] == [
        {"key": ids.encode("prm", town.ana.id), "name": town.ana.name, "value": 10, "money": None}
    ]
    assert (second["data"][0]["value"], second["next"]) == (4, None)
    money = asked_by(client, key, metric="revenue", by="shop").json["data"][0]
    assert money["money"] == {"amount": 25_000, "currency": "BRL"}
    assert money["key"] == ids.encode("shp", town.merchant.id, town.shop.id)


def test_what_may_be_asked(client):
    with unit_of_work():
        key = a_key(Role.MERCHANT_OWNER, merchant=Town("Sol").merchant)
    for query, status in [
        ({"metric": "clicks", "by": "hour"}, 200),
        ({"metric": "clicks", "by": "channel", "from": "2026-01-01", "to": "2026-02-01"}, 200),
        ({"metric": "clicks", "from": "2026-02-01", "to": "2026-01-01"}, 422),
        ({"metric": "clicks", "from": "2020-01-01", "to": "2026-01-01"}, 422),
        ({"metric": "clicks", "from": "0001-01-01", "to": "0001-01-02"}, 422),
        ({"metric": "clicks", "to": "0001-01-01"}, 422),
        ({"metric": "clicks", "from": "yesterday"}, 422),
        ({"metric": "revenue", "by": "device"}, 422),
        ({"metric": "happiness"}, 422),
        ({}, 200),
    ]:
        assert asked_by(client, key, **query).status_code == status, query


def test_others_read_nothing_of_it(town, client):
    with unit_of_work():
        other = Town("Lua")
        keys = [a_key(Role.MERCHANT_OWNER, merchant=other.merchant),
                a_key(Role.PROMOTER, promoter=other.ana)]  # fmt: skip
        bias = a_key(Role.PROMOTER, promoter=town.bia)
    for key in keys:
        for by in ("day", "link", "promoter", "device", "hour"):
            assert asked_by(client, key, metric="clicks", by=by).json["data"] == []
        link = ids.encode("lnk", town.merchant.id, town.link.id)
        assert asked_by(client, key, metric="clicks", link=link).json["data"] == []
    mine = asked_by(client, bias, metric="clicks", by="link").json["data"]
    assert [each["value"] for each in mine] == [9]
    promoter = ids.encode("prm", town.ana.id)
    assert asked_by(client, bias, metric="clicks", promoter=promoter).status_code == 403
    merchant = ids.encode("mer", town.merchant.id)
    assert asked_by(client, keys[0], metric="clicks", merchant=merchant).status_code == 404


# --- pages -----------------------------------------------------------------------------------


def test_pages_of_reports_cost_few_statements(town, client):
    for user, place, days in (
        (town.owner, "merchant", "?days=90"),
        (town.user, "promoter", "?days=x"),
    ):
        sign_in(client, user)
        client.get(f"/{place}/reports/{days}")
        with statements() as seen:
            page = client.get(f"/{place}/reports/{days}")
        assert page.status_code == 200
        assert len(seen) <= 20, seen
        assert not any(re.search(r"\bclicks\b(?!\w)", re.sub(r"AS \w+|\.clicks", "", each))
                       and "FROM clicks" in each for each in seen)  # fmt: skip
        assert "stories" in page.text
        assert f"Bia {town.name}" not in page.text or place == "merchant"


def test_a_click_is_on_an_open_page_as_soon_as_it_is_stored(town, client):
    sign_in(client, town.owner)
    before = client.get("/merchant/reports/today").text
    with unit_of_work():
        clicked(town.link, 3, user_agent=IPHONE)

    after = client.get("/merchant/reports/today").text
    assert (">14<" in before, ">17<" in after) == (True, True)


# --- plans -----------------------------------------------------------------------------------

FILL = """
    INSERT INTO click_days (merchant_id, promoter_id, dimension, day, value,
                            clicks, valid_clicks, visitors, scans)
    SELECT m, p, d, current_date - n, '', 1, 1, 1, 0
      FROM generate_series(:merchant, :merchant + 3) m, generate_series(0, 9) p,
           unnest(ARRAY['total', 'device', 'app', 'country']) d, generate_series(1, 120) n
    ON CONFLICT DO NOTHING;
    INSERT INTO link_days (link_id, day, merchant_id, promoter_id,
                           clicks, valid_clicks, visitors, scans)
    SELECT 1000000 + l, current_date - n, :merchant + l / 50, l, 1, 1, 1, 0
      FROM generate_series(1, 200) l, generate_series(1, 120) n;
    INSERT INTO order_days SELECT :merchant + l / 50, current_date - n, 'BRL', 1, 1, l, 1000000 + l,
           1, 1, 1, 1, 1, 1, 1
      FROM generate_series(1, 200) l, generate_series(1, 120) n;
    ANALYZE click_days, link_days, order_days
"""


def plans(work):
    """Of every select that is made meanwhile."""
    found = []

    def note(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT") and "_days" in statement:
            found.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    work()
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    for statement, parameters in found:
        explained = db.session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters)
        yield "\n".join(row[0] for row in explained)


@pytest.mark.parametrize("whose", ["mine", "anas"])
def test_no_report_reads_a_counted_table_from_end_to_end(town, whose):
    for statement in FILL.split(";"):
        db.session.execute(sa.text(statement), {"merchant": town.merchant.id + 1000}
                           if ":merchant" in statement else {})  # fmt: skip
    since, until = time.now().date() - timedelta(days=90), time.now().date()
    asked = Question(since, until, *(getattr(getattr(town, whose), name)
                                     for name in ("merchant_ids", "promoter_ids")))  # fmt: skip

    def work():
        for by in ("day", "promoter", "link", "product", "device"):
            store.clicks_by(by, asked)
            if by != "device":
                store.orders_by(by, asked)
        store.leading("promoter", asked, most=5)

    told = list(plans(work))
    assert len(told) == 10
    for plan in told:
        assert not re.search(r"Seq Scan on (click|link|order)_days", plan), plan
    assert re.search(r"Index (Only )?Scan.* click_days_pkey|Bitmap.* click_days_pkey", told[0])
