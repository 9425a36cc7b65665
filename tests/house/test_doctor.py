"""`affiliate doctor` names what is wrong, says how to mend it, and changes nothing."""

import socket

import pytest
from click.testing import CliRunner

from affiliate.cli import main
from tests.house import system


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Asks the doctor about an empty data folder, with these settings."""
    for name, value in system.environment(tmp_path / "var").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AFFILIATE_PORT", str(system.free_port()))

    def ask(**settings: str) -> tuple[int, str]:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        told = CliRunner().invoke(main, ["doctor"])
        return told.exit_code, told.output

    return ask


@pytest.fixture
def outside(place):
    """The servers of the test run, as servers of one's own."""
    return place.environment


def test_a_healthy_machine_before_the_first_start(doctor, tmp_path):
    code, said = doctor()

    assert code == 0, said
    assert "holds nothing yet" in said
    assert "is free" in said
    assert not (tmp_path / "var").exists()


def test_a_healthy_system_on_outside_servers(doctor, outside):
    code, said = doctor(**outside | {"AFFILIATE_ALLOW_FUTURE": "0"})

    assert code == 0, said
    for healthy in ("PostgreSQL", "encoding: UTF8", "extensions:", "schema:", "Valkey", "clocks"):
        assert any(healthy in line for line in said.splitlines() if line.startswith("ok")), healthy


def test_a_busy_port_is_wrong(doctor):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said = doctor(AFFILIATE_PORT=str(taken.getsockname()[1]))

    assert code == 1
    assert "Address already in use" in said
    assert "PORT=" in said


def test_a_wrong_setting_is_named(doctor):
    code, said = doctor(AFFILIATE_PORT="eighty")

    assert code == 1
    assert "AFFILIATE_PORT" in said


def test_an_old_schema_is_wrong(doctor, outside, committed):
    from affiliate.db import db

    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001_tables'")

    code, said = doctor(**committed.environment)

    assert code == 1
    assert "WRONG  schema: 0001_tables" in said
    assert "→ affiliate db upgrade" in said


def test_servers_that_do_not_answer_are_wrong(doctor, outside):
    gone = f"127.0.0.1:{system.free_port()}"
    code, said = doctor(
        **outside | {"DATABASE_URL": f"postgresql://x@{gone}/x", "REDIS_URL": f"redis://{gone}"}
    )

    assert code == 1
    assert "WRONG  PostgreSQL:" in said
    assert "WRONG  Valkey:" in said


def test_a_future_clock_is_shown(doctor):
    code, said = doctor(AFFILIATE_ALLOW_FUTURE="1")

    assert code == 0
    assert "note   future clock" in said


def test_readable_secrets_are_wrong(doctor, tmp_path):
    folder = tmp_path / "var"
    folder.mkdir()
    (folder / "secrets.json").write_text("{}")
    (folder / "secrets.json").chmod(0o644)

    _, said = doctor()

    assert "WRONG  owner: others may read" in said
    assert "chmod 600" in said


def test_outside_servers_need_a_key(doctor, outside):
    code, said = doctor(DATABASE_URL=outside["DATABASE_URL"], REDIS_URL=outside["REDIS_URL"])

    assert code == 1
    assert "without AFFILIATE_SECRET_KEY" in said
