"""The pages that are open to everybody, and what machines ask of the instance."""

import sqlalchemy as sa
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from affiliate.db import db
from affiliate.ids import encode
from affiliate.intake.models import Event
from tests.factories.catalog import a_shop
from tests.factories.people import bearer


def test_the_front_page_says_what_this_is(client):
    page = client.get("/")

    assert page.status_code == 200
    assert "推客" in page.text
    assert 'href="/sign-in"' in page.text
    assert "Set-Cookie" not in page.headers


def test_the_process_is_alive_whatever_else_is(client, app, monkeypatch):
    monkeypatch.setitem(app.extensions, "redis", None)

    assert client.get("/livez").json == {"ok": True}


def test_ready_says_so_and_how_far_things_are_behind(client, clock):
    shop = a_shop()
    received = clock.stand("2026-11-22T10:00:00Z")
    for state in ("waiting", "waiting", "quarantined", "done"):
        db.session.add(
            Event(merchant_id=shop.merchant_id, shop_id=shop.id, dedup_key=str(len(db.session.new)),
                  order_key="1", topic="t", received_at=received, state=state)
        )  # fmt: skip
    db.session.flush()
    clock.move(seconds=90)

    ready = client.get("/readyz")

    assert ready.status_code == 200
    assert ready.json == {
        "ok": True, "database": "ok", "valkey": "ok", "schema": "ok",
        "inbox_waiting": 2, "inbox_quarantined": 1, "inbox_lag_seconds": 90,
        "spool_bytes_waiting": 0,
    }  # fmt: skip


def test_what_lies_in_the_spool_is_counted(client, app):
    folder = app.extensions["spool"].folder
    folder.mkdir(parents=True, exist_ok=True)
    segment = folder / "00000000000001-1-abc.clicks"
    segment.write_bytes(b"x" * 77)
    try:
        waiting = client.get("/readyz").json["spool_bytes_waiting"]
    finally:
        segment.unlink()

    assert waiting == 77


def test_without_valkey_it_is_not_ready(client, app, monkeypatch):
    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)

    ready = client.get("/readyz")
    nobody.close()

    assert ready.status_code == 503
    assert (ready.json["ok"], ready.json["valkey"]) == (False, "unreachable")


def test_with_another_schema_it_is_not_ready(client):
    db.session.execute(sa.text("UPDATE alembic_version SET version_num = '0000_older'"))
    db.session.flush()

    ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json["schema"].startswith("at 0000_older, wants ")


def test_without_a_database_it_is_not_ready(app, committed):
    key = f"aff_live_{encode('key', 1).removeprefix('key_')}_secret"
    db.session.remove()
    before = db.engines[None]
    db.engines[None] = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    try:
        ready = app.test_client().get("/readyz")
        api = app.test_client().get("/api/v1/me", headers=bearer(key))
    finally:
        db.engines[None].dispose()
        db.engines[None] = before

    assert ready.status_code == 503
    assert (ready.json["database"], ready.json["schema"]) == ("unreachable", "unreachable")
    assert (api.status_code, api.json["type"]) == (503, "/problems/unavailable")
    assert api.headers["Retry-After"] == "1"


def test_metrics_are_prometheus_text(client):
    page = client.get("/metrics")

    assert page.content_type.startswith("text/plain")
    assert "\ntuike_inbox_waiting 0.0\n" in page.text
    assert "tuike_spool_bytes_waiting" in page.text


def test_a_page_that_breaks_shows_no_details(app, monkeypatch):
    monkeypatch.setitem(app.view_functions, "public.home", lambda: 1 / 0)
    monkeypatch.setattr(app, "testing", False)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    page = app.test_client().get("/", headers={"Accept": "text/html"})

    assert page.status_code == 500
    assert "Something went wrong on our side." in page.text
    assert "division" not in page.text
    assert page.headers["X-Request-Id"] in page.text
