"""Products, one at a time and a thousand at once."""

import threading

import pytest
import sqlalchemy as sa

from affiliate.catalog import queries, service
from affiliate.catalog.models import Product, Variant
from affiliate.catalog.service import ProductFacts, VariantFacts
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from tests.factories.catalog import a_product, a_shop
from tests.factories.people import a_merchant


@pytest.fixture
def shop():
    return a_shop(domain="ana.example.com")


def facts(number=1, **fields) -> ProductFacts:
    given = {
        "external_id": f"p{number}",
        "title": f"Bolsa {number}",
        "url": f"https://ana.example.com/p/{number}",
        "price": 19990,
    }
    return ProductFacts(**(given | fields))


def pointers(refused) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in refused.value.errors]


def test_a_product_is_kept_with_its_variants(shop):
    variants = [VariantFacts("v1", "P", "S-1", 19990, 3), VariantFacts("v2", "M")]

    product = service.create_product(shop, facts(variants=variants, stock=0, category="Bolsas"))

    assert (product.currency, product.price, product.stock) == ("BRL", 19990, 0)
    kept = queries.variants_of(shop.merchant_id, [product.id])[product.id]
    assert [(each.external_id, each.sku, each.price) for each in kept] == [
        ("v1", "S-1", 19990), ("v2", None, None)
    ]  # fmt: skip


def test_a_product_that_is_there_is_not_made_again(shop):
    service.create_product(shop, facts())

    with pytest.raises(service.ProductExists):
        service.create_product(shop, facts(title="Other"))


def test_two_shops_may_have_products_of_the_same_id(shop):
    other = a_shop(domain="berta.example.com")
    service.create_product(shop, facts())
    service.create_product(other, facts(url="https://berta.example.com/"))

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Product)) == 2


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://evil.example.com/p", "foreign_host"),
        ("https://ana.example.com.evil.com/", "foreign_host"),
        ("javascript:alert(1)", "bad_url"),
        ("", "bad_url"),
    ],
)
def test_a_product_s_page_is_on_the_shop(shop, url, code):
    with pytest.raises(Invalid) as refused:
        service.create_product(shop, facts(url=url))

    assert pointers(refused) == [("/url", code)]


def test_a_picture_may_lie_anywhere_but_must_be_an_address(shop):
    service.create_product(shop, facts(1, image_url="https://cdn.example.net/图.jpg"))
    with pytest.raises(Invalid) as refused:
        service.create_product(shop, facts(2, image_url="data:image/png;base64,AAAA"))

    assert pointers(refused) == [("/image_url", "bad_url")]


def test_a_thousand_products_are_created_then_updated_then_left_alone(shop):
    many = [facts(number) for number in range(1000)]
    first = service.put_products(shop, many)
    changed = [facts(0, title="New"), facts(1, stock=5), facts(2), facts(1000)]

    second = service.put_products(shop, changed)

    assert (first.created, first.updated, first.unchanged) == (1000, 0, 0)
    assert (second.created, second.updated, second.unchanged) == (1, 2, 1)
    assert second.ids["p0"] == first.ids["p0"]
    assert queries.product(shop.merchant_id, first.ids["p0"]).version == 2
    assert queries.product(shop.merchant_id, first.ids["p2"]).version == 1


def test_a_thousand_products_are_a_handful_of_statements(shop):
    seen = []

    def note(_conn, _cursor, statement, *_):
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    variants = [VariantFacts("v", "one size")]
    service.put_products(shop, [facts(number, variants=variants) for number in range(1000)])
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert len(seen) <= 5


def test_more_than_a_thousand_are_refused(shop):
    with pytest.raises(Invalid) as refused:
        service.put_products(shop, [facts(number) for number in range(1001)])

    assert pointers(refused) == [("/products", "too_many")]


def test_all_that_is_wrong_is_named_at_once_and_nothing_is_kept(shop):
    many = [
        facts(0),
        facts(1, url="https://evil.example.com/"),
        facts(0),
        facts(3, image_url="nowhere", variants=[VariantFacts("v", "a"), VariantFacts("v", "b")]),
    ]

    with pytest.raises(Invalid) as refused:
        service.put_products(shop, many)

    assert sorted(pointers(refused)) == [
        ("/products/1/url", "foreign_host"),
        ("/products/2/external_id", "repeated"),
        ("/products/3/image_url", "bad_url"),
        ("/products/3/variants/1/external_id", "repeated"),
    ]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Product)) == 0


def test_variants_that_are_gone_are_gone(shop):
    stored = service.put_products(
        shop, [facts(1, variants=[VariantFacts("a", "A"), VariantFacts("b", "B")]), facts(2)]
    )
    kept = {each.external_id: each.id for each in db.session.scalars(sa.select(Variant))}

    service.put_products(
        shop, [facts(1, variants=[VariantFacts("b", "B2"), VariantFacts("c", "")])]
    )

    db.session.expire_all()
    found = queries.variants_of(shop.merchant_id, [stored.ids["p1"]])[stored.ids["p1"]]
    assert [(each.external_id, each.title) for each in found] == [("b", "B2"), ("c", "")]
    assert found[0].id == kept["b"]


def test_odd_words_are_kept_as_they_are(shop):
    title = "包\t\"quoted\" \\back 'slash' 👜 \u202e"

    product = service.create_product(shop, facts(title=title, external_id="é/ü?#%"))

    assert (product.title, product.external_id) == (title, "é/ü?#%")


def test_nothing_at_all_is_nothing(shop):
    assert service.put_products(shop, []) == service.Stored(0, 0, 0, {})


def test_a_change_touches_only_what_it_names(shop):
    product = service.create_product(
        shop, facts(category="Bolsas", variants=[VariantFacts("a", "A")])
    )

    service.change_product(shop, product, {"title": "New", "stock": None})

    assert (product.title, product.category, product.price) == ("New", "Bolsas", 19990)
    assert product.version == 2
    assert len(queries.variants_of(shop.merchant_id, [product.id])[product.id]) == 1
    service.change_product(shop, product, {"variants": []})
    assert queries.variants_of(shop.merchant_id, [product.id])[product.id] == []


def test_a_product_is_hidden_and_shown_again(shop):
    product = a_product(shop, url="https://ana.example.com/")
    service.change_product(shop, product, {"hidden": True})
    hidden = product.hidden_at
    service.change_product(shop, product, {"hidden": True})
    assert product.hidden_at == hidden is not None

    service.change_product(shop, product, {"hidden": False})

    assert product.hidden_at is None


def test_uploads_in_opposite_order_never_wait_for_each_other(app, committed):
    with unit_of_work():
        shop = a_shop(a_merchant(), domain="ana.example.com")
    errors = []

    def upload(numbers, title):
        try:
            with app.app_context():
                for turn in range(4):
                    with unit_of_work():
                        many = [facts(number, title=f"{title} {turn}") for number in numbers]
                        service.put_products(shop, many)
        except BaseException as error:
            errors.append(error)

    forth, back = list(range(300)), list(range(299, -1, -1))
    threads = [
        threading.Thread(target=upload, args=(numbers, title))
        for numbers, title in [(forth, "a"), (back, "b"), (forth, "c"), (back, "d")]
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert errors == []
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Product)) == 300
