"""Who a promoter is, what they are told of, and their data: taken along, or erased."""

import io
import json
import zipfile
from datetime import datetime

import pytest
import sqlalchemy as sa
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from affiliate import events, ids
from affiliate.db import db, unit_of_work
from affiliate.notices import queries as told
from affiliate.notices import service as telling
from affiliate.notices.models import Channel, Kind, Notice, Subscription
from affiliate.people import pictures, queries, sessions
from affiliate.people.models import Role, User, UserSession
from tests.consoles.promoter_town import BUYER, Town
from tests.consoles.signed_in import sign_in
from tests.factories.people import a_promoter, a_user

ME = {"name": "Ana 🌸", "niche": "tea", "currency": "CNY"}


@pytest.fixture
def town(app):
    with unit_of_work():
        return Town("Sol")


@pytest.fixture
def ana(client, town):
    sign_in(client, town.user)
    return town.ana


def fresh(row):
    db.session.refresh(row)
    return row


def photo(size=(900, 600), kind="JPEG", **more):
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, kind, **more)
    return file.getvalue()


def send_picture(client, content):
    """As one body: of a large form werkzeug's client makes a file that it leaves open."""
    boundary, body = encode_multipart({"picture": FileStorage(io.BytesIO(content), "me.jpg")})
    kind = f"multipart/form-data; boundary={boundary}"
    return client.post("/promoter/me/picture", data=body, content_type=kind)


def test_a_profile_is_kept_with_emoji_and_followers_as_people_write_them(client, ana, town):
    typed = ME | {
        "kind_0": "xiaohongshu", "handle_0": "@ana", "followers_0": "12.500",
        "kind_2": "blog", "handle_2": "ana.example", "followers_2": "",
    }  # fmt: skip
    answer = client.post("/promoter/me/", data=typed)

    page = client.get("/promoter/me/").text
    assert (answer.status_code, answer.location) == (303, "/promoter/me/")
    assert fresh(ana).name == "Ana 🌸"
    assert ana.profile == {
        "niche": "tea",
        "channels": [
            {"kind": "xiaohongshu", "name": "@ana", "followers": 12500},
            {"kind": "blog", "name": "ana.example", "followers": None},
        ],
    }
    assert fresh(town.user).currency == "CNY"
    assert 'value="12500"' in page


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": " "}, "Tell us a name"),
        ({"name": "x" * 101}, "Tell us a name"),
        ({"currency": "XXQ"}, "Choose a currency."),
        ({"kind_0": "sky", "handle_0": "@ana"}, "Say where, and by which name."),
        ({"kind_0": "blog", "handle_0": "a", "followers_0": "many"}, "whole number"),
    ],
)
def test_what_cannot_be_kept_is_said_and_what_was_typed_stays(client, ana, typed, words):
    answer = client.post("/promoter/me/", data=ME | typed)

    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="tea"' in answer.text
    assert fresh(ana).name == "Ana Sol"


def test_a_photo_of_almost_four_megabytes_becomes_a_small_square_without_its_secrets(client, ana):
    exif = Image.Exif()
    exif[0x010F] = "camera of Ana"
    big = photo((2000, 1300), quality=90, exif=exif)
    big = big.ljust(pictures.LARGEST, b"\0")

    answer = send_picture(client, big)

    kept = pictures.of(ana.id)
    address = f"/promoter/faces/{ids.encode('prm', ana.id)}/{kept.mark}.webp"
    shown = client.get(address)
    drawn = Image.open(io.BytesIO(kept.picture))
    assert answer.status_code == 303
    assert (drawn.format, drawn.size, len(kept.picture) < 60_000) == ("WEBP", (256, 256), True)
    assert b"camera of Ana" not in kept.picture
    assert (shown.data, shown.mimetype) == (kept.picture, "image/webp")
    assert address in client.get("/promoter/me/").text
    assert client.get(address.replace(kept.mark, "x")).status_code == 404


