"""What a web server loads, and our own: granian, one process per core."""

import os

from flask import Flask

from affiliate import create_app, processes

THREADS = 8  # per process; more only wait for each other: 16 accept a quarter fewer webhooks


def make() -> Flask:
    """The application of one web process, from its environment."""
    processes.die_with(os.getppid())
    app = create_app()
    app.extensions["spool"].open()  # before the first click, so that no visitor waits for it
    processes.calm_collector()
    return app


def serve(host: str, port: int, *, target: str = "affiliate.wsgi:make") -> None:
    """Serve until SIGTERM or SIGINT. Exits with 1 when its processes keep dying."""
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    processes.let_forks_die_with_this()
    Server(
        target,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=os.cpu_count() or 1,
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        log_level=LogLevels.error,
    ).serve()
