"""From the spool into the database."""

import random
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from affiliate import clock as time
from affiliate.db import db, unit_of_work
from affiliate.insight import queries, service, store
from affiliate.insight.store import segments, writing
from affiliate.links import spool
from affiliate.links.models import Click as Row
from affiliate.links.models import LinkDay, SpoolOffset
from affiliate.links.spool import Click, Spool
from tests.factories.links import a_link
from workers.clicks import Writer

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def mine(tmp_path):
    made = Spool(tmp_path)
    yield made
    made.close()


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path)


CHROME = (
    "Mozilla/5.0 (Linux; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Mobile Safari/537.36"
)


def click(number: int, *, link_id: int = 7, at: datetime = NOON, **fields) -> Click:
    """Each of somebody else."""
    given = {"ip": f"198.51.100.{number % 250}", "user_agent": CHROME} | fields
    return Click(number.to_bytes(16), at, link_id, **given)


def stored() -> list[int]:
    return sorted(int.from_bytes(each) for each in db.session.scalars(sa.select(Row.id)))


def days() -> dict[tuple[int, date], int]:
    return {
        (row.link_id, row.day): row.clicks
        for row in db.session.scalars(sa.select(LinkDay).execution_options(populate_existing=True))
    }


def offsets() -> dict[str, int]:
    found = sa.select(SpoolOffset.segment, SpoolOffset.bytes)
    return {row.segment: row.bytes for row in db.session.execute(found)}


def test_clicks_come_as_they_were_kept(mine, writer):
    mine.append(
        click(
            1, ip="203.0.113.9", user_agent="Chrome 微信", referrer="https://x.com/", scanned=True
        )
    )

    assert writer.drain() == 1

    row = db.session.scalars(sa.select(Row)).one()
    assert (row.id, row.at, row.link_id) == ((1).to_bytes(16), NOON, 7)
    assert (str(row.ip), row.user_agent) == ("203.0.113.9", "Chrome 微信")
    assert (row.referrer, row.scanned) == ("https://x.com/", True)


def test_a_growing_segment_is_read_on_from_where_it_was(mine, writer):
    mine.append(click(1))
    writer.drain()
    mine.append(click(2))
    mine.append(click(3))

    assert writer.drain() == 2
    assert writer.drain() == 0
    assert stored() == [1, 2, 3]


def test_days_are_counted_in_utc_and_per_link(mine, writer):
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    for number, (link_id, at) in enumerate(
        [(7, NOON), (7, NOON), (8, NOON), (7, midnight), (7, midnight - timedelta(seconds=1))]
    ):
        mine.append(click(number, link_id=link_id, at=at))

    writer.drain()

    assert days() == {
        (7, date(2026, 11, 22)): 3,
        (8, date(2026, 11, 22)): 1,
        (7, date(2026, 11, 23)): 1,
    }
    assert queries.clicks_of([7, 8, 9]) == {7: 4, 8: 1, 9: 0}
    assert queries.clicks_of([7], since=date(2026, 11, 23)) == {7: 1}


def test_a_segment_that_is_over_and_stored_is_forgotten_with_its_offset(mine, writer, tmp_path):
    mine.append(click(1))
    writer.drain()
    assert offsets()
    mine.close()

    writer.drain()

    assert spool.segments(tmp_path) == []
    assert offsets() == {}
    assert stored() == [1]


def test_a_growing_segment_is_not_forgotten(mine, writer, tmp_path):
    mine.append(click(1))

    writer.drain()

    assert len(spool.segments(tmp_path)) == 1


def test_a_click_that_comes_while_its_process_ends_is_not_forgotten(
    mine, writer, tmp_path, monkeypatch
):
    mine.append(click(1))
    is_over = spool.is_over

    def last_words(segment):
        mine.append(click(2))
        mine.close()
        return is_over(segment)

    with monkeypatch.context() as ending:
        ending.setattr(spool, "is_over", last_words)
        step = service.write_some(spool.segments(tmp_path)[0])

    assert (step.over, stored()) == (True, [1, 2])


