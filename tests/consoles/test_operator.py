"""The operator's console: merchants, users with their one-time links, keys, and health."""

import re

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.catalog.models import Shop
from affiliate.consoles.operator import health
from affiliate.db import db, unit_of_work
from affiliate.ids import encode
from affiliate.intake.models import Event
from affiliate.jobs import Job
from affiliate.links import losses, probing
from affiliate.links.models import ShortDomain
from affiliate.links.spool import Lost
from affiliate.people.models import ApiKey, Grant, Merchant, Role, User
from tests.consoles.signed_in import sign_in
from tests.consoles.test_finance import STATEMENTS, statements
from tests.factories.people import a_key, a_merchant, a_user, an_agency, bearer

PAGES = (
    "/operator/", "/operator/merchants/", "/operator/merchants/new", "/operator/users/",
    "/operator/users/new", "/operator/keys/",
)  # fmt: skip


@pytest.fixture
def operator():
    with unit_of_work():
        return a_user(Role.OPERATOR)


@pytest.fixture
def desk(client, operator):
    """A client of the operator."""
    sign_in(client, operator)
    return client


def merchant_form(**typed):
    return {
        "name": "Casa Nova", "country": "br", "currency": "brl", "timezone": "America/Sao_Paulo",
        "payout_mode": "automatic", "minimum_payout": "50.00", "platform_fee": "2.5",
        "credit_limit": "",
    } | typed  # fmt: skip


def test_every_page_shows_and_asks_the_database_little(desk):
    with unit_of_work():
        merchant = a_merchant()
        for role in (Role.MERCHANT_OWNER, Role.MERCHANT_STAFF):
            a_key(role, merchant=merchant, user=a_user(role, merchant=merchant))

    for path in (*PAGES, f"/operator/merchants/{encode('mer', merchant.id)}"):
        with statements() as asked:
            answer = desk.get(path)

        assert answer.status_code == 200, path
        assert len(asked) <= STATEMENTS, f"{path}: {len(asked)}"


def test_lost_clicks_and_a_full_disk_stand_on_the_first_page(desk, monkeypatch):
    assert "of the last day" not in desk.get("/operator/").text
    with unit_of_work():
        losses.note(Lost(1200, "[Errno 28] No space left on device"))
    monkeypatch.setattr(health, "FEW_BYTES", 2**62)

    page = desk.get("/operator/").text

    assert "1200 clicks of the last day are lost" in page
    assert "No space left on device" in page
    assert "The disk is nearly full" in page


def test_a_stranger_is_asked_to_sign_in_on_every_page(client):
    for path in PAGES:
        assert client.get(path).location.startswith("/sign-in?next=/operator/")


@pytest.mark.parametrize("role", [Role.FINANCE_MAKER, Role.MERCHANT_OWNER, Role.AGENCY])
def test_for_everybody_else_there_is_no_such_console(client, role):
    with unit_of_work():
        merchant = a_merchant() if role is Role.MERCHANT_OWNER else None
        agency = an_agency() if role is Role.AGENCY else None
        sign_in(client, a_user(role, merchant=merchant, agency=agency))

    assert {client.get(path).status_code for path in PAGES} == {404}
    assert client.post("/operator/users/new", data={}).status_code == 404


# --- merchants ----------------------------------------------------------------------------------


def test_a_merchant_is_written_down_once_however_often_it_is_sent(desk):
    answers = [desk.post("/operator/merchants/new", data=merchant_form()) for _ in range(2)]

    assert [each.status_code for each in answers] == [303, 303]
    (row,) = db.session.scalars(sa.select(Merchant))
    assert (row.name, row.country, row.currency) == ("Casa Nova", "BR", "BRL")
    assert (row.minimum_payout, row.platform_fee_ppm, row.credit_limit) == (5000, 25000, None)
    assert "There is a merchant of this name already." in desk.get(answers[1].location).text