def huge():
    """A small file that says it has a hundred million pixels."""
    file = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Choose a picture."),
        (b"<svg onload=alert(1)>", "no picture we can read"),
        (photo()[:400], "no picture we can read"),
        (photo().ljust(pictures.LARGEST + 1, b"\0"), "at most 4 MB"),
        (huge(), "too many pixels"),
    ],
    ids=["nothing", "svg", "cut off", "large", "many pixels"],
)
def test_what_is_no_picture_is_refused_and_the_page_stays_as_it_was(client, ana, content, words):
    answer = send_picture(client, content)

    assert answer.status_code == 422
    assert words in answer.text
    assert 'value="Ana Sol"' in answer.text
    assert pictures.of(ana.id) is None


@pytest.mark.parametrize(("who", "status"), [("eva", 200), ("bia", 200), ("stranger", 404)])
def test_a_face_is_shown_to_the_team_and_its_sponsor_only(client, town, who, status):
    """Eva stands above Ana, Bia below."""
    with unit_of_work():
        mark = pictures.keep(town.ana.id, b"a face").mark
        viewer = getattr(town, who, None) or a_promoter("Nobody of hers")
        user = a_user(Role.PROMOTER, promoter=viewer)
    sign_in(client, user)

    address = f"/promoter/faces/{ids.encode('prm', town.ana.id)}/{mark}.webp"

    assert client.get(address).status_code == status


# --- notices --------------------------------------------------------------------------------------


def test_channels_are_chosen_for_each_kind_and_quiet_hours_kept(client, ana, town):
    typed = {"money:in_app": "1", "team:mail": "1", "quiet_from": "1380", "quiet_until": "420"}

    client.post("/promoter/notices", data=typed)

    chosen = told.chosen(town.user.id)
    assert chosen[Kind.MONEY] == {Channel.IN_APP, Channel.WECHAT}  # WeChat is not offered here
    assert chosen[Kind.TEAM] == {Channel.MAIL}
    assert (fresh(town.user).quiet_from, town.user.quiet_until) == (1380, 420)
    client.post("/promoter/notices", data={"quiet_from": "", "quiet_until": "420"})
    assert (fresh(town.user).quiet_from, town.user.quiet_until) == (None, None)


def test_news_are_new_until_they_are_looked_at(client, ana, town):
    with unit_of_work():
        payload = {"promoter": 1, "name": "Lia"}
        events.record("promoter.joined", promoter_id=ana.id, payload=payload)
    with unit_of_work():
        telling.tell_some()

    before = client.get("/promoter/").text
    page = client.get("/promoter/news").text
    after = client.get("/promoter/").text

    assert [each.count('class="dot"') for each in (before, after)] == [1, 0]
    assert "Lia is in your team now" in page
    assert 'href="/promoter/team/"' in page


KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6S"
    "RpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}  # fmt: skip


@pytest.mark.parametrize(
    ("told_us", "status"),
    [
        ({"endpoint": "https://push.example/x", "keys": KEYS | {"auth": "AAAA"}}, 422),
        ({"endpoint": "https://push.example/x"}, 422),
        ({"endpoint": "https://127.0.0.1/x", "keys": KEYS}, 422),
        ({"endpoint": "http://203.0.113.9/x", "keys": KEYS}, 422),
        ({"endpoint": "https://1.1.1.1/x", "keys": KEYS}, 204),
        ([], 422),
    ],
    ids=["short key", "no keys", "private", "plain http", "good", "list"],
)
def test_a_browser_is_told_at_an_address_of_the_open_internet_only(client, ana, told_us, status):
    answer = client.post("/promoter/push", json=told_us)

    assert answer.status_code == status
    assert db.session.query(Subscription).count() == (status == 204)


def test_a_phone_is_told_nothing_once_they_are_signed_out_there(client, ana, town):
    client.post("/promoter/push", json={"endpoint": "https://1.1.1.1/x", "keys": KEYS})
    assert len(told.subscriptions_of(town.user.id)) == 1

    with unit_of_work():
        sessions.end_all(town.user.id)

    assert told.subscriptions_of(town.user.id) == []