def test_big_segments_are_read_in_stretches(mine, tmp_path):
    for number in range(50):
        mine.append(click(number))
    mine.close()
    path = spool.segments(tmp_path)[0]
    steps = [service.write_some(path, batch_bytes=500)]
    while steps[-1].more:
        steps.append(service.write_some(path, batch_bytes=500))

    assert len(steps) > 5
    assert sum(step.new for step in steps) == 50
    assert [step.over for step in steps] == [False] * (len(steps) - 1) + [True]
    assert stored() == list(range(50))


def test_a_torn_end_of_a_dead_process_is_passed_over(writer, tmp_path):
    line = spool.encode(click(1))
    (tmp_path / "00000000000001-1-aa.clicks").write_bytes(line + spool.encode(click(2))[:30])

    assert writer.drain() == 1
    assert spool.segments(tmp_path) == []
    assert offsets() == {}


def test_a_torn_end_of_a_living_process_waits_for_the_rest(writer, tmp_path):
    import fcntl

    line = spool.encode(click(1))
    with (tmp_path / "00000000000001-1-aa.clicks").open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line[:30])
        assert writer.drain() == 0
        file.write(line[30:])
        assert writer.drain() == 1

    assert stored() == [1]


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"\0" * 4096 + b"\n", id="zeros after a power cut"),
        pytest.param(b"\n\n\n", id="empty lines"),
        pytest.param(b"deadbeef\tx\ty\n", id="a wrong checksum"),
        pytest.param(spool.encode(click(1))[:40] + b"\n", id="half a line"),
        pytest.param("ÿ你好\r\n".encode("utf-16") + b"\n", id="another encoding"),
    ],
)
def test_damaged_lines_are_counted_and_hold_up_nothing(writer, tmp_path, rubbish):
    damaged = service.DAMAGED._value.get()
    whole = [spool.encode(click(1)), rubbish, spool.encode(click(2))]
    (tmp_path / "00000000000001-1-aa.clicks").write_bytes(b"".join(whole))

    assert writer.drain() == 2
    assert stored() == [1, 2]
    assert service.DAMAGED._value.get() > damaged


def test_rubbish_without_an_end_is_not_read_for_ever(tmp_path):
    path = tmp_path / "00000000000001-1-aa.clicks"
    path.write_bytes(b"x" * 5000 + b"\n" + spool.encode(click(1)))
    new, step = 0, service.Step(more=True)
    for _ in range(20):
        if step.more:
            step = service.write_some(path, batch_bytes=1000)
            new += step.new

    assert (new, step.over) == (1, True)


def test_an_address_no_database_takes_is_left_out(mine, writer):
    for number, ip in enumerate(["", "unknown", "1.2.3.4, 5.6.7.8", "fe80::1%eth0", "999.1.1.1"]):
        mine.append(click(number, ip=ip))

    writer.drain()

    assert stored() == list(range(5))
    found = db.session.scalars(sa.select(Row.ip).where(Row.ip.is_not(None)))
    assert [str(each) for each in found] == ["fe80::1"]


def test_far_off_clocks_stop_nobody(mine, writer):
    for number, year in enumerate([1, 1970, 1999, 2026, 2106, 9999]):
        mine.append(click(number, at=datetime(year, 6, 1, tzinfo=UTC)))

    assert writer.drain() == 6
    assert stored() == list(range(6))


def test_the_same_stretch_read_again_changes_nothing(mine, writer):
    mine.append(click(1))
    mine.append(click(2))
    writer.drain()
    db.session.execute(sa.delete(SpoolOffset))

    assert Writer(writer.folder).drain() == 0
    assert stored() == [1, 2]
    assert days() == {(7, NOON.date()): 2}


def test_an_idle_spool_costs_no_statement(mine, writer):
    mine.append(click(1))
    writer.drain()
    seen = []

    def note(_conn, _cursor, statement, *_):
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    writer.drain()
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert seen == []


