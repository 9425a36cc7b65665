"""A system of its own for one run: servers, schema, a merchant's shop, sellers with sponsors."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import flask_migrate

from affiliate import clock, config, create_app, embedded, ids
from affiliate.catalog import service as catalog
from affiliate.catalog.models import Shop
from affiliate.cli import publish
from affiliate.db import db, unit_of_work, with_migrations
from affiliate.intake.platforms import shopify
from affiliate.links import service as links
from affiliate.links import token
from affiliate.people import service as people
from affiliate.programs import service as programs
from affiliate.programs.models import Program
from affiliate.programs.rules import Offer

SELLERS = 200  # each below a sponsor of its own, who earns the second tier
SECRET = "shpss_a-secret-of-the-bench"


@dataclass(frozen=True)
class Scene:
    shop: Shop
    program: Program
    link_ids: list[int]

    @property
    def hook(self) -> str:
        return f"/hooks/{ids.encode('shp', self.shop.merchant_id, self.shop.id)}"


@contextmanager
def opened(ago: timedelta = timedelta(0), sellers: int = SELLERS) -> Iterator[Scene]:
    """Inside it an app context is active, and child processes find the servers by environment.

    Everybody in it has been there since `ago`, so that orders of that time can be told.
    """
    folder = Path(tempfile.mkdtemp(prefix="tuike-bench-"))
    (folder / "log").mkdir()
    before = dict(os.environ)
    try:
        with embedded.run(folder) as running:
            settings = running.settings(
                config.load(
                    data=folder,
                    database_url=None,
                    redis_url=None,
                    secret_key=None,
                    log_level="WARNING",
                )
            )
            publish(settings)
            os.environ["AFFILIATE_DATA"] = str(folder)
            os.environ["AFFILIATE_LOG_LEVEL"] = "WARNING"
            app = create_app(settings)
            with_migrations(app)
            with app.app_context():
                flask_migrate.upgrade()
                try:
                    with clock.moved(-ago):
                        found = set_up(sellers)
                    yield found
                finally:
                    db.session.remove()
                    db.engine.dispose()
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def set_up(sellers: int = SELLERS) -> Scene:
    """In a database without any."""
    with unit_of_work():
        merchant = people.create_merchant(
            "Bench", country="BR", currency="BRL", timezone="America/Sao_Paulo"
        )
        shop, _ = catalog.create_shop(
            merchant.id,
            platform="shopify",
            domain="bench.example.com",
            currency="BRL",
            country="BR",
            credentials={"webhook_secret": SECRET},
        )
        offer = Offer(default_rate_ppm=100_000, tiers_ppm=(30_000,))
        program = programs.create_program(merchant.id, name="Bench", offer=offer)
        found = [_seller(program, number) for number in range(sellers)]
    return Scene(shop, program, found)


def _seller(program: Program, number: int) -> int:
    sponsor_id: int | None = None
    for name in (f"Sponsor {number}", f"Seller {number}"):
        promoter = people.create_promoter(
            name,
            email=f"{name.replace(' ', '')}@example.com".lower(),
            country="BR",
            locale="pt-BR",
            sponsor_id=sponsor_id,
        )
        programs.enrol(program, promoter.id, by_merchant=True)
        sponsor_id = promoter.id
    url = "https://bench.example.com/"
    return links.create_link(program, promoter.id, url=url).id


def buyer(number: int) -> str:
    return f"buyer{number}@example.com"


def customer(number: int) -> str:
    return str(7_100_000_000_000 + number)


def external_id(number: int) -> str:
    return str(5_900_000_000_000 + number)


def line_id(number: int) -> str:
    return str(10_000_000 + number)


def clicked(scene: Scene, number: int, at: datetime) -> str:
    """The token that comes with this order."""
    link_id = scene.link_ids[number % len(scene.link_ids)]
    return token.make(link_id, at, number.to_bytes(8, "little"))


def webhook(
    scene: Scene, number: int, at: datetime | None = None, **changed: Any
) -> tuple[bytes, dict[str, str]]:
    """One paid order of one line, as Shopify sends and signs it: placed now, or at that instant."""
    return signed(paid_order(scene, number, at) | changed, f"bench-{number}")


def signed(
    told: dict[str, Any], delivery: str, topic: str = "orders/paid"
) -> tuple[bytes, dict[str, str]]:
    """The body and its headers."""
    body = json.dumps(told).encode()
    return body, {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": delivery,
        "X-Shopify-Hmac-Sha256": shopify.sign(SECRET, body),
    }


def paid_order(scene: Scene, number: int, at: datetime | None = None) -> dict[str, Any]:
    """One line, the sellers take turns, and each order has a buyer of its own."""
    at = at or clock.now()
    placed = at.isoformat()
    return {
        "id": int(external_id(number)),
        "name": f"#{number}",
        "created_at": placed,
        "updated_at": placed,
        "processed_at": placed,
        "cancelled_at": None,
        "test": False,
        "currency": "BRL",
        "taxes_included": True,
        "financial_status": "paid",
        "email": buyer(number),
        "customer": {"id": int(customer(number))},
        "note_attributes": [{"name": "tk", "value": clicked(scene, number, at)}],
        "total_discounts": "0.00",
        "total_price": "199.90",
        "shipping_lines": [],
        "line_items": [
            {
                "id": int(line_id(number)),
                "product_id": 77,
                "title": "Vestido",
                "quantity": 1,
                "price": "199.90",
                "tax_lines": [{"price": "20.00"}],
                "discount_allocations": [],
            }
        ],
        "refunds": [],
    }


def refunded(scene: Scene, number: int, at: datetime) -> tuple[bytes, dict[str, str]]:
    """The same order told again: a part of it was given back just now."""
    now = clock.now().isoformat()
    money_back = {"kind": "refund", "status": "success", "amount": "50.00", "currency": "BRL"}
    refund = {
        "id": 20_000_000 + number,
        "created_at": now,
        "processed_at": now,
        "refund_line_items": [],
        "transactions": [money_back],
    }
    changed = {"updated_at": now, "financial_status": "partially_refunded", "refunds": [refund]}
    return webhook(scene, number, at, **changed)