def test_a_browser_that_another_signs_in_with_is_told_theirs_only(client, ana, town):
    sent = {"endpoint": "https://1.1.1.1/x", "keys": KEYS}
    client.post("/promoter/push", json=sent)
    with unit_of_work():
        other = a_user(Role.PROMOTER, promoter=town.bia)
    sign_in(client, other)

    client.post("/promoter/push", json=sent)

    assert [len(told.subscriptions_of(each.id)) for each in (town.user, other)] == [0, 1]


# --- one's data -----------------------------------------------------------------------------------


def unpack(answer):
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        return {
            name.removesuffix(".json"): json.loads(archive.read(name))
            for name in archive.namelist()
            if name.endswith(".json")
        }


def test_everything_about_oneself_is_in_the_file_and_nobody_else(client, ana, town):
    town.order(client)

    answer = client.get("/account/data.zip")

    found = unpack(answer)
    (account,) = found["account"]
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="tuike-')
    assert account["email"] == town.user.email
    assert found["links"][0]["code"] == town.link.code
    assert found["commissions"][0]["currency"] == "BRL"
    assert datetime.fromisoformat(found["commissions"][0]["at"])
    assert found["payouts"] == []
    everything = json.dumps(found)
    assert not [
        word for word in (BUYER["email"], BUYER["phone"], "Eva", "Bia") if word in everything
    ]


def test_a_file_is_made_a_few_times_an_hour(client, ana):
    answers = [client.get("/account/data.zip").status_code for _ in range(6)]

    assert answers == [200] * 5 + [429]


def test_nobody_is_erased_while_money_is_open(client, ana, town):
    town.order(client)

    page = client.get("/account/data")
    answer = client.post("/account/erase", data={"sure": "1"})

    assert answer.status_code == 409
    for each in (page.text, answer.text):
        assert "money that is not settled yet" in each
        assert "Casa Sol" in each
    assert fresh(town.user).erased_at is None


def test_who_acts_for_others_is_let_go_by_them_first(client):
    with unit_of_work():
        operator = a_user(Role.OPERATOR)
    sign_in(client, operator)

    assert client.post("/account/erase", data={"sure": "1"}).status_code == 409


def test_erasing_takes_the_name_from_the_person_and_leaves_the_tree_and_the_books(
    client, ana, town
):
    address, user_id = town.user.email, town.user.id
    with unit_of_work():
        pictures.keep(ana.id, b"a face")
    client.post("/promoter/push", json={"endpoint": "https://1.1.1.1/x", "keys": KEYS})
    with unit_of_work():
        events.record("device.added", user_id=user_id, payload={})
    with unit_of_work():
        telling.tell_some()

    answer = client.post("/account/erase", data={"sure": "1"})

    user, promoter = fresh(town.user), fresh(ana)
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert client.get("/promoter/").status_code == 303
    assert (user.name, user.email, user.disabled_at is None) == ("–", None, False)
    assert (promoter.name, promoter.email, promoter.profile) == ("–", None, {})
    assert promoter.suspended_at is not None
    assert promoter.sponsor_id == town.eva.id
    assert fresh(town.bia).sponsor_id == promoter.id
    assert pictures.of(promoter.id) is None
    for table in (Subscription, UserSession):
        assert db.session.query(table).filter_by(user_id=user_id).count() == 0
    for notice in db.session.scalars(sa.select(Notice).filter_by(user_id=user_id)):
        assert (notice.letter, notice.subject, address in notice.address) == (None, "", False)
    assert queries.user_by_email(address) is None


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"password": "correct horse battery"}, "Tick this"),
        ({"sure": "1", "password": "wrong"}, "not your present password"),
    ],
    ids=["not sure", "wrong password"],
)
def test_an_open_phone_is_not_its_owner(client, town, typed, words):
    with unit_of_work():
        user = a_user(Role.PROMOTER, promoter=town.bia, password="correct horse battery")
    sign_in(client, user)

    answer = client.post("/account/erase", data=typed)

    assert answer.status_code == 422
    assert words in answer.text
    assert db.session.get(User, user.id).erased_at is None
