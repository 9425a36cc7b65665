"""The command line's manners: exit codes, and refusals of one line."""

import sys
from types import SimpleNamespace

import click
import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from affiliate import cli, config, servers
from affiliate.errors import NotFound, invalid


def run(monkeypatch, callback):
    command = click.Command("test", callback=callback)
    monkeypatch.setitem(sys.modules, "affiliate_test", SimpleNamespace(command=command))
    monkeypatch.setattr(cli, "COMMANDS", {"test": "affiliate_test:command"})
    return CliRunner().invoke(cli.main, ["test"])


def failing(error):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotFound("There is no ord_x."), 1, "affiliate: There is no ord_x.\n"),
        (invalid("/role", "unknown", "No such role."), 1, "/role: No such role."),
        (config.BadSettings("AFFILIATE_PORT: too big"), 2, "AFFILIATE_PORT: too big"),
        (servers.CannotStart("PostgreSQL does not start"), 1, "PostgreSQL does not start"),
        (
            sa.exc.OperationalError("", {}, psycopg.OperationalError("no\nroute")),
            1,
            "`affiliate doctor` looks why",
        ),
        (
            sa.exc.ProgrammingError("", {}, psycopg.errors.UndefinedTable("x does not exist")),
            1,
            "run `affiliate db upgrade`",
        ),
    ],
)
def test_a_refusal_is_one_line_on_stderr(monkeypatch, error, code, said):
    told = run(monkeypatch, failing(error))

    assert told.exit_code == code
    assert told.stdout == ""
    assert said in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_mistake_of_ours_shows_where_it_happened(monkeypatch):
    told = run(monkeypatch, failing(ZeroDivisionError()))

    assert isinstance(told.exception, ZeroDivisionError)


def test_wrong_use_exits_with_2():
    assert CliRunner().invoke(cli.main, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(cli.main, ["up", "--port", "0"]).exit_code == 2


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name):
    told = CliRunner().invoke(cli.main, [name, "--help"])

    assert told.exit_code == 0, told.output
    assert "Usage:" in told.output
