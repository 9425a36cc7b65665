"""The file that keeps every answered click."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate.links import spool
from affiliate.links.spool import Click, Spool

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
instants = st.datetimes(timezones=st.just(UTC))
CLICK = Click(b"0" * 16, NOON, 7, "203.0.113.9", "Chrome", "https://example.com/")


@pytest.fixture
def opened(tmp_path):
    made = []

    def make(**limits) -> Spool:
        made.append(Spool(tmp_path, **limits))
        return made[-1]

    yield make
    for each in made:
        each.close()


def click(number: int) -> Click:
    return Click(number.to_bytes(16), NOON, number)


def kept(folder) -> list[Click]:
    lines = [line for path in spool.segments(folder) for line in path.read_bytes().split(b"\n")]
    return [spool.decode(line) for line in lines if line]


@given(
    st.builds(
        Click,
        st.binary(min_size=16, max_size=16),
        instants,
        st.integers(0, 2**63 - 1),
        st.text(),
        st.text(),
        st.text(),
        st.booleans(),
    )
)
def test_whatever_a_visitor_sends_stays_one_line_of_the_same_click(sent):
    line = spool.encode(sent)
    found = spool.decode(line[:-1])

    assert line.count(b"\n") == 1
    assert (found.id, found.at, found.link_id, found.scanned) == (
        sent.id, sent.at, sent.link_id, sent.scanned
    )  # fmt: skip
    assert not {"\t", "\n", "\r", "\x00"} & set(found.user_agent + found.referrer + found.ip)


def test_ordinary_words_are_kept_as_they_are():
    sent = Click(os.urandom(16), NOON, 7, "2001:db8::1", "微信 Chrome", "https://例子.com/", True)

    assert spool.decode(spool.encode(sent)[:-1]) == sent


@given(st.integers(0, 200), st.binary(min_size=1, max_size=1))
def test_a_changed_byte_is_noticed(place, byte):
    line = spool.encode(CLICK)[:-1]
    place %= len(line)
    damaged = line[:place] + byte + line[place + 1 :]

    assert spool.decode(damaged) == (CLICK if damaged == line else None)


@given(st.integers(0, 100))
def test_a_torn_line_is_noticed(length):
    line = spool.encode(CLICK)[:-1]

    assert spool.decode(line[: length % len(line)]) is None


def test_threads_share_a_segment_and_lose_nothing(opened, tmp_path):
    mine = opened()
    threads = [
        threading.Thread(
            target=lambda base=base: [mine.append(click(base + n)) for n in range(200)]
        )
        for base in range(0, 1600, 200)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(spool.segments(tmp_path)) == 1
    assert sorted(each.link_id for each in kept(tmp_path)) == list(range(1600))


def test_a_segment_ends_at_its_size_and_another_begins(opened, tmp_path):
    mine = opened(bytes_max=300)
    for number in range(20):
        mine.append(click(number))

    assert len(spool.segments(tmp_path)) > 3
    # Segments begun in one millisecond stand in any order.
    assert sorted(each.link_id for each in kept(tmp_path)) == list(range(20))


def test_a_segment_ends_at_its_age_without_another_click(opened, tmp_path):
    mine = opened(seconds_max=0.1)
    mine.append(CLICK)

    assert _wait(lambda: spool.state(spool.segments(tmp_path)[0]).over)
    mine.append(CLICK)
    assert len(spool.segments(tmp_path)) == 2


def test_only_the_owner_s_death_or_end_makes_a_segment_over(opened, tmp_path):
    mine = opened()
    mine.append(CLICK)
    path = spool.segments(tmp_path)[0]

    assert not spool.state(path).over
    mine.close()
    assert spool.state(path).over


def test_an_unused_segment_leaves_nothing(opened, tmp_path):
    mine = opened()
    assert mine.open()

    mine.close()

    assert list(tmp_path.iterdir()) == []


def test_a_fork_gets_a_segment_of_its_own(tmp_path):
    # In a process of its own: this one has threads, and forking those is asking for trouble.
    program = """