def test_what_a_writer_left_behind_long_ago_is_forgotten():
    long_ago = int((time.now() - timedelta(days=31)).timestamp() * 1000)
    lately = int((time.now() - timedelta(days=29)).timestamp() * 1000)
    for begun in (long_ago, lately):
        db.session.add(SpoolOffset(segment=f"{begun:014d}-1-aa.clicks", bytes=1))
    db.session.flush()

    store.forget_old_offsets()

    assert list(offsets()) == [f"{lately:014d}-1-aa.clicks"]


def test_the_backlog_is_what_is_not_stored_yet(mine, writer):
    assert queries.backlog(writer.folder) == queries.Backlog(0, 0)
    mine.append(click(1))
    mine.append(click(2))
    size = len(spool.encode(click(1)) + spool.encode(click(2)))
    assert queries.backlog(writer.folder) == queries.Backlog(1, size)

    writer.drain()

    assert queries.backlog(writer.folder) == queries.Backlog(0, 0)


def test_a_spool_that_is_not_there_yet_is_empty(tmp_path):
    assert Writer(tmp_path / "nowhere").drain() == 0
    assert queries.backlog(tmp_path / "nowhere").bytes == 0


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(writer, tmp_path, monkeypatch):
    (tmp_path / "00000000000001-1-aa.clicks").mkdir()
    (tmp_path / "00000000000002-1-aa.clicks").write_bytes(spool.encode(click(1)))

    assert writer.drain() == 1
    assert writer.in_trouble


# --- really committed ------------------------------------------------------------------------


def test_only_one_writer_at_a_time_has_a_segment(committed, tmp_path):
    path = tmp_path / "00000000000001-1-aa.clicks"
    path.write_bytes(spool.encode(click(1)))

    with db.engine.begin() as other:
        lock = "SELECT pg_advisory_xact_lock(hashtextextended('spool/' || :name, 0))"
        other.execute(sa.text(lock), {"name": path.name})
        assert Writer(tmp_path).drain() == 0
        assert path.exists()

    assert Writer(tmp_path).drain() == 1
    assert not path.exists()


def test_a_batch_that_is_not_committed_leaves_no_trace(committed, tmp_path):
    path = tmp_path / "00000000000001-1-aa.clicks"
    path.write_bytes(spool.encode(click(1)))
    assert _write_and_fail(path) == 1

    assert (stored(), days(), offsets()) == ([], {}, {})
    assert Writer(tmp_path).drain() == 1
    assert (stored(), offsets()) == ([1], {})


