"""A tree of a million promoters, twenty deep: paths up, all below, moves, and orders from its end.

The levels double, so half of all stand at the end. One of them all, the star, brought a fifth of
those who should stand there; so there is also somebody with very many directly below.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import sqlalchemy as sa
from flask import current_app
from werkzeug.datastructures import Headers

from affiliate import clock
from affiliate.bench import scene
from affiliate.bench.counting import pages
from affiliate.bench.intake import drained
from affiliate.bench.scene import Scene
from affiliate.db import db, unit_of_work
from affiliate.intake import service as intake
from affiliate.intake.platforms import Knock
from affiliate.links import service as links
from affiliate.people import queries, sessions
from affiliate.people import service as people
from affiliate.people.models import Promoter, Role
from affiliate.people.sessions import Browser
from affiliate.programs import service as programs
from affiliate.programs.models import Program
from affiliate.programs.rules import Offer

DEEP = 20  # sponsors above those at the end
SELLERS = 500  # or fewer in a small tree
TOPS = 2  # levels whose people earn; between them and the sellers nobody is enrolled
STAR = 3  # the level of the star
NUMBERS = 100_000_000  # of the orders
ROUNDS = 5
MOVED_EVERY = 50  # one in fifty had another sponsor before


@dataclass(frozen=True)
class Tree:
    ids: list[range]  # of each level

    @property
    def star(self) -> int:
        return self.ids[STAR][0]

    @property
    def end(self) -> range:
        return self.ids[DEEP]


@dataclass
class Grown:
    promoters: int
    below: int = 0  # how many stand below the star
    direct: int = 0  # of them directly
    ms: dict[str, float] = field(default_factory=dict)
    pages: dict[str, float] = field(default_factory=dict)
    booked: float = 0
    booked_cpu: float = 0
    booked_pages: float = 0

    def measure(self, what: str, action: Callable[[], object]) -> None:
        """The fastest of some rounds, each a unit of work; and the pages of the last."""
        took = []
        for _ in range(ROUNDS):
            db.session.remove()
            with pages() as seen, unit_of_work():
                began = perf_counter()
                action()
                took.append(perf_counter() - began)
        self.ms[what], self.pages[what] = 1000 * min(took), seen.pages


def plant(promoters: int) -> Tree:
    """Written as rows, so that the triggers keep tree and history as they do for everybody."""
    first = 1 + (db.session.scalar(sa.select(sa.func.max(Promoter.id))) or 0)
    tree = Tree(_levels(promoters, first))
    above = [0, *(level[0] for level in tree.ids)]
    widths = [1, *map(len, tree.ids)]
    levels = {
        "levels": list(range(DEEP + 1)),
        "firsts": [level[0] for level in tree.ids],
        "lasts": [level[-1] for level in tree.ids],
        "above": above[:-1],
        "widths": widths[:-1],
        "star": tree.star,
        "deep": DEEP,
        "now": clock.now(),
        "last": tree.end[-1],
        "moved_every": MOVED_EVERY,
    }
    with unit_of_work():
        # The triggers write, foreign keys have nothing to find.
        db.session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for trigger in TRIGGERS:
            db.session.execute(sa.text(f"ALTER TABLE promoters ENABLE ALWAYS TRIGGER {trigger}"))
        db.session.execute(sa.text(PLANT), levels)
        db.session.execute(sa.text(MOVE), levels)
        sequence = sa.func.pg_get_serial_sequence("promoters", "id")
        db.session.execute(sa.select(sa.func.setval(sequence, tree.end[-1])))
        for trigger in TRIGGERS:
            db.session.execute(sa.text(f"ALTER TABLE promoters ENABLE TRIGGER {trigger}"))
        db.session.execute(sa.text("SET LOCAL session_replication_role = origin"))
    return tree


def _levels(promoters: int, first: int) -> list[range]:
    """Each as wide as all above it together, and nowhere empty."""
    ends = [
        max(level + 1, promoters * (2 ** (level + 1) - 1) // (2 ** (DEEP + 1) - 1))
        for level in range(DEEP + 1)
    ]
    return [
        range(first + start, first + end) for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


TRIGGERS = ("promoters_keep_tree", "promoters_write_sponsorship")

# Numbers by a hash, so that every run has the same tree.
_SPONSOR = "l.above + abs(hashint8extended({n}, {seed})) % l.width"
_LEVELS = """
    unnest(CAST(:levels AS bigint[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]),
           CAST(:above AS bigint[]), CAST(:widths AS bigint[]))
      AS l (level, first, last, above, width)
