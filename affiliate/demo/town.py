"""The demo's stage: merchant, shops, programs, promoters and their links, each at its own time."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from affiliate import clock, security
from affiliate.catalog import queries as catalog
from affiliate.catalog import service as shops
from affiliate.catalog.models import Product, Shop
from affiliate.catalog.service import ProductFacts, VariantFacts
from affiliate.db import db
from affiliate.demo import people as log_ins
from affiliate.demo import story
from affiliate.demo.story import Listing, Person, Store
from affiliate.errors import Conflict
from affiliate.intake.coupons import wishes
from affiliate.links import service as links
from affiliate.payouts import service as payouts
from affiliate.people import agencies
from affiliate.people import service as people
from affiliate.people.models import Agency, Merchant, Promoter, User
from affiliate.programs import service as programs
from affiliate.programs.models import Enrolment, Program
from affiliate.programs.rules import Offer

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
DAYS = 90
SIGN_IN = ("xunian", "ana", "ximena", "leticia")  # promoters who may; Letícia is three levels down
MINIMUM_PAYOUT = 5_000
CLABE_WEIGHTS = (3, 7, 1)


@dataclass(frozen=True, slots=True)
class Spot:
    """A link where people meet it: who shared it, from when to when, how many follow."""

    link_id: int
    person: Person
    channel: int
    garment: str | None  # None: the shop's front page
    since: datetime
    until: datetime
    reach: float


@dataclass(slots=True)
class Town:
    now: datetime
    merchant_id: int
    agency: Agency
    desks: dict[str, User]
    shops: dict[str, Shop] = field(default_factory=dict)  # by store
    products: dict[tuple[str, str], Product] = field(default_factory=dict)  # by store and garment
    programs: dict[str, Program] = field(default_factory=dict)  # by country
    promoters: dict[str, Promoter] = field(default_factory=dict)  # by handle
    spots: list[Spot] = field(default_factory=list)

    @property
    def begin(self) -> datetime:
        return self.now - DAYS * DAY

    def day(self, number: float) -> datetime:
        return self.begin + number * DAY


class NotEmpty(Conflict):
    """The demo is for an empty database: elsewhere it would stand among real money."""

    code = "not_empty"


def refuse_unless_empty() -> None:
    if db.session.scalar(sa.select(Merchant.id).limit(1)) is not None:
        raise NotEmpty(
            "There are merchants in this database already, and the demo goes into an empty one:"
            " try it with another folder, AFFILIATE_DATA=/tmp/tuike-demo"
        )


def build(rng: random.Random, now: datetime) -> Town:
    refuse_unless_empty()
    with clock.at(now - DAYS * DAY - 2 * HOUR):
        town = _open(now)
    for person in story.PROMOTERS:
        _welcome(rng, town, person)
    for handle in story.APPLICANTS:
        with clock.at(now - 20 * HOUR):
            programs.enrol(town.programs["MX"], town.promoters[handle].id, by_merchant=False)
    handle, code = story.COUPON
    with clock.at(town.day(1)):
        wishes.create(
            town.programs["BR"],
            town.promoters[handle].id,
            code,
            [town.shops["br"].id],
            wishes.Terms(percent_ppm=100_000),
        )
    handle, day = story.SUSPENDED
    with clock.at(town.day(day)):
        people.suspend(town.promoters[handle])
    log_ins.let_in({handle: town.promoters[handle] for handle in SIGN_IN})
    return town


def _open(now: datetime) -> Town:
    merchant = people.create_merchant(
        story.BRAND,
        country="CN",
        currency="CNY",
        timezone="Asia/Shanghai",
        minimum_payout=MINIMUM_PAYOUT,
    )
    agency = agencies.create(story.AGENCY, country="BR")
    town = Town(now, merchant.id, agency, log_ins.hire(merchant.id, agency.id))
    for store in story.STORES:
        connect(town, store)
    cn = programs.create_program(
        merchant.id,
        name=story.PROGRAM_CN,
        offer=Offer(default_rate_ppm=120_000, hold_days=7, self_purchase="rebate"),
        shop_ids=[town.shops["cn"].id],
    )
    latin = programs.create_program(
        merchant.id,
        name=story.PROGRAM_LATIN,
        enrolment=Enrolment.APPROVAL,
        offer=Offer(
            default_rate_ppm=100_000,
            tiers_ppm=(30_000, 10_000),
            max_total_ppm=180_000,
            hold_days=7,
        ),
        shop_ids=[town.shops["br"].id, town.shops["mx"].id],
    )
    town.programs = {"CN": cn, "BR": latin, "MX": latin}
    programs.add_agency_rate(latin, agency.id, mode="own", ppm=20_000)
    tote = town.products["br", story.AGENCYS_OWN].id
    programs.add_agency_rate(latin, agency.id, mode="difference", ppm=150_000, product_id=tote)
    for rank, (name, needs) in enumerate(story.GRADES, start=1):
        programs.create_grade(merchant.id, name=name, rank=rank, needs=needs)
    garment, rate_ppm = story.FAVOURITE
    programs.set_product_rate(cn, town.products["cn", garment].id, rate_ppm)
    return town


def connect(town: Town, store: Store) -> None:
    secret = {} if store.platform == "standard" else {"webhook_secret": security.new_secret()}
    shop, _ = shops.create_shop(
        town.merchant_id,
        platform=store.platform,
        domain=store.domain,
        name=store.name,
        currency=store.currency,
        country=store.country,
        credentials=secret,
    )
    town.shops[store.key] = shop
    stored = shops.put_products(shop, [_product(store, each) for each in store.listings])
    for listing in store.listings:
        found = catalog.product(town.merchant_id, stored.ids[product_key(store, listing)])
        town.products[store.key, listing.garment] = found


def _product(store: Store, listing: Listing) -> ProductFacts:
    number = store.listings.index(listing)
    sized = () if listing.garment == "canvas-tote" else story.SIZES
    return ProductFacts(
        external_id=product_key(store, listing),
        title=listing.title,
        url=f"https://{store.domain}/products/{listing.garment}",
        image_url=f"/static/demo/{listing.garment}.svg",
        price=listing.price,
        category=listing.category,
        stock=listing.stock,
        variants=tuple(
            VariantFacts(
                external_id=f"{product_key(store, listing)}{place}",
                title=size,
                sku=f"SB{number + 1:02}-{size}",
                stock=listing.stock // len(sized),
            )
            for place, size in enumerate(sized)
        ),
    )


def product_key(store: Store, listing: Listing) -> str:
    """As the platform names its products: Shopify has long numbers."""
    return str(
        8_400_000_000_100 + 10 * store.listings.index(listing)
        if store.platform == "shopify"
        else listing.garment
    )


def _welcome(rng: random.Random, town: Town, person: Person) -> None:
    """Joins, is taken in, says where the money goes, and shares first links."""
    joined = town.day(person.joined)
    program = town.programs[person.country]
    sponsor = town.promoters[person.sponsor].id if person.sponsor else None
    mail = log_ins.address(person.handle) if person.handle in SIGN_IN else mailbox(person.handle)
    with clock.at(joined):
        promoter = people.create_promoter(
            person.name,
            email=mail,
            country=person.country,
            locale=store_of(person).locale,
            sponsor_id=sponsor,
        )
        town.promoters[person.handle] = promoter
        member = programs.enrol(program, promoter.id, by_merchant=False)
    with clock.at(joined + 5 * HOUR):
        if program.enrolment == Enrolment.APPROVAL:
            programs.approve(member)
        if person.handle not in story.WITHOUT_ACCOUNT:
            give_account(rng, town, person)
    if person.handle in story.WITH_AGENCY:
        with clock.at(joined + 5 * HOUR):
            agencies.join(town.agency, promoter)
    with clock.at(joined + 6 * HOUR):
        _share(rng, town, person)


def mailbox(name: str) -> str:
    return f"{name}@mail.example"


def store_of(person: Person) -> Store:
    return next(store for store in story.STORES if store.country == person.country)


def give_account(rng: random.Random, town: Town, person: Person) -> None:
    payouts.add_account(
        "promoter",
        town.promoters[person.handle].id,
        rail="file",
        country=person.country,
        currency=store_of(person).currency,
        fields={"account_holder": person.name} | _bank(rng, person.country),
    )


def _bank(rng: random.Random, country: str) -> dict[str, str]:
    number = f"{rng.randrange(10**11):011}"
    if country == "CN":
        where, account = ("示例银行", "999100000016"), f"621700{number}02"
    elif country == "BR":
        where, account = ("Banco Exemplo", "999"), f"{number[:8]}-{number[8]}"
    else:
        clabe = f"999180{number}"
        where, account = ("Banco Ejemplo", "999"), clabe + _check(clabe)
    fields = {"bank_name": where[0], "bank_code": where[1], "account_number": account}
    return fields | (
        {"branch": f"{number[7:]}-1", "account_type": "checking"} if country == "BR" else {}
    )


def _check(clabe: str) -> str:
    """The last digit of a Mexican account number, over its first seventeen."""
    digits = [int(digit) * CLABE_WEIGHTS[place % 3] % 10 for place, digit in enumerate(clabe)]
    return str(-sum(digits) % 10)


def _share(rng: random.Random, town: Town, person: Person) -> None:
    """A link to the front page, and some to garments, each in a channel of its own."""
    store = store_of(person)
    stopped = person.handle == story.SUSPENDED[0]
    until = town.day(story.SUSPENDED[1]) if stopped else town.now
    for channel in range(3 if person.reach > 3 else 2):
        garment = rng.choice(store.listings).garment if channel else None
        link = links.create_link(
            town.programs[person.country],
            town.promoters[person.handle].id,
            product=town.products[store.key, garment] if garment else None,
            url=None if garment else f"https://{store.domain}/",
            content=story.CONTENT[person.country][channel],
        )
        reach = person.reach * (0.5 if channel else 1.0) * rng.uniform(0.6, 1.4)
        town.spots.append(Spot(link.id, person, channel, garment, clock.now(), until, reach))
