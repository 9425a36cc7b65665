"""Product groups and reviews, as services, over the API and on the merchant's pages."""

import io

import pytest
import sqlalchemy as sa

from affiliate import ids
from affiliate.catalog import queries, service
from affiliate.catalog.models import Product, ProductGroup, Review
from affiliate.catalog.service import VariantFacts
from affiliate.db import db, unit_of_work
from affiliate.errors import Invalid
from affiliate.people.models import Role
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_product, a_shop
from tests.factories.people import a_key, a_merchant, a_user, bearer


class Markets:
    """One merchant in Brazil and in Mexico."""

    def __init__(self):
        self.merchant = a_merchant()
        self.brazil = a_shop(self.merchant, country="BR", currency="BRL", name="Loja")
        self.mexico = a_shop(self.merchant, country="MX", currency="MXN", name="Tienda")
        self.dress = a_product(self.brazil, external_id="b1", title="Dress", price=19990, stock=3)
        self.vestido = a_product(self.mexico, external_id="m1", title="Vestido", price=69900)


@pytest.fixture
def markets(app):
    with unit_of_work():
        return Markets()


@pytest.fixture
def owner(client, markets):
    with unit_of_work():
        user = a_user(Role.MERCHANT_OWNER, merchant=markets.merchant)
    sign_in(client, user)
    return user


def group_of(product):
    return db.session.scalar(sa.select(Product.group_id).where(Product.id == product.id))


# --- groups ------------------------------------------------------------------------------------


def test_a_group_is_made_changed_and_dissolved(markets):
    merchant_id = markets.merchant.id
    group = service.create_product_group(merchant_id, "Dress", [markets.dress.id])
    service.change_product_group(group, name="Linen", add=[markets.vestido.id])
    assert group_of(markets.dress) == group_of(markets.vestido) == group.id

    service.change_product_group(group, remove=[markets.dress.id])
    assert (group_of(markets.dress), group.name, group.version) == (None, "Linen", 3)

    service.dissolve_product_group(group)
    assert group_of(markets.vestido) is None
    assert db.session.scalars(sa.select(ProductGroup)).all() == []


def test_what_belongs_elsewhere_is_refused_by_name(markets):
    merchant_id, stranger = markets.merchant.id, a_product()
    service.create_product_group(merchant_id, "One", [markets.dress.id])

    with pytest.raises(Invalid) as refused:
        service.create_product_group(merchant_id, "Two", [markets.dress.id, stranger.id])
    with pytest.raises(service.GroupExists):
        service.create_product_group(merchant_id, "One")

    assert [(each.pointer, each.code) for each in refused.value.errors] == [
        ("/products/0", "in_other_group"),
        ("/products/1", "not_found"),
    ]


@pytest.mark.parametrize(
    ("brazil", "mexico", "alike"),
    [
        ({"title": " Linen  DRESS"}, {"title": "linen dress"}, True),
        ({"external_id": "7891234567895"}, {"external_id": "7891234567895"}, True),
        ({"variants": [VariantFacts("1", "S", sku="LD-S")]},
         {"variants": [VariantFacts("9", "CH", sku="ld-s")]}, True),
        ({"external_id": "12"}, {"external_id": "12"}, False),
        ({"title": "linen dress"}, {"title": "linen shirt"}, False),
    ],
)  # fmt: skip
def test_products_that_look_like_the_same_thing_are_proposed(markets, brazil, mexico, alike):
    one, other = a_product(markets.brazil, **brazil), a_product(markets.mexico, **mexico)
    a_product(markets.brazil, title="linen dress of nobody's")

    found = [[each.id for each in some] for some in queries.alike(markets.merchant.id)]

    assert found == ([[one.id, other.id]] if alike else [])
    if alike:
        service.create_product_group(markets.merchant.id, "Dress", [one.id, other.id])
        assert queries.alike(markets.merchant.id) == []


def test_the_api_shows_each_market_side_by_side(client, markets):
    key = a_key(Role.MERCHANT_STAFF, merchant=markets.merchant)
    dress, vestido = (
        ids.encode("prd", each.merchant_id, each.id) for each in (markets.dress, markets.vestido)
    )

    def call(method, path, body=None, **headers):
        return client.open(
            f"/api/v1{path}", method=method, json=body, headers=bearer(key, **headers)
        )

    merchant = ids.encode("mer", markets.merchant.id)
    made = call("POST", "/product-groups", {
        "merchant": merchant, "name": "Dress", "products": [dress, vestido],
    })  # fmt: skip

    assert made.status_code == 201
    shown = [(each["country"], each["price"], each["stock"]) for each in made.json["products"]]
    assert shown == [
        ("BR", {"amount": 19990, "currency": "BRL"}, 3),
        ("MX", {"amount": 69900, "currency": "MXN"}, None),
    ]
    path = f"/product-groups/{made.json['id']}"
    assert call("GET", path).json == made.json
    assert call("GET", "/product-groups").json["data"] == [made.json]
    changed = call("PATCH", path, {"remove": [vestido]}, **{"If-Match": made.headers["ETag"]})
    assert [each["product"] for each in changed.json["products"]] == [dress]
    again = call("POST", "/product-groups", {"merchant": merchant, "name": "Dress"})
    assert (again.status_code, again.json["errors"][0]["pointer"]) == (409, "/name")


