"""Today: what waits for the promoter, sums in a currency of their own, and what the page costs."""

import gzip
import re
from datetime import date

import pytest

from affiliate import clock as time
from affiliate.commissions import service as commissions
from affiliate.db import db, unit_of_work
from affiliate.fx import service as fx
from affiliate.ids import encode
from affiliate.people import agencies
from tests.consoles.promoter_town import Town, statements
from tests.consoles.signed_in import sign_in
from tests.factories.people import an_agency

FIRST_LOAD = 120 * 1024  # bytes over the wire, with everything it needs
LATER = 25 * 1024
STATEMENTS = 15
PLACES = [
    "market/", "share/", "share/{link}", "orders/", "orders/customers", "team/", "wallet/", "me/",
    "news", "notices",
]  # fmt: skip


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


@pytest.fixture
def released(client, town, clock):
    """Money that can be taken, and nothing that says where it should go."""
    town.order(client)
    clock.move(days=60)
    with unit_of_work():
        commissions.release(town.merchant.id, time.now())
    sign_in(client, town.user)
    return town


def test_nothing_waits_for_who_has_everything(client, town):
    sign_in(client, town.user)

    assert "Waits for you" not in client.get("/promoter/").text


def test_what_is_missing_before_money_can_go_out_waits_on_the_first_page(client, released):
    with unit_of_work():
        released.merchant.withholding = "br_irrf"
        db.session.add(released.merchant)
        agencies.invite(an_agency("Rede Lua"), released.ana)

    page = client.get("/promoter/").text

    tasks = page.partition("Waits for you")[2].partition("</section>")[0]
    assert "Complete your tax data to be paid" in tasks
    assert "Say where your BRL should go" in tasks
    assert "An agency asks you to come along" in tasks
    assert re.findall(r'href="([^"]+)"', tasks)[:2] == [
        "/promoter/wallet/tax", "/promoter/wallet/account",
    ]  # fmt: skip
    for address in re.findall(r'href="([^"]+)"', tasks):
        assert client.get(address).status_code == 200


def test_sums_are_read_in_a_currency_of_ones_own_with_the_day_of_the_rate(client, town, clock):
    clock.stand("2026-11-22T15:00:00Z")
    town.order(client)
    with unit_of_work():
        fx.import_csv("date,base,quote,rate,source\n2026-11-20,BRL,CNY,1.5,bank\n", by=None)
        town.user.currency = "CNY"
        db.session.add(town.user)
    sign_in(client, town.user)

    page = client.get("/promoter/").text

    together = page.partition("all together:")[2].partition("</p>")[0]
    assert "CNY" in together
    assert "20" in together
    assert date(2026, 11, 20).strftime("%Y")[-2:] in together


def test_the_first_page_with_all_it_needs_is_light(client, town):
    """As a phone loads it that was never here: page, styles, scripts, drawings."""
    for _ in range(8):
        town.order(client)
    sign_in(client, town.user)
    with statements() as sent:
        page = client.get("/promoter/")

    own = re.findall(r'(?:src|href)="(/static/dist/[^"]+)"', page.text)
    more = [client.get(path, headers={"Accept-Encoding": "gzip"}) for path in dict.fromkeys(own)]
    packed = len(gzip.compress(page.data)) if page.content_encoding is None else len(page.data)
    whole = packed + sum(len(each.data) for each in more)
    assert whole <= FIRST_LOAD
    assert len(sent) <= STATEMENTS
    assert {each.headers["Cache-Control"] for each in more} == {
        "public, max-age=31536000, immutable"
    }


@pytest.mark.parametrize("where", PLACES)
def test_later_places_bring_only_themselves(client, town, where):
    for _ in range(8):
        town.order(client)
    sign_in(client, town.user)

    link = encode("lnk", town.merchant.id, town.link.id)

    page = client.get(f"/promoter/{where.format(link=link)}")

    assert page.status_code == 200
    assert len(gzip.compress(page.data)) <= LATER


def test_only_ones_own_last_pages_may_be_kept_by_a_phone(client, app, town):
    sign_in(client, town.user)
    pages = [client.get(f"/promoter/{each}") for each in ("", "wallet/", "share/")]
    mine = {each.headers.get("X-Keep") for each in pages}
    other = app.test_client()
    sign_in(other, town.user)

    assert len(mine) == 1
    assert None not in mine
    assert other.get("/promoter/").headers["X-Keep"] not in mine
    for page in ("me/", "news", "orders/"):
        assert "X-Keep" not in client.get(f"/promoter/{page}").headers
    assert "X-Keep" not in client.get("/account/").headers
    assert client.get("/promoter/").headers["Cache-Control"] == "no-store"


def test_a_new_build_is_a_new_worker(client, app, monkeypatch):
    before = client.get("/worker.js")
    again = client.get("/worker.js", headers={"If-None-Match": before.headers["ETag"]})
    names = app.extensions["assets"] | {"app.js": "app.OTHER.js"}
    monkeypatch.setitem(app.extensions, "assets", names)

    after = client.get("/worker.js")

    assert before.mimetype == "text/javascript"
    assert again.status_code == 304
    assert "/static/dist/app.OTHER.js" in after.text
    assert after.headers["ETag"] != before.headers["ETag"]


def test_the_manifest_speaks_the_readers_language_and_its_icons_are_there(client):
    told = client.get("/manifest.webmanifest?lang=zh-Hans").json

    assert told["lang"] == "zh-Hans"
    assert told["start_url"] == "/promoter/"
    assert {each["sizes"] for each in told["icons"]} == {"192x192", "512x512"}
    assert [each.get("purpose") for each in told["icons"]].count("maskable") == 1
    for icon in told["icons"]:
        assert client.get(icon["src"]).mimetype == "image/png"
