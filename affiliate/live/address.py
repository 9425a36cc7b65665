"""Where an open page listens: the address of its stream, and the right to connect there."""

import re
from urllib.parse import urlsplit

from flask import current_app, g, request

from affiliate.config import Settings
from affiliate.live import token
from affiliate.live.token import Ticket

HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


def stream(ticket: Ticket) -> str:
    """Empty where nobody would tell: then the page asks by itself."""
    settings: Settings = current_app.config["SETTINGS"]
    if settings.live_port == 0 or (base := _base(settings)) is None:
        return ""
    return f"{base}/live/{token.make(settings, ticket)}"


def _base(settings: Settings) -> str | None:
    """A proxy passes /live/ on; without one the process is beside us, at its own port."""
    if settings.public_url and not settings.live_url:
        return ""
    if settings.live_url:
        base = str(settings.live_url).rstrip("/")
    else:
        # The host is what this browser calls us. It goes into a header, so it must be plain.
        host = urlsplit(request.host_url).netloc.rsplit("@")[-1]
        name = host if host.endswith("]") else re.sub(r":\d+$", "", host)
        if not HOST.fullmatch(name):
            return None
        base = f"http://{name}:{settings.port_of_live}"
    g.connects_to = "{0.scheme}://{0.netloc}".format(urlsplit(base))
    return base
