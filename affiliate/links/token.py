"""The signed token `tk` that a redirect gives to the shop and that comes back with the order.

24 bytes as 32 URL-safe characters: key id (1), link id (8), issued at in seconds (4), nonce (3,
the first bytes of the click's id), MAC (8, of HMAC-SHA256). It says by itself which link was
followed and when, so an order can be attributed without the click's row.
"""

import binascii
import hmac
import os
import re
import struct
from base64 import urlsafe_b64decode
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from affiliate import security

IDS_AT_ONCE = 256
KEY_ID = 1
NONCE_BYTES = 3
PURPOSE = "tokens"  # of the key
_MAC_BYTES = 8
_LATEST = 2**32 - 1  # seconds, in the year 2106
_FACTS = struct.Struct(">BQI3s")
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ids: deque[bytes] = deque()


@dataclass(frozen=True, slots=True)
class Token:
    link_id: int
    issued_at: datetime
    nonce: bytes


def fresh_id() -> bytes:
    """Sixteen random bytes for a click. The system is asked for many at a time: each question
    hands the interpreter to another thread.
    """
    try:
        return _ids.popleft()
    except IndexError:
        drawn = os.urandom(16 * IDS_AT_ONCE)
        _ids.extend(drawn[at : at + 16] for at in range(16, len(drawn), 16))
        return drawn[:16]


os.register_at_fork(after_in_child=_ids.clear)  # or two processes would give the same


class Signer:
    """With its key taken in once."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    def sign(self, link_id: int, seconds: int, nonce: bytes) -> str:
        """The token; `seconds` since 1970."""
        facts = _FACTS.pack(KEY_ID, link_id, min(max(seconds, 0), _LATEST), nonce)
        mac = self._keyed.copy()
        mac.update(facts)
        whole = facts + mac.digest()[:_MAC_BYTES]
        return binascii.b2a_base64(whole, newline=False).translate(_URL_SAFE).decode()


def make(link_id: int, at: datetime, nonce: bytes) -> str:
    return Signer(security.key(PURPOSE)).sign(link_id, int(at.timestamp()), nonce)


def read(text: str) -> Token | None:
    """What a token says; None for anything forged, altered, cut or made by another instance."""
    if not _SHAPE.fullmatch(text):
        return None
    raw = urlsafe_b64decode(text)
    facts, mac = raw[: _FACTS.size], raw[_FACTS.size :]
    expected = hmac.digest(security.key(PURPOSE), facts, "sha256")[:_MAC_BYTES]
    if not hmac.compare_digest(mac, expected):
        return None
    key_id, link_id, seconds, nonce = _FACTS.unpack(facts)
    if key_id != KEY_ID:
        return None
    return Token(link_id, datetime.fromtimestamp(seconds, UTC), nonce)