@pytest.mark.parametrize(
    ("field", "text"),
    [("name", " "), ("country", "ZZ"), ("currency", "XXQ"), ("timezone", "Mars/Olympus"),
     ("minimum_payout", "a lot"), ("minimum_payout", "-1"), ("platform_fee", "101"),
     ("payout_mode", "never")],
)  # fmt: skip
def test_a_merchant_that_cannot_be_is_refused_where_it_was_typed(desk, field, text):
    answer = desk.post("/operator/merchants/new", data=merchant_form(**{field: text}))

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.scalar(sa.select(Merchant.id)) is None


def test_terms_are_changed_unless_somebody_else_did_meanwhile(desk):
    with unit_of_work():
        merchant = a_merchant()
    path = f"/operator/merchants/{encode('mer', merchant.id)}"
    typed = merchant_form(credit_limit="1000", version="1")

    first = desk.post(path, data=typed)
    second = desk.post(path, data=typed | {"credit_limit": "2000"})

    db.session.refresh(merchant)
    assert (first.status_code, second.status_code) == (303, 412)
    assert "Somebody changed this merchant meanwhile." in second.text
    assert (merchant.credit_limit, merchant.country) == (100_000, "BR")
    assert desk.get("/operator/merchants/mer_x").status_code == 404


# --- users --------------------------------------------------------------------------------------


def test_somebody_is_let_in_by_a_link_that_is_shown_once(desk, app):
    with unit_of_work():
        merchant = a_merchant()
    typed = {
        "email": "Ana@Example.com", "name": "Ana 🌿", "role": "merchant_owner",
        "merchant": encode("mer", merchant.id),
    }  # fmt: skip

    page = desk.post("/operator/users/new", data=typed)

    link = re.search(r"<code>[^<]*(/welcome/[^<]+)</code>", page.text)[1]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert link not in desk.get("/operator/users/").text
    assert "Ana 🌿" in desk.get("/operator/users/?q=ana").text
    stranger = app.test_client()
    stranger.environ_base["HTTP_X_CSRFTOKEN"] = ""
    assert stranger.get(link).status_code == 200
    grant = db.session.scalar(sa.select(Grant).where(Grant.merchant_id == merchant.id))
    assert grant.role == "merchant_owner"


def test_sent_twice_it_is_one_user_with_one_role(desk):
    typed = {"email": "ana@example.com", "role": "finance_maker"}

    desk.post("/operator/users/new", data=typed)
    again = desk.post("/operator/users/new", data=typed)

    user_id = db.session.scalar(sa.select(User.id).filter_by(email="ana@example.com"))
    assert again.status_code == 303
    assert db.session.scalar(sa.select(sa.func.count()).where(Grant.user_id == user_id)) == 1


@pytest.mark.parametrize(
    "typed",
    [{"email": "ana", "role": "operator"}, {"email": "a@example.com", "role": "promoter"},
     {"email": "a@example.com", "role": "king"},
     {"email": "a@example.com", "role": "merchant_staff"},
     {"email": "a@example.com", "role": "merchant_staff", "merchant": "mer_x"}],
)  # fmt: skip
def test_who_cannot_be_let_in_is_refused_where_it_was_typed(desk, typed):
    before = db.session.scalar(sa.select(sa.func.count(User.id)))

    answer = desk.post("/operator/users/new", data=typed)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.scalar(sa.select(sa.func.count(User.id))) == before


def test_who_is_shut_out_is_signed_out_and_keeps_no_way_in(desk, app):
    with unit_of_work():
        user = a_user(Role.OPERATOR, email="ana@example.com", password="a long password")
        key = a_key(user=user)
    theirs = app.test_client()
    sign_in(theirs, user)
    path = f"/operator/users/{encode('usr', user.id)}"
    link = re.search(r"/welcome/[^<]+", desk.post(f"{path}/link").text)[0]

    for _ in range(2):
        assert desk.post(f"{path}/disable").status_code == 303

    assert theirs.get("/operator/").location.startswith("/sign-in")
    assert app.test_client().get("/api/v1/me", headers=bearer(key)).status_code == 401
    refused = desk.post(f"{path}/link")
    assert (refused.status_code, "Let them in again first." in refused.text) == (409, True)
    desk.post(f"{path}/enable")
    db.session.refresh(user)
    assert user.disabled_at is None
    assert (
        "used before or is too old" in theirs.get(link).text
        or "password" not in theirs.get(link).text
    )


