"""Products from a file: all of it, or nothing and what is wrong where."""

import pytest
import sqlalchemy as sa

from affiliate.catalog.models import Product, Variant
from affiliate.db import db
from affiliate.intake import product_files
from affiliate.intake.sheets import BadFile
from tests.factories.catalog import a_shop

HEAD = ",".join(product_files.COLUMNS) + "\n"


@pytest.fixture
def shop():
    return a_shop(domain="ana.example.com")


def take(shop, *lines):
    return product_files.take(shop, (HEAD + "\n".join(lines)).encode())


def test_a_file_of_products_and_their_variants(shop):
    lines = (
        "p1,<b>Bolsa</b>,https://ana.example.com/1,https://cdn.test/1.svg,99.90,120.00,4,Bolsas,,,,Couro",
        "p2,Camisa,https://ana.example.com/2,,50.00,,3,,v1,P,C-P,",
        "p2,,,,45.00,60.00,2,,v2,M,C-M,",
        "p3,Brinde,https://ana.example.com/3,,0,,,,,,,",
    )

    assert take(shop, *lines) == (3, 3)
    assert take(shop, *lines) == (3, 0)

    found = {each.external_id: each for each in db.session.scalars(sa.select(Product))}
    told = {
        key: (each.title, each.price, each.list_price, each.stock) for key, each in found.items()
    }
    assert told == {
        "p1": ("Bolsa", 9990, 12000, 4),
        "p2": ("Camisa", 4500, 6000, 5),
        "p3": ("Brinde", 0, None, None),
    }
    assert (found["p1"].category, found["p1"].description) == ("Bolsas", "Couro")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Variant)) == 2


def test_all_that_is_wrong_is_told_by_its_cell_and_nothing_is_stored(shop):
    with pytest.raises(BadFile) as refused:
        take(
            shop,
            "p1,Bolsa,https://evil.example/1,nowhere,1.999,,4,,,,,",
            "p2,,https://ana.example.com/2,,5.00,-1,many,,,,,",
            ",Camisa,https://ana.example.com/3,,,,,,,,,",
            "p4,A,https://ana.example.com/4,,,,,,v1,,,",
            "p4,A,https://ana.example.com/4,,,,,,v1,,,",
            "p5,A,https://ana.example.com/5,,,,,,,,,",
            "p5,A,https://ana.example.com/5,,,,,,,,,",
        )

    assert sorted((each.pointer, each.code) for each in refused.value.errors) == [
        ("/rows/2/image_url", "bad_url"),
        ("/rows/2/price", "too_many_decimals"),
        ("/rows/2/url", "foreign_host"),
        ("/rows/3/list_price", "negative_amount"),
        ("/rows/3/stock", "not_whole"),
        ("/rows/3/title", "missing"),
        ("/rows/4/external_id", "missing"),
        ("/rows/6/variant_id", "repeated"),
        ("/rows/8/external_id", "repeated"),
    ]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Product)) == 0


def test_of_a_file_full_of_faults_fifty_are_told(shop):
    with pytest.raises(BadFile) as refused:
        take(shop, *[f"p{number},A,https://evil.example/,,,,,,,,," for number in range(80)])

    assert len(refused.value.errors) == 50


@pytest.mark.parametrize("content", ["", HEAD, "external_id,colour\n1,red\n"])
def test_a_file_that_is_none_is_refused(shop, content):
    with pytest.raises(BadFile):
        product_files.take(shop, content.encode())
