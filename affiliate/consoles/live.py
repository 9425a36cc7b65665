"""Where an open page of a console hears of news: `data-live` of what is to be fetched again."""

from collections.abc import Collection

from flask import Flask

from affiliate.consoles import session
from affiliate.live import address, channels
from affiliate.live.token import Ticket


def init_app(app: Flask) -> None:
    app.jinja_env.globals["live_address"] = live_address


MERCHANTS = 20  # whose goods a page is told of; of the others it asks by itself


def live_address(merchants: Collection[int] = ()) -> str:
    """For `data-live` of what is to be fetched again, also when goods of these merchants change.
    Empty where nobody would tell: then the page asks by itself.
    """
    channel = _channel()
    if channel is None:
        return ""
    also = tuple(channels.goods(each) for each in sorted(set(merchants))[:MERCHANTS])
    return address.stream(Ticket(session.current_person().user.id, channel, also))


def _channel() -> str | None:
    place = session.current_place()
    if place.promoter_id is not None:
        return channels.promoter(place.promoter_id)
    return channels.merchant(place.merchant_id) if place.merchant_id is not None else None
