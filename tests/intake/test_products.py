"""Products of shops: by webhook, by fetch and by asking, in any order, never before an order."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.catalog import service as shops
from affiliate.catalog.models import Product, Variant
from affiliate.db import db, unit_of_work
from affiliate.intake import api, fetching, products, pulling, queries, service
from affiliate.intake.catalogue import mercadolibre, shopify, tiendanube, woocommerce
from affiliate.intake.models import Event, Pull
from affiliate.intake.platforms import shopify as shopify_platform
from affiliate.live import channels
from tests.factories.catalog import a_shop
from tests.factories.orders import hook
from tests.factories.people import a_merchant
from tests.intake.standins import STOCKED, MercadoLibre, Shopify, Tiendanube, WooCommerce

CURRENCY = {"mercadolibre": "BRL"}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    for module in (shopify, woocommerce, tiendanube, mercadolibre):
        monkeypatch.setattr(module, "PAGE", 7)
    monkeypatch.setattr(api.time, "sleep", lambda _: None)


@pytest.fixture(autouse=True)
def _never_inside_a_transaction(monkeypatch):
    ask = api.Client.once

    def once(self, *given, **named):
        assert not db.session().in_transaction()
        return ask(self, *given, **named)

    monkeypatch.setattr(api.Client, "once", once)


@pytest.fixture
def connect(app, monkeypatch, clock):
    """A stand-in, and our connection to it."""
    clock.stand("2026-11-20T12:00:00Z")
    started = []

    def connect(kind, without=()):
        shop = kind().__enter__()
        started.append(shop)
        settings = app.config["SETTINGS"]
        known = {**settings.shop_apis, shop.platform: shop.address}
        changed = settings.model_copy(update={"shop_apis": known})
        monkeypatch.setitem(app.config, "SETTINGS", changed)
        given = {name: value for name, value in shop.credentials.items() if name not in without}
        with unit_of_work():
            ours, _ = shops.create_shop(
                a_merchant().id,
                platform=shop.platform,
                domain="shop.example.com",
                currency=CURRENCY.get(shop.platform, "USD"),
                country="BR",
                credentials=given,
            )
        return shop, ours

    yield connect
    for shop in started:
        shop.__exit__()


def knock(client, ours, shop, product):
    headers, body, _ = shop.product_webhook(product)
    answer = client.post(hook(ours), data=body, headers=headers)
    assert answer.status_code == 200, answer.text


def work(ours):
    fetching.fetch(ours.merchant_id, ours.id, goods=True)
    products.drain(ours.merchant_id, ours.id)
    db.session.rollback()


def pull(ours):
    missed = pulling.pull(ours.merchant_id, ours.id, errand=products.PRODUCTS)
    db.session.rollback()
    return missed


def read_again(ours):
    with unit_of_work():
        assert products.read_again(ours.merchant_id, ours.id)
    return pull(ours)


def rows(ours):
    db.session.expire_all()
    found = db.session.scalars(
        sa.select(Product).filter_by(merchant_id=ours.merchant_id, shop_id=ours.id)
    ).all()
    db.session.rollback()
    return {each.external_id: each for each in found}


def known(ours):
    return {
        key: (each.title, each.price, each.list_price, each.stock)
        for key, each in rows(ours).items()
        if each.gone_at is None
    }


def truth(shop):
    return {
        key: (each["title"], each["price"], each["was"], each["stock"])
        for key, each in shop.products.items()
        if each["on"]
    }


@pytest.mark.parametrize("kind", STOCKED, ids=lambda kind: kind.platform)
def test_what_the_shop_tells_is_in_the_catalogue(connect, client, kind, rung, clock):
    """New, changed, off the shelves, on them again, deleted: by webhooks, which are thin in half
    of the platforms; in quarantine is nothing, and no order's worker was asked.
    """
    shop, ours = connect(kind)
    shop.put_on_shelves(2)
    first, other = shop.products.values()

    def tell(product):
        clock.move(minutes=1)
        knock(client, ours, shop, product)
        work(ours)
        return known(ours)

    tell(first)
    assert tell(other) == truth(shop)
    hidden = rows(ours)[other["id"]]
    with unit_of_work():
        shops.change_product(ours, hidden, {"hidden": True})
    for facts in (
        {"price": 90_00, "was": 120_00}, {"stock": 0}, {"on": False}, {"on": True, "stock": 3},
    ):  # fmt: skip
        clock.move(minutes=1)
        shop.change(first["id"], **facts)
        assert tell(first) == truth(shop), facts
    del shop.products[first["id"]]
    assert tell(first) == truth(shop)

    assert rows(ours)[first["id"]].gone_at == time.now()
    assert rows(ours)[other["id"]].hidden_at is not None
    assert queries.counts()["quarantined"] == queries.counts()["waiting"] == 0
    assert {bell[0] for bell in rung} <= {
        "workers.intake.drain_products", "workers.intake.fetch_products",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Shopify, WooCommerce], ids=lambda kind: kind.platform)
def test_news_of_a_product_come_in_any_order_and_again(connect, client, kind, clock):
    """Every state was sent; what arrives last is not what holds."""
    shop, ours = connect(kind, without=("api_token", "consumer_key", "consumer_secret"))
    shop.put_on_shelves(1)
    (product,) = shop.products.values()
    sent = []
    for facts in ({"price": 1}, {"price": 2}, {"on": False}, {"on": True, "price": 3}):
        clock.move(minutes=1)
        shop.change(product["id"], **facts)
        sent.append(shop.product_webhook(product))
    last = truth(shop)

    for number in (3, 0, 2, 1, 3, 0):
        headers, body, _ = sent[number]
        clock.move(minutes=1)
        client.post(hook(ours), data=body, headers=headers | {"X-Shopify-Webhook-Id": str(number)})
        work(ours)
        assert known(ours) == last

    del shop.products[product["id"]]
    knock(client, ours, shop, product)
    work(ours)
    version = rows(ours)[product["id"]].version
    for headers, body, _ in sent:  # retries of what was before
        client.post(hook(ours), data=body, headers=headers | {"X-Shopify-Webhook-Id": "again"})
    work(ours)
    assert known(ours) == {}
    assert rows(ours)[product["id"]].version == version

    clock.move(minutes=1)
    shop.products[product["id"]] = product
    shop.change(product["id"], price=4)
    knock(client, ours, shop, product)
    work(ours)
    assert known(ours) == truth(shop)  # the shop says so


def test_a_product_that_was_deleted_before_we_heard_of_it_stays_away(connect, client, clock):
    shop, ours = connect(Shopify, without=("api_token",))
    shop.put_on_shelves(1)
    (product,) = shop.products.values()
    headers, body, _ = shop.product_webhook(product)
    shop.products.clear()

    knock(client, ours, shop, product)
    work(ours)
    client.post(hook(ours), data=body, headers=headers)
    work(ours)

    assert known(ours) == {}
    assert rows(ours)[product["id"]].gone_at is not None


def test_an_id_of_something_else_is_no_product(connect, client):
    """A signed body that is only an id proves nothing but that id."""
    shop, ours = connect(Shopify)
    shop.put_on_shelves(1)
    (product,) = shop.products.values()
    knock(client, ours, shop, product)
    work(ours)
    body = json.dumps({"id": int(product["id"])}).encode()
    headers = {
        "X-Shopify-Hmac-Sha256": shopify_platform.sign("hush", body),
        "X-Shopify-Topic": "customers/delete",
    }

    client.post(hook(ours), data=body, headers=headers)
    service.drain(ours.merchant_id, ours.id)
    work(ours)

    assert known(ours) == truth(shop)


def test_orders_do_not_wait_for_products(connect, client, rung):
    """Neither are they in one claim, nor is there a statement more for them."""
    shop, ours = connect(Shopify)
    shop.put_on_shelves(3)
    shop.place(1)
    (order,) = shop.orders.values()
    for product in shop.products.values():
        knock(client, ours, shop, product)
    headers, body, _ = shop.webhook(order)
    client.post(hook(ours), data=body, headers=headers)

    assert service.drain(ours.merchant_id, ours.id) == 1
    assert queries.counts() == {"waiting": 3, "done": 1, "quarantined": 0}
    db.session.rollback()
    rung.clear()
    with unit_of_work():
        service.ring_for_waiting()
    assert rung == [("workers.intake.drain_products", ours.merchant_id, ours.id)]


def test_a_product_that_cannot_be_read_is_put_aside_and_its_neighbours_are_not(connect, client):
    shop, ours = connect(Shopify)
    shop.put_on_shelves(3)
    keys = list(shop.products)
    told = shop.told_product
    shop.told_product = lambda each: (
        told(each) | ({"handle": "a b"} if each["id"] == keys[1] else {})
    )
    for product in shop.products.values():
        knock(client, ours, shop, product)

    work(ours)

    assert set(known(ours)) == {keys[0], keys[2]}
    (aside,) = [event for event in events() if event.state == "quarantined"]
    assert (aside.error["code"], aside.error["pointer"]) == ("bad_url", "/handle")
    assert aside.order_key == f"product:{keys[1]}"

    shop.told_product = told
    with unit_of_work():
        service.retry()
    work(ours)
    assert queries.counts()["quarantined"] == 1  # the body is as it was


def test_a_product_that_breaks_its_statement_is_put_aside_alone(connect, client, monkeypatch):
    shop, ours = connect(Shopify)
    shop.put_on_shelves(4)
    keys = list(shop.products)
    for product in shop.products.values():
        knock(client, ours, shop, product)
    read = shopify.CATALOGUE.read
    broken = [each for each in shop.products.values() if each["id"] == keys[2]]
    broken[0]["title"] = "broken"
    platform = products.PLATFORMS["shopify"]
    seen = []

    def reading(body, ground):
        seen.append(1)
        facts = read(body, ground)
        if facts.external_id == keys[2]:
            raise ZeroDivisionError
        return facts

    changed = _with(platform, catalogue=_with(platform.catalogue, read=reading))
    monkeypatch.setitem(products.PLATFORMS, "shopify", changed)

    work(ours)

    assert set(known(ours)) == set(keys) - {keys[2]}
    (aside,) = [event for event in events() if event.state == "quarantined"]
    assert aside.error["code"] == "internal_error"


def _with(what, **changes):
    from dataclasses import replace

    return replace(what, **changes)


def test_without_a_key_a_shop_is_told_of_only(connect, client):
    shop, ours = connect(WooCommerce, without=("consumer_key", "consumer_secret"))
    shop.put_on_shelves(1, sizes=True)
    for product in shop.products.values():
        knock(client, ours, shop, product)
    work(ours)
    with unit_of_work():
        assert not products.read_again(ours.merchant_id, ours.id)
        assert pulling.ring_for_due(products.PRODUCTS) == 0
    assert pull(ours) == 0

    (sync,) = products.syncs([ours])

    assert known(ours) == truth(shop)
    assert shop.asked == []
    assert (sync.count, sync.is_told, sync.is_asked, sync.read_at) == (1, True, False, None)


def test_variations_of_woocommerce_are_fetched(connect, client):
    shop, ours = connect(WooCommerce)
    shop.put_on_shelves(1, sizes=True, stock=None)
    (product,) = shop.products.values()
    shop.product_webhook = _of_a_variation(shop)

    knock(client, ours, shop, product)
    work(ours)

    (variant,) = db.session.scalars(sa.select(Variant))
    assert (variant.title, variant.price) == ("Black", product["price"])
    assert known(ours) == truth(shop)


def _of_a_variation(shop):
    from affiliate.intake.platforms.woocommerce import sign

    def webhook(product):
        parent = {"type": "variation", "parent_id": int(product["id"])}
        body = json.dumps(shop.told_variation(product) | parent).encode()
        return {"X-WC-Webhook-Signature": sign("hush", body)}, body, {}

    return webhook


def test_what_a_webhook_of_shopify_leaves_out_is_fetched(connect, client):
    """Whether 0 pieces are none or not counted."""
    shop, ours = connect(Shopify)
    shop.put_on_shelves(1, stock=0)
    (product,) = shop.products.values()
    whole = shop.told_product(product)
    body = json.dumps(
        whole
        | {"variants": [{k: v for k, v in whole["variants"][0].items() if "management" not in k}]}
    ).encode()
    client.post(
        hook(ours),
        data=body,
        headers={"X-Shopify-Hmac-Sha256": shopify_platform.sign("hush", body)},
    )
    assert shop.asked == []

    work(ours)

    assert shop.asked == [f"GET /admin/api/2026-07/products/{product['id']}.json"]
    assert known(ours) == truth(shop)


# --- by asking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STOCKED, ids=lambda kind: kind.platform)
def test_a_shop_is_read_whole_and_then_asked_what_changed(connect, kind, clock):
    """Busy every ninth time, tokens forgotten; what is not told any more is gone in the end."""
    shop, ours = connect(kind)
    shop.put_on_shelves(23)
    shop.busy_every = 9
    with unit_of_work():
        assert pulling.ring_for_due(products.PRODUCTS) == 1
    shop.between_pages = shop.forget_token

    assert pull(ours) == 23
    assert known(ours) == truth(shop)

    keys = list(shop.products)
    clock.move(minutes=40)
    shop.change(keys[3], price=1, was=5)
    shop.change(keys[4], on=False)
    del shop.products[keys[5]]
    shop.busy_every = 0
    asked = len(shop.asked)
    told_changes = kind is not MercadoLibre
    assert pull(ours) == (2 if told_changes else 0)
    assert len(shop.asked) - asked <= 2
    if told_changes:
        assert set(known(ours)) - set(truth(shop)) == {keys[5]}

    clock.move(hours=25)
    pull(ours)
    assert known(ours) == truth(shop)
    assert rows(ours)[keys[5]].gone_at == time.now()
    assert rows(ours)[keys[6]].version == 1  # as it was all the time
    assert rows(ours)[keys[6]].synced_at == time.now()

    shop.products[keys[5]] = dict(shop.products[keys[6]], id=keys[5])
    read_again(ours)
    assert known(ours) == truth(shop)  # there again, though no change was told of it


def test_who_dies_between_two_pages_goes_on_where_he_was(connect, monkeypatch, clock):
    shop, ours = connect(Shopify)
    shop.put_on_shelves(40)
    turn, turns = pulling._turn, []

    def dying(*given):
        turns.append(1)
        if len(turns) == 4:
            raise SystemExit
        return turn(*given)

    monkeypatch.setattr(pulling, "_turn", dying)
    with pytest.raises(SystemExit):
        pull(ours)
    db.session.rollback()
    assert len(known(ours)) == 21
    (sync,) = products.syncs([ours])
    assert (sync.seen, sync.total, sync.read_at) == (21, 40, None)
    assert pull(ours) == 0  # the lease still runs

    clock.move(minutes=11)
    asked = len(shop.asked)
    with unit_of_work():
        assert pulling.ring_for_due(products.PRODUCTS) == 1
    assert pull(ours) == 19

    assert known(ours) == truth(shop)
    assert len(shop.asked) - asked == 3


def test_a_list_that_never_stands_still_takes_nothing_away(connect, clock):
    """Whoever is not on it may only have been pushed to another page."""
    shop, ours = connect(WooCommerce)
    shop.put_on_shelves(10)
    pull(ours)
    clock.move(hours=25)
    shop.between_pages = lambda: shop.put_on_shelves(1)
    gone = next(iter(shop.products))
    del shop.products[gone]

    pull(ours)

    (row,) = windows("whole")[1:]
    assert (row.error["code"], row.rounds) == ("counts_differ", 5)
    assert gone in known(ours)
    assert products.syncs([ours])[0].fault == "counts_differ"


def test_an_empty_answer_of_a_shop_that_says_it_has_some_empties_nothing(connect, clock):
    shop, ours = connect(Shopify)
    shop.put_on_shelves(5)
    pull(ours)
    clock.move(hours=25)
    answer = shop.answer_products
    shop.answer_products = lambda path, query: (
        answer(path, query) if "count" in path else (200, {}, {"products": []})
    )

    pull(ours)

    assert len(known(ours)) == 5


def test_a_page_that_is_too_large_is_asked_for_in_parts(connect, monkeypatch):
    shop, ours = connect(Shopify)
    shop.put_on_shelves(10)
    monkeypatch.setattr(shopify, "SMALLER", (3, 1))
    answer, sizes = shop.answer_products, []

    def answering(path, query):
        if "limit" in query:
            sizes.append(int(query["limit"]))
            shop.page = int(query["limit"])
        status, headers, told = answer(path, query)
        return status, headers, told | {"filling": "x" * 1000 * len(told.get("products", ""))}

    shop.answer_products = answering
    monkeypatch.setattr(api, "LARGEST", 15_000)

    pull(ours)

    assert sizes == [7, 3, 7, 3, 7, 3, 7]
    assert known(ours) == truth(shop)


def test_a_scroll_that_is_over_begins_anew(connect, clock):
    shop, ours = connect(MercadoLibre)
    shop.put_on_shelves(20)
    answer = shop.answer_products
    shop.answer_products = lambda path, query: (
        (400, {}, {"error": "scroll_id expired"}) if "scroll_id" in query else answer(path, query)
    )
    pull(ours)
    (row,) = windows()
    assert (row.error["code"], row.cursor, row.ended_at) == ("bad_cursor", "", None)

    shop.answer_products = answer
    clock.move(minutes=10)
    pull(ours)

    assert known(ours) == truth(shop)


def test_a_shop_that_cannot_be_asked_says_why_and_is_asked_again_when_somebody_wants(
    connect, clock
):
    shop, ours = connect(Tiendanube)
    shop.put_on_shelves(3)
    shop.busy_every = 1
    pull(ours)
    assert products.syncs([ours])[0].fault == "no_answer"

    shop.busy_every = 0
    assert pull(ours) == 0  # it is not yet time
    assert read_again(ours) == 3

    assert products.syncs([ours])[0].fault is None
    assert products.syncs([ours])[0].read_at == time.now()


def test_what_of_a_page_cannot_be_read_is_put_aside_and_not_gone(connect, clock):
    shop, ours = connect(WooCommerce)
    shop.put_on_shelves(8)
    pull(ours)
    clock.move(hours=25)
    strange = list(shop.products)[2]
    told = shop.told_product
    shop.told_product = lambda each: (
        told(each) | ({"permalink": "https://evil.example.net/"} if each["id"] == strange else {})
    )

    pull(ours)
    work(ours)

    assert len(known(ours)) == 8
    (aside,) = events()
    assert (aside.error["code"], aside.state) == ("foreign_host", "quarantined")


def test_ten_thousand_products_are_read_by_statements_for_many(app, monkeypatch, clock):
    """As many statements for each page, however many are on it; what is as it was stays so."""
    clock.stand("2026-11-20T12:00:00Z")
    with unit_of_work():
        ours = a_shop(platform="shopify", domain="shop.example.com", currency="USD")

    def page(_client, _window, cursor):
        at = int(cursor or 0)
        if at == 500:
            with unit_of_work():  # as the database does by itself, once others see the rows
                db.session.execute(sa.text("ANALYZE products, variants"))
        bodies = [b'{"number": %d}' % number for number in range(at, at + 500)]
        return api.Page(bodies, str(at + 500) if at < 9_500 else "", 10_000)

    def read(body, _ground):
        key = str(body.get("number").value)
        sizes = [shops.VariantFacts(f"{key}-{size}", size, stock=5) for size in "PM"]
        address = f"https://shop.example.com/products/{key}"
        return shops.ProductFacts(key, key, address, variants=sizes, stock=10, shop_version=1)

    platform = products.PLATFORMS["shopify"]
    changed = _with(platform, catalogue=_with(platform.catalogue, pull=page, read=read))
    monkeypatch.setitem(products.PLATFORMS, "shopify", changed)
    monkeypatch.setattr(pulling, "is_pulled", lambda *_: True)
    monkeypatch.setattr(pulling, "client_of", lambda _: _nobody())
    sent = []

    def note(_conn, _cursor, statement, *_):
        if "SAVEPOINT" not in statement:
            sent.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        assert pull(ours) == 10_000
        first, _ = len(sent), sent.clear()
        clock.move(hours=25)
        assert pull(ours) == 0
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert first < 20 * 8
    assert len(sent) < 20 * 8
    counted = sa.select(sa.func.count(), sa.func.max(Product.version), sa.func.min(Product.stock))
    assert db.session.execute(counted).one() == (10_000, 1, 10)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Variant)) == 20_000


class _nobody:  # noqa: N801
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_open_pages_are_told_of_what_changed_and_of_nothing_else(connect, client, monkeypatch):
    """The merchant's, those of promoters who look at the goods, and the products' own."""
    shop, ours = connect(Shopify)
    shop.put_on_shelves(2)
    said = []
    monkeypatch.setattr(channels, "publish", said.append)
    both = [f"goods:{ours.merchant_id}", f"merchant:{ours.merchant_id}"]

    def pages(*products):
        return [*both, *(f"product:{ours.merchant_id}:{each.id}" for each in products)]

    pull(ours)
    assert said == [sorted(pages(*rows(ours).values()))]

    pull(ours)
    read_again(ours)
    assert len(said) == 1

    (product, _) = shop.products.values()
    shop.change(product["id"], stock=0)
    knock(client, ours, shop, product)
    work(ours)
    changed = rows(ours)[product["id"]]
    assert said[1:] == [pages(changed)]
    with unit_of_work():
        shops.change_product(ours, changed, {"hidden": True})
    assert said[2:] == [pages(changed)]


def test_a_window_of_products_is_none_of_orders(connect, clock):
    """Neither waits for the other, and each has a log of its own."""
    shop, ours = connect(Shopify)
    shop.put_on_shelves(3)
    shop.place(2, hours=1)
    pulling.pull(ours.merchant_id, ours.id)
    pull(ours)

    assert {row.what for row in windows()} == {"orders", "products"}
    (row,) = windows("whole")
    assert (row.seen, row.total, row.missed, row.pages) == (3, 3, 3, 1)
    assert timedelta() < row.until - row.since


def windows(*flags):
    db.session.expire_all()
    found = [
        row
        for row in db.session.scalars(sa.select(Pull).order_by(Pull.id))
        if all(getattr(row, flag) for flag in flags)
    ]
    db.session.rollback()
    return found


def events():
    db.session.expire_all()
    found = list(db.session.scalars(sa.select(Event).order_by(Event.id)))
    db.session.rollback()
    return found