def test_nobody_shuts_themselves_out(desk, operator):
    path = f"/operator/users/{encode('usr', operator.id)}"

    assert desk.post(f"{path}/disable").status_code == 409
    assert desk.get("/operator/").status_code == 200


# --- keys and health ----------------------------------------------------------------------------


def test_a_revoked_key_opens_nothing_and_leaves_the_list(desk, app):
    with unit_of_work():
        text = a_key(Role.OPERATOR)
    key = db.session.scalar(sa.select(ApiKey))
    path = f"/operator/keys/{encode('key', key.id)}/revoke"

    for _ in range(2):
        assert desk.post(path).status_code == 303

    assert app.test_client().get("/api/v1/me", headers=bearer(text)).status_code == 401
    assert key.hint not in desk.get("/operator/keys/").text
    assert key.hint in desk.get("/operator/keys/?state=revoked").text
    assert desk.post("/operator/keys/key_x/revoke").status_code == 404


def test_health_shows_what_waits_and_what_could_not_be_read(desk, clock):
    with unit_of_work():
        merchant = a_merchant("Casa Ana")
        shop = Shop(
            merchant_id=merchant.id, platform="standard", domain="s.example.com", name="S",
            currency="BRL", country="BR", credentials=b"",
        )  # fmt: skip
        db.session.add(shop)
        db.session.flush()
        wrong = {"code": "bad_amount", "pointer": "/total", "message": "is no amount"}
        for state, error in (("waiting", None), ("quarantined", wrong)):
            db.session.add(
                Event(merchant_id=merchant.id, shop_id=shop.id, dedup_key=state, order_key="o1",
                      topic="t", body=b"x", received_at=time.now(), state=state, error=error)
            )  # fmt: skip
    clock.move(minutes=7)

    text = desk.get("/operator/").text

    assert "Events wait too long" in text
    assert "is no amount" in text
    assert "Casa Ana" in text
    retried = desk.post("/operator/inbox/retry")
    assert "1 events are tried again." in desk.get(retried.location).text


def test_health_stands_when_valkey_does_not(desk, app, monkeypatch):
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)
    page = desk.get("/operator/")
    nobody.close()

    assert page.status_code == 200
    assert "Valkey does not answer" in page.text


def test_jobs_that_wait_are_counted(desk, app, valkey):
    from rq import Queue
    from rq.serializers import JSONSerializer

    Queue("money", connection=valkey, serializer=JSONSerializer).enqueue(str(Job.RELEASE))

    text = desk.get("/operator/").text

    assert re.search(r"Money</th><td class=\"end number\">1</td>", text)


def test_short_domains_are_added_chosen_and_blocked(desk, rung):
    where = "/operator/domains/"
    assert (
        desk.post(where, data={"address": "Go.Example.com", "countries": "br, mx"}).status_code
        == 303
    )
    assert (Job.PROBE_DOMAINS,) in rung
    domain = db.session.scalars(sa.select(ShortDomain)).one()
    assert (domain.address, domain.countries) == ("https://go.example.com", ["BR", "MX"])
    for typed, words in (
        ({"address": "go.example.com"}, "known already"),
        ({"address": "b.example/x"}, "without a path"),
        ({"address": "b.example", "countries": "Brazil"}, "no country BRAZIL"),
    ):
        refused = desk.post(where, data=typed)
        assert (refused.status_code in {409, 422}, words in refused.text) == (True, True)
    with unit_of_work():
        for fault in (None, "certificate", "certificate"):
            probing.note(domain.id, fault)

    page = desk.get(where).text
    assert "go.example.com does not lead to Tuike any more" in page
    assert "Its certificate is not valid" in page
    for what, state in (("default", "failing"), ("block", "blocked"), ("unblock", "failing")):
        assert (
            desk.post(f"{where}{encode('dom', domain.id)}", data={"what": what}).status_code == 303
        )
        db.session.refresh(domain)
        assert domain.state == state
    assert domain.is_default
    assert domain.probed_at is None
    assert desk.post(f"{where}dom_nothing").status_code == 404
