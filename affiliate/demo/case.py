"""One busy month as the trade press tells of it: 3 000 promoters, ¥5 million, 30% commission.

About 33 000 orders come in by the shops' door: each is signed, checked, kept in the inbox and
booked by the same code as on any other day. Many units of work: broken off, it leaves what it did.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from affiliate import clock
from affiliate.catalog import service as catalog
from affiliate.catalog.models import Shop
from affiliate.catalog.service import Keys
from affiliate.commissions import service as commissions
from affiliate.commissions.models import Entry
from affiliate.db import db, unit_of_work
from affiliate.demo import bodies, story
from affiliate.demo import people as log_ins
from affiliate.demo import town as towns
from affiliate.demo.shopping import tk
from affiliate.demo.town import DAY, HOUR
from affiliate.intake import service as intake
from affiliate.intake.platforms import Knock, standard
from affiliate.links import service as links
from affiliate.money import decimal_text, spread
from affiliate.people import agencies
from affiliate.people import service as people
from affiliate.programs import service as programs
from affiliate.programs.models import Program
from affiliate.programs.rules import Offer

SEED = 3_000
PROMOTERS = 3_000
ORDERS = 33_000
REVENUE = 500_000_000  # of all those orders, in fen
RATE_PPM = 300_000
DAYS = 30
AGO = 45 * DAY  # when the month began: by now the hold of all its orders is over
REFUNDED = 0.04
BATCH = 500

Say = Callable[[str, int, int], None]  # what, done, of


class Sale(NamedTuple):
    number: int
    at: datetime
    amount: int
    place: int  # of the garment in the shop
    link_id: int


@dataclass(slots=True)
class Month:
    rng: random.Random
    begin: datetime
    shop: Shop
    program: Program
    links: list[int] = field(default_factory=list)


class Sums(NamedTuple):
    orders: int
    refunded: int
    revenue: int
    commission: int  # after refunds


def load(say: Say, *, orders: int = ORDERS, promoters: int = PROMOTERS) -> Sums:
    """Live through the month; `say` is told of the progress."""
    rng = random.Random(SEED)  # noqa: S311
    begin = clock.now().replace(microsecond=0) - AGO
    with unit_of_work(), clock.at(begin - DAY):
        month = _open(rng, begin)
    for done in _crowd(month, promoters):
        say("promoters", done, promoters)
    sales = _sales(month, orders)
    refunds = {at: sale for sale in sales if rng.random() < REFUNDED for at in [_regret(rng, sale)]}
    done = 0
    for end, webhooks in _days(month, sales, refunds):
        _knock(month, webhooks)
        with clock.at(end):
            intake.drain(month.shop.merchant_id, month.shop.id)
        done += len(webhooks)
        say("webhooks", done, len(sales) + len(refunds))
    while _release(month):
        pass
    return Sums(orders, len(refunds), sum(sale.amount for sale in sales), _commission(month))


def _open(rng: random.Random, begin: datetime) -> Month:
    towns.refuse_unless_empty()
    store = story.STORES[0]
    merchant = people.create_merchant(
        story.BRAND, country=store.country, currency=store.currency, timezone="Asia/Shanghai"
    )
    agency = agencies.create(story.AGENCY)
    town = towns.Town(begin, merchant.id, agency, log_ins.hire(merchant.id, agency.id))
    towns.connect(town, store)
    program = programs.create_program(
        merchant.id,
        name=story.PROGRAM_CN,
        offer=Offer(default_rate_ppm=RATE_PPM, hold_days=7, hold_fallback_days=7, base="gross"),
    )
    return Month(rng, begin, town.shops[store.key], program)


# --- promoters -------------------------------------------------------------------------------

FAMILY = "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "安宁一诺子涵雨桐思远嘉怡晓晨若曦明轩静姝清扬知行乐瑶"


def _crowd(month: Month, promoters: int) -> Iterator[int]:
    """Each below somebody who was there before, takes part, and has a link."""
    ids: list[int] = []
    for first in range(0, promoters, BATCH):
        with unit_of_work(), clock.at(month.begin):
            for number in range(first, min(first + BATCH, promoters)):
                sponsor = month.rng.choice(ids) if number % 20 else None
                ids.append(_join(month, number, sponsor))
        yield len(ids)


def _join(month: Month, number: int, sponsor_id: int | None) -> int:
    name = month.rng.choice(FAMILY) + "".join(month.rng.sample(GIVEN, 2))
    promoter = people.create_promoter(
        name,
        email=towns.mailbox(f"promoter{number}"),
        country="CN",
        locale="zh-Hans",
        sponsor_id=sponsor_id,
    )
    programs.enrol(month.program, promoter.id, by_merchant=False)
    link = links.create_link(month.program, promoter.id, url=f"https://{month.shop.domain}/")
    month.links.append(link.id)
    return promoter.id


# --- orders ----------------------------------------------------------------------------------


def _sales(month: Month, orders: int) -> list[Sale]:
    """Few promoters sell much, many a little; together exactly the month's revenue."""
    rng = month.rng
    sellers = [1 / (place + 5) for place in range(len(month.links))]
    chosen = rng.choices(month.links, sellers, k=orders)
    weights = [rng.choice((89, 129, 129, 149, 199, 299)) + rng.randrange(20) for _ in chosen]
    amounts = spread(REVENUE * orders // ORDERS, weights)
    times = sorted(month.begin + DAYS * DAY * rng.random() for _ in chosen)
    places = rng.choices(range(len(story.STORES[0].listings)), k=orders)
    numbered = enumerate(zip(times, amounts, places, chosen, strict=True), start=1)
    return [Sale(number, *each) for number, each in numbered]


def _regret(rng: random.Random, sale: Sale) -> datetime:
    return sale.at + rng.randrange(20, 6 * 24) * HOUR


def _days(
    month: Month, sales: Sequence[Sale], refunds: dict[datetime, Sale]
) -> Iterator[tuple[datetime, list[tuple[datetime, Sale, bool]]]]:
    """The webhooks of each day in the order in which they come, with the day's end."""
    webhooks = [(sale.at, sale, False) for sale in sales]
    webhooks += [(at, sale, True) for at, sale in refunds.items()]
    webhooks.sort()
    start = 0
    end = month.begin
    while start < len(webhooks):
        end += DAY
        stop = start
        while stop < len(webhooks) and webhooks[stop][0] < end:
            stop += 1
        if stop > start:
            yield end, webhooks[start:stop]
        start = stop


def _knock(month: Month, webhooks: Sequence[tuple[datetime, Sale, bool]]) -> None:
    """What `POST /hooks/…` does, many in one transaction: signature, then one row each."""
    (secret,) = catalog.webhook_secrets(month.shop)
    for first in range(0, len(webhooks), BATCH):
        with unit_of_work():
            for at, sale, refunded in webhooks[first : first + BATCH]:
                content = _body(sale, at if refunded else None)
                delivery = f"case-{sale.number}-{refunded:d}"
                headers = bodies.headers("standard", secret, content, delivery, at)
                knock = Knock(headers, content)
                with clock.at(at):
                    assert standard.signed(Keys((secret,)), knock)
                    intake.keep_with_others(month.shop, knock)


def _body(sale: Sale, refunded_at: datetime | None) -> bytes:
    price = decimal_text(sale.amount, "CNY")
    buyer = sale.number % 9000
    listing = story.STORES[0].listings[sale.place]
    at = sale.at.isoformat()
    told: dict[str, Any] = {
        "id": f"cn{sale.number}",
        "version": 2 if refunded_at else 1,
        "number": f"CN-{sale.number}",
        "status": "paid",
        "currency": "CNY",
        "tax_included": True,
        "created_at": at,
        "paid_at": at,
        "customer": {"id": f"c{buyer}", "email": towns.mailbox(f"buyer{buyer}")},
        "tk": tk(sale.link_id, sale.at - HOUR, sale.number.to_bytes(16)),
        "total": price,
        "lines": [
            {
                "id": "l1",
                "product_id": listing.garment,
                "title": listing.title,
                "category": listing.category,
                "quantity": 1,
                "unit_price": price,
                "tax": "0.00",
            }
        ],
    }
    if refunded_at:
        told["refunds"] = [{"id": "r1", "at": refunded_at.isoformat(), "amount": price}]
    return json.dumps({"type": "order.updated", "data": told}, ensure_ascii=False).encode()


# --- money -----------------------------------------------------------------------------------


def _release(month: Month) -> int:
    with unit_of_work():
        return commissions.release(month.shop.merchant_id, clock.now())


def _commission(month: Month) -> int:
    total = sa.select(sa.cast(sa.func.coalesce(sa.func.sum(Entry.amount), 0), sa.BigInteger))
    with unit_of_work():
        of = Entry.merchant_id == month.shop.merchant_id
        return db.session.scalars(total.where(of)).one()
