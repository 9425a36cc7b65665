"""The embedded servers: who owns a data folder, who joins, and what is left alone."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from redis import Redis
from redis.exceptions import AuthenticationError

from affiliate import config, embedded, processes, servers
from tests.house.system import ROOT, environment, wait

JOINER = """
    from affiliate import config, embedded

    with embedded.within_reach(config.load()) as settings:
        print(settings.database_url, flush=True)
        input()
"""


@pytest.fixture
def folder(tmp_path):
    embedded._make_folder(tmp_path / "var")
    return tmp_path / "var"


def settings(folder: Path) -> config.Settings:
    return config.load(data=folder)


def test_the_servers_are_closed_to_others(folder):
    with embedded.run(folder) as running:
        assert running.sockets.stat().st_mode & 0o077 == 0
        assert (folder / "secrets.json").stat().st_mode & 0o077 == 0
        assert (folder / "postgres").stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(running.sockets), user="tuike", password="guessed")
        with (
            Redis(unix_socket_path=f"{running.sockets}/valkey.sock", retry=None) as stranger,
            pytest.raises(AuthenticationError),
        ):
            stranger.get("anything")


def test_what_is_committed_survives_a_kill_of_both(folder):
    with embedded.run(folder) as running:
        engine = sa.create_engine(running.database_url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE kept AS SELECT 7 AS n"))
            assert connection.scalar(sa.text("SHOW fsync")) == "on"
        for child in running.children.values():
            child.kill()
            child.wait()
        system_left = json.dumps({"sockets": str(running.sockets)})
    (folder / "running.json").write_text(system_left)

    with embedded.run(folder) as running:
        engine = sa.create_engine(running.database_url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT n FROM kept")) == 7
            assert connection.scalar(sa.text("SHOW server_encoding")) == "UTF8"
            order = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'tuike'"
            assert connection.execute(sa.text(order)).one() == ("b", "C.UTF-8")


def test_a_second_process_joins_and_the_first_waits_for_it(folder):
    with embedded.within_reach(settings(folder)) as ours:
        joiner = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(JOINER)],
            cwd=ROOT,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert joiner.stdout
        assert joiner.stdout.readline().strip() == ours.database_url
        with pytest.raises(embedded.AlreadyRunning), embedded.owned(settings(folder)):
            pass
        assert not _free(folder / "users.lock")
        joiner.communicate("\n")
        assert joiner.returncode == 0

    assert _free(folder / "servers.lock")
    assert not (folder / "running.json").exists()


def _free(lock: Path) -> bool:
    with lock.open("a") as file:
        return embedded._try(file)


def test_a_server_left_over_is_ended_only_if_it_is_surely_ours(folder, monkeypatch):
    lock = os.open(folder / "servers.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    left = subprocess.Popen(["sleep", "60"], start_new_session=True, pass_fds=[lock])
    os.close(lock)
    known = processes.identity(left.pid)

    (folder / "running.json").write_text(json.dumps({"servers": [f"{known} of another boot"]}))
    with pytest.raises(servers.CannotStart, match="lsof"):
        embedded._clean_up(folder, seconds=0.3)
    assert left.poll() is None

    (folder / "running.json").write_text(json.dumps({"servers": [known]}))
    embedded._clean_up(folder, seconds=0.3)
    assert left.wait() == -9


def test_lost_secrets_are_said_and_not_replaced(folder):
    (folder / "postgres").mkdir()

    with (
        pytest.raises(servers.CannotStart, match="restore it from a backup"),
        embedded.run(folder),
    ):
        pass


def test_secrets_of_another_system_are_said(folder):
    with embedded.run(folder, durable=False, valkey=False):
        pass
    keys = json.loads((folder / "secrets.json").read_text())
    (folder / "secrets.json").write_text(json.dumps(keys | {"postgres": "another"}))

    with pytest.raises(servers.CannotStart, match="does not fit"), embedded.run(folder):
        pass


def test_data_of_another_major_version_is_left_alone(folder):
    embedded._write_secret(
        folder / "secrets.json", json.dumps({"secret_key": "s", "postgres": "p", "valkey": "v"})
    )
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(servers.CannotStart, match="PostgreSQL 14"), embedded.run(folder):
        pass


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(config.BadSettings, match="AFFILIATE_DATA"),
        embedded.owned(settings(tmp_path / "file" / "var")),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")
def test_root_without_user_namespaces_runs_the_servers_as_nobody(monkeypatch):
    monkeypatch.setattr(servers, "how", lambda: "dropped")
    room = Path(tempfile.mkdtemp(prefix="tuike-dropped-"))
    room.chmod(0o755)
    try:
        embedded._make_folder(room / "var")
        with embedded.run(room / "var", durable=False) as running:
            for child in running.children.values():
                status = Path(f"/proc/{child.pid}/status").read_text()
                assert f"Uid:\t{servers.nobody()[0]}\t" in status
            engine = sa.create_engine(running.database_url, poolclass=sa.NullPool)
            with engine.connect() as connection:
                assert connection.scalar(sa.text("SELECT 1")) == 1
    finally:
        shutil.rmtree(room)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")
def test_as_root_the_servers_hold_no_rights_over_others_files(folder):
    if servers.how() != "namespace":
        pytest.skip("no user namespaces here")
    with embedded.run(folder, durable=False) as running:
        for child in running.children.values():
            status = Path(f"/proc/{child.pid}/status").read_text()
            assert "CapEff:\t0000000000000000" in status
    wait(lambda: not running.sockets.exists())