def test_the_page_of_groups(client, markets, owner):
    with unit_of_work():
        for shop in (markets.brazil, markets.mexico):
            a_product(shop, title="Same <b>thing")
    page = client.get("/merchant/product-groups/")
    assert "Is this the same?" in page.text
    assert "Same &lt;b&gt;thing" in page.text

    products = [each.id for some in queries.alike(markets.merchant.id) for each in some]
    client.post("/merchant/product-groups/", data={"name": "Thing", "product": products})
    group = db.session.scalars(sa.select(ProductGroup)).one()
    path = f"/merchant/product-groups/{group.id}"
    add = {"name": "Things", "shop": markets.mexico.id, "external_id": "m1"}
    assert client.post(path, data=add).status_code == 303
    wrong = client.post(path, data=add | {"external_id": "nothing"})
    assert (wrong.status_code, "no product with this number" in wrong.text) == (422, True)
    assert group_of(markets.vestido) == group.id

    page = client.get("/merchant/product-groups/")
    assert "Things" in page.text
    assert "699.00" in page.text
    assert client.post(f"{path}/end").status_code == 303
    assert group_of(markets.vestido) is None


# --- reviews -----------------------------------------------------------------------------------

HEAD = "product,rating,origin,author,text,date,external_id\n"
GOOD = HEAD + 'b1,5,Shopee,Rita,"Lovely,\nand light",2026-10-03,r1\nb1,4,Shopee,,,,\n'


def send(client, markets, text):
    sent = {"shop": markets.brazil.id, "file": (io.BytesIO(text.encode()), "reviews.csv")}
    return client.post("/merchant/reviews/", data=sent, follow_redirects=True)


def stored():
    rows = db.session.scalars(sa.select(Review).order_by(Review.rating.desc()))
    return [(each.rating, each.origin, each.author, each.text) for each in rows]


def test_reviews_come_as_a_table_and_the_same_again_changes_nothing(client, markets, owner):
    first, again = send(client, markets, GOOD), send(client, markets, GOOD)

    assert "2 reviews are new, 0 changed, 0 were known." in first.text
    assert "0 reviews are new, 0 changed, 2 were known." in again.text
    assert stored() == [(5, "Shopee", "Rita", "Lovely,\nand light"), (4, "Shopee", None, None)]
    other = send(client, markets, GOOD.replace("Rita", "Rita M."))
    assert "0 reviews are new, 1 changed, 1 were known." in other.text


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("nope,5,Shopee", "Row 4, product: the shop has no such product."),
        (",5,Shopee", "Row 4, product: nothing stands there."),
        ("b1,6,Shopee", "Row 4, rating: a whole number from 1 to 5."),
        ("b1,4.5,Shopee", "Row 4, rating: a whole number from 1 to 5."),
        ("b1,5,", "Row 4, origin: nothing stands there."),
        ("b1,5,Shopee,,,2999-01-01", "Row 4, date: a date looks like 2026-11-30"),
        ("b1,5,Shopee,,,03/10/2026", "Row 4, date: a date looks like 2026-11-30"),
        (f"b1,5,Shopee,,{'x' * 2001}", "Row 4, text: at most 2000 characters."),
        ("b1,1,Shopee,Rita,,,r1", "Row 4, external_id: another review of the file has this id."),
    ],
)
def test_one_fault_and_nothing_is_taken(client, markets, owner, row, fault):
    answer = send(client, markets, GOOD.replace("\nand light", "") + row)

    assert answer.status_code == 422
    assert fault in answer.text
    assert stored() == []


@pytest.mark.parametrize("content", ["", "a,b\n", "\x00\xff", HEAD])
def test_what_is_no_table_of_reviews_is_refused(client, markets, owner, content):
    assert send(client, markets, content).status_code == 422


def test_all_of_one_origin_can_be_deleted(client, markets, owner):
    send(client, markets, GOOD + "b1,3,Instagram\n")

    client.post("/merchant/reviews/delete", data={"origin": "Shopee"})

    assert stored() == [(3, "Instagram", None, None)]
    assert client.post("/merchant/reviews/delete", data={"origin": "Shopee"}).status_code == 404


def test_nobody_deletes_or_brings_reviews_of_another_merchant(client, markets, owner):
    send(client, markets, GOOD)
    with unit_of_work():
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=a_merchant("Rival")))

    assert client.post("/merchant/reviews/delete", data={"origin": "Shopee"}).status_code == 404
    assert send(client, markets, GOOD).status_code == 404
    assert "Shopee" not in client.get("/merchant/reviews/").text
    assert len(stored()) == 2