import os, sys
from datetime import datetime, UTC
from pathlib import Path
from affiliate.links.spool import Click, Spool
folder = Path(sys.argv[1])
mine = Spool(folder)
mine.append(Click(b"0" * 16, datetime.now(UTC), 1))
child = os.fork()
mine.append(Click(b"1" * 16, datetime.now(UTC), 2 if child else 3))
if not child:
    os._exit(0)
os.waitpid(child, 0)
from affiliate.links import spool
print([spool.state(path).over for path in spool.segments(folder)], flush=True)
os.kill(os.getpid(), 9)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert sorted(eval(ran.stdout)) == [False, True], ran.stderr
    paths = spool.segments(tmp_path)
    assert all(spool.state(path).over for path in paths)
    assert sorted(path.read_bytes().count(b"\n") for path in paths) == [1, 2]
    assert sorted(each.link_id for each in kept(tmp_path)) == [1, 2, 3]


def test_a_segment_has_its_name_only_once_it_is_locked(opened, tmp_path, monkeypatch):
    seen = []
    rename = type(tmp_path).rename

    def watched(path, target):
        with path.open("rb") as file:
            seen.append(spool.is_over(file))
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", watched)
    opened().open()

    assert seen == [False]


def test_names_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path):
    old, young = tmp_path / "1.new", tmp_path / "2.new"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))

    spool.sweep(tmp_path)

    assert list(tmp_path.iterdir()) == [young]


def test_a_full_disk_loses_the_click_counts_it_and_says_no_more(opened, tmp_path, monkeypatch):
    mine = opened()
    lost = spool.LOST._value.get()
    monkeypatch.setattr(spool, "put", _full)

    assert [mine.append(CLICK) for _ in range(3)] == [False, False, False]
    assert spool.LOST._value.get() == lost + 3
    assert spool.segments(tmp_path) == []


def test_after_a_full_disk_clicks_are_kept_again(opened, tmp_path, monkeypatch):
    mine = opened()
    with monkeypatch.context() as full:
        full.setattr(spool, "put", _full)
        mine.append(click(1))
    mine._retry_at = 0.0

    assert mine.append(click(2))
    assert [each.link_id for each in kept(tmp_path)] == [2]


def test_a_write_cut_short_tears_one_segment_s_end_and_nothing_else(opened, tmp_path, monkeypatch):
    mine = opened()
    mine.append(click(1))
    put = spool.put
    cuts = iter([True])
    monkeypatch.setattr(
        spool, "put", lambda fd, line: put(fd, line[: 20 if next(cuts, False) else None])
    )

    assert mine.append(click(2))
    assert mine.append(click(3))
    first, second = spool.segments(tmp_path)
    assert first.read_bytes().startswith(spool.encode(click(1)))
    assert not first.read_bytes().endswith(b"\n")
    assert second.read_bytes() == spool.encode(click(2)) + spool.encode(click(3))


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    mine = Spool(tmp_path / "file" / "spool")

    assert not mine.open()
    assert not mine.append(CLICK)


def test_clicks_reach_the_disk_within_moments(opened, monkeypatch):
    synced = threading.Event()
    monkeypatch.setattr(spool, "_sync", lambda _: synced.set())

    opened().append(CLICK)

    assert synced.wait(5)


def test_the_folder_is_its_owner_s_alone(opened, tmp_path):
    mine = Spool(tmp_path / "spool")
    mine.append(CLICK)

    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    assert spool.segments(tmp_path / "spool")[0].stat().st_mode & 0o077 == 0
    mine.close()


def test_segments_sort_by_the_time_they_began(opened, tmp_path, clock):
    for days in (3, 1, 2):
        clock.stand(NOON + timedelta(days=days))
        mine = opened()
        mine.append(click(days))

    assert [each.link_id for each in kept(tmp_path)] == [1, 2, 3]


def test_two_readers_do_not_take_each_other_for_the_owner(opened, tmp_path):
    mine = opened()
    mine.append(CLICK)
    mine.close()
    path = spool.segments(tmp_path)[0]

    with path.open("rb") as one, path.open("rb") as other:
        fcntl.flock(one, fcntl.LOCK_SH)
        assert spool.is_over(other)


def _full(*_):
    raise OSError(28, "No space left on device")


def _wait(done, seconds=5.0) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()
