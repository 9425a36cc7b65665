"""The command `affiliate`: which commands there are, and how their refusals look.

A feature's commands live in its own `cli.py`; they are loaded when asked for, so that the command
line starts quickly. Exit codes: 0 done, 1 a check failed, 2 wrong use.
"""

import importlib
import os
import sys
from typing import Any

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from affiliate import config, embedded, servers, shell
from affiliate.errors import AffiliateError

COMMANDS = {
    "up": "affiliate.up:up",
    "doctor": "affiliate.doctor:doctor",
    "serve": "affiliate.cli:serve",
    "work": "affiliate.cli:work",
    "clock": "affiliate.cli:clock",
    "clicks": "affiliate.cli:clicks",
    "live": "affiliate.cli:live",
    "db": "affiliate.cli:db",
    "demo": "affiliate.demo:demo",
    "bench": "affiliate.bench.cli:bench",
    "users": "affiliate.people.cli:users",
    "keys": "affiliate.people.cli:keys",
    "ledger": "affiliate.settlement.cli:ledger",  # where `close` is added to it
    "settle": "affiliate.settlement.cli:settle",
    "fx": "affiliate.fx.cli:fx",
    "sandbox-psp": "affiliate.payouts.sandbox.cli:sandbox_psp",
    "inbox": "affiliate.intake.cli:inbox",
    "orders": "affiliate.commissions.cli:orders",
}


class Commands(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _colon, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Refusals are one line that says what to do next; only our own mistakes show a trace."""
        try:
            return super().invoke(ctx)
        except config.BadSettings as error:
            _refuse(f"{error} (settings: docs/operate.md)", 2)
        except servers.CannotStart as error:
            _refuse(str(error), 1)
        except AffiliateError as error:
            _refuse("; ".join([str(error.message), *_fields(error)]), 1)
        except OperationalError as error:
            _refuse(f"the database does not answer: {error.orig}; `affiliate doctor` looks why", 1)
        except ProgrammingError as error:
            if "does not exist" not in str(error.orig):
                raise
            _refuse("the database is not of this version: run `affiliate db upgrade`", 1)


def _refuse(line: str, code: int) -> None:
    click.echo("affiliate: " + " ".join(line.split()), err=True)
    sys.exit(code)


def _fields(error: AffiliateError) -> list[str]:
    return [f"{each.pointer}: {each.message}" for each in error.errors if each.pointer]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tuike")
def main() -> None:
    """Tuike: social-distribution affiliate programs, self-hosted.

    `affiliate up` starts the whole system on this machine.
    """


@click.command()
@click.option("--host", envvar="AFFILIATE_HOST", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
def serve(host: str | None, port: int | None) -> None:
    """Run the web server, one process per core."""
    from affiliate import wsgi

    with embedded.within_reach(config.load(**given(host=host, port=port))) as settings:
        publish(settings)
        wsgi.serve(settings.host, settings.port)


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), help="Number of processes.")
def work(workers: int | None) -> None:
    """Run the job workers."""
    run("workers.run", workers=workers)


@click.command()
def clock() -> None:
    """Ring for the jobs whose time has come. One is enough; two do no harm."""
    run("workers.clock")


@click.command()
def clicks() -> None:
    """Write clicks from the spool to the database."""
    run("workers.clicks")


@click.command()
@click.option("--host", envvar="AFFILIATE_HOST", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port [the web server's + 1].")
def live(host: str | None, port: int | None) -> None:
    """Tell open pages when something comes in (server-sent events)."""
    from affiliate.live import server

    with embedded.within_reach(config.load(**given(host=host, live_port=port))) as settings:
        server.main(settings)


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def db(arguments: tuple[str, ...]) -> None:
    """Schema: `upgrade`, `current`, `check`, … (Flask-Migrate)."""
    from flask.cli import ScriptInfo
    from flask_migrate.cli import db as commands

    with shell.application():
        from flask import current_app

        from affiliate.db import with_migrations

        app = current_app._get_current_object()  # type: ignore[attr-defined]
        with_migrations(app)
        commands.main(
            list(arguments) or ["--help"],
            prog_name="affiliate db",
            obj=ScriptInfo(create_app=lambda: app),
        )


def run(module: str, **options: Any) -> None:
    """Run a process of workers/, which affiliate/ never imports: only its name is known here."""
    with embedded.within_reach(config.load(**given(**options))) as settings:
        publish(settings)
        importlib.import_module(module).main()


def given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def publish(settings: config.Settings) -> None:
    """For whatever makes its application from the environment, here and in forks of ours."""
    assert settings.secret_key
    os.environ.update(
        DATABASE_URL=str(settings.database_url),
        REDIS_URL=str(settings.redis_url),
        AFFILIATE_SECRET_KEY=settings.secret_key.get_secret_value(),
        AFFILIATE_WORKERS=str(settings.workers),
        AFFILIATE_HOST=settings.host,
        AFFILIATE_PORT=str(settings.port),
    )