"""
PLANT = f"""
    INSERT INTO promoters (id, name, email, email_hash, country, locale, profile, version,
                           created_at, sponsor_id)
    OVERRIDING SYSTEM VALUE
    SELECT n, 'Promoter ' || n, 'p' || n || '@tree.example.com', decode(md5(n::text), 'hex'),
           'BR', 'pt-BR', '{{}}', 1,
           :now - interval '1 second' * (:last - n + 60),
           CASE WHEN level = 0 THEN NULL
                WHEN level = :deep AND n % 5 = 0 THEN :star
                ELSE {_SPONSOR.format(n="n", seed=1)} END
      FROM {_LEVELS} CROSS JOIN LATERAL generate_series(first, last) AS n
     ORDER BY n
"""
MOVE = f"""
    UPDATE promoters p
       SET sponsor_id = {_SPONSOR.format(n="p.id", seed=2)},
           sponsor_since = p.sponsor_since + interval '20 seconds'
      FROM {_LEVELS}
     WHERE p.id BETWEEN l.first AND l.last AND l.level > 1 AND p.id % :moved_every = 0
"""

# The planner must not see who is asked for: of a star it expects so many on each level that it
# reads the whole table for every one of them.
ALL_BELOW = sa.text("""
    WITH RECURSIVE below AS (
        SELECT id FROM promoters WHERE sponsor_id = (SELECT CAST(:top AS bigint))
        UNION ALL
        SELECT p.id FROM promoters p JOIN below ON p.sponsor_id = below.id
    )
    SELECT count(*) FROM below
""")


def measure(found: Scene, tree: Tree, orders: int, say: Callable[[str], None]) -> Grown:
    grown = Grown(promoters=tree.end[-1] - tree.ids[0][0] + 1)
    sellers = list(tree.end[-min(SELLERS, grown.promoters // 50) :])
    say("paths up, all below, moves")
    asked = [(seller, clock.now()) for seller in sellers]
    grown.measure("paths up of the sellers", lambda: queries.uplines(asked, levels=64))
    grown.measure("all below, counted", lambda: db.session.scalar(ALL_BELOW, {"top": tree.star}))
    with unit_of_work():
        grown.below = db.session.scalar(ALL_BELOW, {"top": tree.star}) or 0
        mine = sa.select(sa.func.count()).where(Promoter.sponsor_id == tree.star)
        grown.direct = db.session.scalar(mine) or 0
        user = people.create_user("star@example.com")
        people.grant(user, Role.PROMOTER, promoter_id=tree.star)
        secret = sessions.open_whole(user, Browser("127.0.0.1", "bench")).secret
    grown.measure("team page of the star", lambda: _team(secret))
    homes = (tree.ids[STAR - 1][-1], tree.ids[STAR - 2][0])
    grown.measure("a move of the star", lambda: _move(tree.star, homes))
    say("enrolling, and orders from the end of the tree")
    program, link_ids = _enrolled(found, tree, sellers, grown)
    deep = Scene(found.shop, program, link_ids)
    with unit_of_work():
        for number in range(NUMBERS, NUMBERS + orders):
            body, headers = scene.webhook(deep, number)
            intake.keep_with_others(found.shop, Knock(Headers(headers), body))
    with pages() as seen:
        done = drained(found, 1)
    grown.booked, grown.booked_cpu = done.per_second, 1000 * done.cpu_seconds / done.orders
    grown.booked_pages = seen.pages / orders
    return grown


def _team(secret: str) -> None:
    client = current_app.test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = secret
    answer = client.get("/promoter/team/")
    assert answer.status_code == 200, answer.status


def _move(promoter_id: int, homes: tuple[int, int]) -> None:
    """To the other of its two homes."""
    star = db.session.get_one(Promoter, promoter_id)
    people.move_sponsor(star, next(each for each in homes if each != star.sponsor_id))


def _enrolled(
    found: Scene, tree: Tree, sellers: list[int], grown: Grown
) -> tuple[Program, list[int]]:
    """Three levels are paid, and nobody between the sellers and the tops takes part: who looks for
    the second and third goes the whole way up.
    """
    offer = Offer(default_rate_ppm=100_000, tiers_ppm=(30_000, 20_000), inactive_upline="compress")
    with unit_of_work():
        program = programs.create_program(found.shop.merchant_id, name="Tree", offer=offer)
        for level in tree.ids[: TOPS + 1]:
            for promoter_id in level:
                programs.enrol(program, promoter_id, by_merchant=True)
    began = perf_counter()
    with unit_of_work():
        for promoter_id in sellers:
            programs.enrol(program, promoter_id, by_merchant=True)
    grown.ms["an enrolment"] = 1000 * (perf_counter() - began) / len(sellers)
    began = perf_counter()
    with unit_of_work():
        for number, sponsor_id in enumerate(sellers):
            joined = people.create_promoter(
                "New", email=f"new{number}@tree.example.com", sponsor_id=sponsor_id
            )
            programs.enrol(program, joined.id, by_merchant=True)
    grown.ms["joining below somebody"] = 1000 * (perf_counter() - began) / len(sellers)
    with unit_of_work():
        url = "https://bench.example.com/"
        made = [links.create_link(program, seller, url=url).id for seller in sellers]
    return program, made
