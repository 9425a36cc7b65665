"""Where an open page hears of news: the address of its stream, and the right to connect there."""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request

from affiliate.config import Settings
from affiliate.consoles import session
from affiliate.live import channels, token
from affiliate.live.token import Ticket

HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


def init_app(app: Flask) -> None:
    app.jinja_env.globals["live_address"] = live_address


MERCHANTS = 20  # whose goods a page is told of; of the others it asks by itself


def live_address(merchants: Collection[int] = ()) -> str:
    """For `data-live` of what is to be fetched again, also when goods of these merchants change.
    Empty where nobody would tell: then the page asks by itself.
    """
    settings: Settings = current_app.config["SETTINGS"]
    channel = _channel()
    if channel is None or settings.live_port == 0 or (base := _base(settings)) is None:
        return ""
    also = tuple(channels.goods(each) for each in sorted(set(merchants))[:MERCHANTS])
    ticket = Ticket(session.current_person().user.id, channel, also)
    return f"{base}/live/{token.make(settings, ticket)}"


def _channel() -> str | None:
    place = session.current_place()
    if place.promoter_id is not None:
        return channels.promoter(place.promoter_id)
    return channels.merchant(place.merchant_id) if place.merchant_id is not None else None


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
