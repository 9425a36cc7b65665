"""What a web server loads, and our own: granian, one process per core."""

import os

from flask import Flask

from affiliate import create_app, processes

# Per process. Webhooks that arrive together are stored together, so more of them at once cost less
# each; and each thread may hold a connection of PostgreSQL.
THREADS = 24


def make() -> Flask:
    """The application of one web process, from its environment."""
    processes.die_with(os.getppid())
    app = create_app()
    app.extensions["spool"].open()  # before the first click, so that no visitor waits for it
    app.extensions["links"].watch(app)
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
        workers=processes.cores(),
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        log_level=LogLevels.error,
    ).serve()
