"""The ticket that opens one stream: signed, good for half a day, for the news of one place and of
what is looked at there.

It stands in an address, so it may be in a proxy's log. It shows only that something happened.
"""

from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from affiliate import security
from affiliate.config import Settings

LIVES_SECONDS = 12 * 3600
ANYBODY = 0  # the user of pages that are open to everybody


@dataclass(frozen=True, slots=True)
class Ticket:
    user_id: int
    channel: str
    also: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        return (self.channel, *self.also)


def make(settings: Settings, ticket: Ticket) -> str:
    return _signer(settings).dumps([ticket.user_id, *ticket.channels])


def read(settings: Settings, text: str) -> Ticket | None:
    """None when it is forged, too old, or none of ours."""
    try:
        user_id, channel, *also = _signer(settings).loads(text, max_age=LIVES_SECONDS)
    except (BadData, ValueError, TypeError):
        return None
    return Ticket(user_id, channel, tuple(also))


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    assert settings.secret_key
    secret = settings.secret_key.get_secret_value()
    return URLSafeTimedSerializer(security.derive(secret, "live"), salt="live")
