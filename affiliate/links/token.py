"""The signed token `tk` that a redirect gives to the shop and that comes back with the order.

24 bytes as 32 URL-safe characters: key id (1), link id (8), issued at in seconds (4), nonce (3,
the first bytes of the click's id), MAC (8, of HMAC-SHA256). It says by itself which link was
followed and when, so an order can be attributed without the click's row.
"""

import base64
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from affiliate import security

KEY_ID = 1
NONCE_BYTES = 3
PURPOSE = "tokens"  # of the key
_MAC_BYTES = 8
_LATEST = 2**32 - 1  # seconds, in the year 2106
_FACTS = struct.Struct(">BQI3s")
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")


@dataclass(frozen=True, slots=True)
class Token:
    link_id: int
    issued_at: datetime
    nonce: bytes


def make(link_id: int, at: datetime, nonce: bytes) -> str:
    return sign(security.key(PURPOSE), link_id, int(at.timestamp()), nonce)


def sign(key: bytes, link_id: int, seconds: int, nonce: bytes) -> str:
    """The same for who has the key at hand."""
    facts = _FACTS.pack(KEY_ID, link_id, min(max(seconds, 0), _LATEST), nonce)
    mac = hmac.digest(key, facts, "sha256")[:_MAC_BYTES]
    return base64.urlsafe_b64encode(facts + mac).decode()


def read(text: str) -> Token | None:
    """What a token says; None for anything forged, altered, cut or made by another instance."""
    if not _SHAPE.fullmatch(text):
        return None
    raw = base64.urlsafe_b64decode(text)
    facts, mac = raw[: _FACTS.size], raw[_FACTS.size :]
    expected = hmac.digest(security.key(PURPOSE), facts, "sha256")[:_MAC_BYTES]
    if not hmac.compare_digest(mac, expected):
        return None
    key_id, link_id, seconds, nonce = _FACTS.unpack(facts)
    if key_id != KEY_ID:
        return None
    return Token(link_id, datetime.fromtimestamp(seconds, UTC), nonce)