@pytest.mark.parametrize(
    ("module", "moment"),
    [(store, "keep"), (writing, "_insert"), (segments, "advance"), (store, "forget")],
)
def test_a_connection_cut_at_any_moment_costs_a_round_and_no_click(
    committed, tmp_path, monkeypatch, module, moment
):
    """Before the first statement, before and after the COPY, and before the segment goes."""
    mine, writer = Spool(tmp_path), Writer(tmp_path)
    mine.append(click(1))
    writer.drain()
    mine.append(click(2))
    mine.close()
    function = getattr(module, moment)

    def cut(*arguments, **named):
        _cut_connections(committed)
        return function(*arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(module, moment, cut)
        writer.drain()
        assert writer.in_trouble

    writer.drain()
    assert not writer.in_trouble
    assert stored() == [1, 2]
    assert days() == {(7, NOON.date()): 2}
    assert list(tmp_path.iterdir()) == []


def test_a_connection_cut_after_the_insert_stores_the_batch_once(committed, tmp_path, monkeypatch):
    writer = Writer(tmp_path)
    (tmp_path / "00000000000001-1-aa.clicks").write_bytes(spool.encode(click(1)))
    keep = store.keep

    def keep_and_die(*arguments, **named):
        new = keep(*arguments, **named)
        _cut_connections(committed)
        return new

    with monkeypatch.context() as broken:
        broken.setattr(store, "keep", keep_and_die)
        assert writer.drain() == 0

    assert stored() == []
    assert writer.drain() == 1
    assert (stored(), days()) == ([1], {(7, NOON.date()): 1})


def _write_and_fail(path):
    step = None
    with suppress(RuntimeError), unit_of_work():
        step = service.write_some(path)
        raise RuntimeError
    return step.new


def _cut_connections(place):
    with sa.create_engine(place.database_url, poolclass=sa.NullPool).connect() as other:
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        others = " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        other.execute(sa.text(ours + others))


# --- partitions ------------------------------------------------------------------------------


def partition_of(at: datetime) -> str:
    find = sa.text("SELECT tableoid::regclass::text FROM clicks WHERE at = :at")
    return db.session.scalar(find, {"at": at})


def test_months_are_made_from_the_last_to_three_ahead_and_only_once(clock):
    clock.stand("2026-12-31T23:59:59Z")

    assert store.make_partitions() == [
        f"{table}_{month}"
        for table in ("clicks", "visits")
        for month in ("2026_11", "2026_12", "2027_01", "2027_02", "2027_03")
    ]
    assert store.make_partitions() == []
    clock.move(seconds=1)
    assert store.make_partitions() == ["clicks_2027_04", "visits_2027_04"]


def test_clicks_of_a_month_that_comes_late_move_into_it(mine, writer, clock):
    clock.stand("2026-11-22T12:00:00Z")
    for number, at in enumerate([NOON, NOON + timedelta(days=3650)]):
        mine.append(click(number, at=at))
    writer.drain()
    assert partition_of(NOON) == "clicks_default"

    store.make_partitions()

    assert partition_of(NOON) == "clicks_2026_11"
    assert partition_of(NOON + timedelta(days=3650)) == "clicks_default"
    assert stored() == [0, 1]
    mine.append(click(3, at=NOON + timedelta(seconds=1)))
    writer.drain()
    assert partition_of(NOON + timedelta(seconds=1)) == "clicks_2026_11"


def test_the_month_s_edges_are_in_utc(mine, writer, clock):
    clock.stand("2026-11-22T12:00:00Z")
    store.make_partitions()
    first = datetime(2026, 12, 1, tzinfo=UTC)
    last = first - timedelta(microseconds=1)
    mine.append(click(1, at=first))
    mine.append(click(2, at=last))

    writer.drain()

    assert partition_of(first) == "clicks_2026_12"
    assert partition_of(last) == "clicks_2026_11"


def test_two_at_once_make_each_month_once(app, committed):
    import threading

    made, errors = [], []

    def make():
        try:
            with app.app_context(), unit_of_work():
                made.extend(store.make_partitions())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert errors == []
    assert len(made) == len(set(made)) == 10


def test_the_job_makes_them_too(committed):
    from workers.clicks import make_partitions

    make_partitions()

    assert store.make_partitions() == []


# --- what is counted -------------------------------------------------------------------------

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CARD = "facebookexternalhit/1.1"


def reasons() -> dict[int, str | None]:
    found = db.session.execute(sa.select(Row.id, Row.reason))
    return {int.from_bytes(row.id): row.reason for row in found}


def after(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def check_counts():
    """What is counted equals what the rows say, for every link, merchant, promoter and value."""
    rows = """
        SELECT c.link_id, l.merchant_id, l.promoter_id, (c.at AT TIME ZONE coalesce(m.timezone, 'UTC'))::date AS day,
               c.reason IS NULL AS valid, c.visitor, c.scanned, coalesce(c.device, '') AS device,
               coalesce(c.os, '') AS os, coalesce(c.browser, '') AS browser,
               coalesce(c.app, '') AS app, coalesce(c.country, '') AS country,
               coalesce(c.language, '') AS language, date_bin('15 minutes', c.at, '2000-01-01Z') AS quarter
          FROM clicks c LEFT JOIN links l ON l.id = c.link_id LEFT JOIN merchants m ON m.id = l.merchant_id
    """  # noqa: E501
    counts = (
        "count(*), count(*) FILTER (WHERE valid),"
        " count(DISTINCT (link_id, day, visitor)) FILTER (WHERE valid AND visitor IS NOT NULL),"
        " count(*) FILTER (WHERE scanned AND valid)"
    )
    kept = "clicks, valid_clicks, visitors, scans"

    def same(table: str, key: str, grouped: str, where: str = "true", of: str = "true") -> None:
        counted = f"SELECT {grouped}, {counts} FROM ({rows}) r WHERE {of} GROUP BY {grouped}"
        stored = f"SELECT {key}, {kept} FROM {table} WHERE {where}"
        for one, other in ((counted, stored), (stored, counted)):
            assert db.session.execute(sa.text(f"({one}) EXCEPT ({other})")).all() == [], table

    same("link_days", "link_id, day", "link_id, day")
    known = "merchant_id IS NOT NULL"
    names = ("device", "os", "browser", "app", "country", "language")
    for name in names:
        where = f"dimension = '{name}' AND promoter_id = 0"
        same("click_days", "merchant_id, day, value", f"merchant_id, day, {name}", where, known)
        if name in ("device", "app", "country"):
            where = f"dimension = '{name}' AND promoter_id <> 0"
            same(
                "click_days", "merchant_id, promoter_id, day, value",
                f"merchant_id, promoter_id, day, {name}", where, known,
            )  # fmt: skip
    total = "dimension = 'total' AND promoter_id"
    same("click_days", "merchant_id, day", "merchant_id, day", f"{total} = 0", known)
    same(
        "click_days", "merchant_id, promoter_id, day", "merchant_id, promoter_id, day",
        f"{total} <> 0", known,
    )  # fmt: skip
    referrers = sa.text(
        "SELECT coalesce(sum(clicks), 0) FROM click_days WHERE dimension = 'referrer'"
    )
    whole = f"SELECT count(*) FROM ({rows}) r WHERE {known}"
    assert db.session.scalar(referrers) == db.session.scalar(sa.text(whole))
    # A visitor is counted with the first click of the day, so only those two are compared.
    counts, kept = "count(*), count(*) FILTER (WHERE valid)", "clicks, valid_clicks"
    same(
        "click_quarters", "merchant_id, at", "merchant_id, quarter",
        "promoter_id = 0 AND at > now() - interval '2 days'",
        f"{known} AND quarter > now() - interval '2 days'",
    )  # fmt: skip


def test_why_a_click_is_nobody_s_visit(mine, writer):
    clicks = [
        (1, {}, None),
        (2, {"user_agent": BOT}, "bot"),
        (3, {"user_agent": ""}, "bot"),
        (4, {"user_agent": CARD}, "preview"),
        (5, {"prefetched": True}, "prefetch"),
        (6, {"head": True, "scanned": True}, "head"),
        (7, {"ip": "unknown", "scanned": True}, None),
        (8, {"user_agent": "x" * 8192, "referrer": "not an address", "ip": "999.1.1.1"}, None),
    ]
    for number, fields, _ in clicks:
        mine.append(click(number, **fields))

    writer.drain()

    assert reasons() == {number: reason for number, _, reason in clicks}
    day = db.session.scalars(sa.select(LinkDay)).one()
    assert (day.clicks, day.valid_clicks, day.visitors, day.scans) == (8, 3, 1, 1)


@pytest.mark.parametrize("batches", [[[0, 1, 2, 3]], [[0], [1], [2], [3]], [[1], [0], [3], [2]]])
def test_of_two_taps_of_one_visitor_one_counts_in_whatever_order_they_come(mine, writer, batches):
    times = [0, 9, 40, 45]  # seconds
    for batch in batches:
        for number in batch:
            mine.append(click(number, at=after(times[number]), ip="198.51.100.1"))
        writer.drain()

    assert sorted(filter(None, reasons().values())) == ["repeat", "repeat"]
    day = db.session.scalars(sa.select(LinkDay)).one()
    assert (day.clicks, day.valid_clicks, day.visitors) == (4, 2, 1)


def test_a_visitor_is_told_by_link_browser_and_day(mine, writer):
    for number, fields in enumerate(
        [{}, {"link_id": 8}, {"user_agent": f"{CHROME} x"}, {"at": after(86_400)}]
    ):
        mine.append(click(number, **{"ip": "198.51.100.1"} | fields))

    writer.drain()

    assert set(reasons().values()) == {None}
    assert db.session.scalar(sa.select(sa.func.sum(LinkDay.visitors))) == 4


def test_what_is_counted_equals_the_rows(mine, writer, app):
    with unit_of_work():
        links = [a_link(), a_link()]
    rng = random.Random(7)
    desk = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"
    agents = [CHROME, BOT, CARD, f"{CHROME} Instagram 300.0", desk]
    for number in range(400):
        mine.append(
            click(
                number,
                link_id=rng.choice([links[0].id, links[1].id, 10**17]),
                at=time.now() - timedelta(seconds=rng.randrange(150_000)) * rng.choice([0, 1]),
                ip=rng.choice(["198.51.100.1", "2001:db8::1", "", "203.0.113.7"]),
                user_agent=(agent := rng.choice(agents)),
                referrer=rng.choice(["", "https://x.com/", "rubbish\\", "https://www.weibo.com/u"]),
                language={CHROME: "pt-BR,pt", desk: "zh"}.get(agent, "*"),
                scanned=rng.random() < 0.2,
            )
        )
        if number % 50 == 0:
            writer.drain()

    writer.drain()
    check_counts()
    db.session.execute(sa.delete(SpoolOffset))
    assert Writer(writer.folder).drain() == 0
    check_counts()
    gone = db.session.get(LinkDay, (10**17, time.now().date()))
    assert (gone.merchant_id, gone.clicks > 0) == (None, True)


# --- what is forgotten -----------------------------------------------------------------------


def test_after_thirty_days_only_the_network_of_an_address_stays(mine, writer, clock):
    clock.stand("2026-11-22T12:00:00Z")
    for number, ip in enumerate(["198.51.100.7", "2001:db8:1:2::3", "", "198.51.100.8"]):
        mine.append(click(number, ip=ip, at=NOON + timedelta(days=number // 3)))
    writer.drain()

    clock.stand("2026-12-22T12:00:01Z")
    while store.coarsen_addresses():
        pass

    kept = db.session.scalars(sa.select(sa.cast(Row.ip, sa.Text)).order_by(Row.id)).all()
    assert kept == ["198.51.100.0/24", "2001:db8:1::/48", None, "198.51.100.8/32"]


def test_old_months_go_and_what_was_counted_stays(mine, writer, clock):
    clock.stand("2026-11-22T12:00:00Z")
    store.make_partitions()
    for number, at in enumerate([NOON, NOON - timedelta(days=900), NOON + timedelta(days=900)]):
        mine.append(click(number, at=at))
    writer.drain()

    clock.stand("2027-12-01T00:00:00Z")
    assert [name for name in store.drop_old(months=13) if name.startswith("clicks")] == [
        "clicks_2026_10"
    ]
    clock.stand("2028-01-01T00:00:00Z")
    assert "clicks_2026_11" in store.drop_old(months=13)
    assert store.drop_strays(months=13) is False

    assert stored() == [2]
    assert sum(days().values()) == 3


def test_a_reader_is_not_waited_for_long_when_a_month_goes(committed, clock):
    clock.stand("2026-11-22T12:00:00Z")
    with unit_of_work():
        store.make_partitions()
    clock.stand("2028-11-22T12:00:00Z")
    with db.engine.begin() as reader:
        reader.execute(sa.text("SELECT count(*) FROM clicks"))
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"), unit_of_work():
            store.drop_old(months=13)


def test_quarters_of_an_hour_are_kept_for_three_days(mine, writer, clock):
    with unit_of_work():
        link = a_link()
    clock.stand("2026-11-22T12:00:00Z")
    mine.append(click(1, link_id=link.id))
    mine.append(click(2, link_id=link.id, at=NOON - timedelta(days=4)))
    writer.drain()
    count = sa.text("SELECT count(*) FROM click_quarters")
    assert db.session.scalar(count) == 2  # all of the merchant's, and the promoter's

    clock.stand("2026-11-25T12:00:01Z")
    assert store.forget_quarters() is False
    assert db.session.scalar(count) == 0
