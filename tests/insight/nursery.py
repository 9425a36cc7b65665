"""A process that has imported everything and forks web servers and click writers when told to.

A fresh interpreter for every process that a test kills would cost two seconds each.
"""

import functools
import os
import signal
import socket
import sys

from flask import Flask

from affiliate import create_app
from affiliate.insight import service
from workers import clicks
from workers.context import application

DOORS: list[Flask] = []  # what visitors come to; a writer has none


def web(listener: socket.socket) -> None:
    from werkzeug.serving import make_server

    app = DOORS[0]
    app.extensions["spool"].open()
    app.extensions["links"].watch(app)
    make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno()).serve_forever()


def writer() -> None:
    # Small batches: a kill falls between two of one segment.
    service.write_some = functools.partial(service.write_some, batch_bytes=20_000)
    clicks.main()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    application()
    DOORS.append(create_app())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            child = os.fork()
            if child == 0:
                {"web": functools.partial(web, listener), "writer": writer}[line.strip()]()
                os._exit(0)
            print(child, flush=True)


main()
