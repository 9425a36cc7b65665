"""Keys and what is done with them: derived keys, sealed columns, keyed hashes, passwords.

One secret key per instance; everything else is derived from it by HKDF (RFC 5869), so a backup of
the database without the secret shows nothing it should not.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

KEY_ID = 1  # stands before every sealed value, so that keys can be rotated later

# OWASP's second recommended setting: a log-in costs about 40 ms and 46 MiB.
_hasher = PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1)


class Sealed(ValueError):
    """A sealed value that this instance's key does not open."""


def derive(secret: str, purpose: str) -> bytes:
    """32 bytes for one purpose only."""
    return HKDF(SHA256(), 32, salt=None, info=f"tuike/{purpose}".encode()).derive(secret.encode())


def key(purpose: str) -> bytes:
    keys: dict[str, bytes] = current_app.extensions["keys"]
    if purpose not in keys:
        keys[purpose] = derive(current_app.config["SECRET_KEY"], purpose)
    return keys[purpose]


def seal(clear: bytes, *, place: str) -> bytes:
    """AES-256-GCM. `place` (table.column) is authenticated, so values cannot be swapped around."""
    nonce = os.urandom(12)
    return bytes([KEY_ID]) + nonce + AESGCM(key("columns")).encrypt(nonce, clear, place.encode())


def unseal(sealed: bytes, *, place: str) -> bytes:
    if len(sealed) < 29 or sealed[0] != KEY_ID:
        raise Sealed("not a value sealed with a key we have")
    try:
        return AESGCM(key("columns")).decrypt(sealed[1:13], sealed[13:], place.encode())
    except InvalidTag as error:
        raise Sealed("the secret key of this instance does not open this value") from error


def keyed_hash(value: str, *, purpose: str) -> bytes:
    """16 bytes that stand for a value nobody should read: a buyer's e-mail, a bank account."""
    return hmac.digest(key(f"hash/{purpose}"), value.encode(), "sha256")[:16]


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def password_fits(stored: str | None, password: str) -> bool:
    """Takes equally long whether or not there is such a user."""
    try:
        return _hasher.verify(stored or _nobody(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """Made at the first need: at every start of every process it would cost a tenth of a second."""
    return _hasher.hash(secrets.token_hex(16))


def new_secret() -> str:
    """43 URL-safe characters, 256 bits."""
    return secrets.token_urlsafe(32)


def fingerprint(secret: str) -> bytes:
    """For random secrets (API keys, one-time links): nothing to stretch, so plain SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compared in constant time."""
    as_bytes = [each.encode() if isinstance(each, str) else each for each in (left, right)]
    return hmac.compare_digest(*as_bytes)


def any_same(given: bytes, wanted: Iterable[bytes]) -> bool:
    """Whether it is one of these; takes as long whichever it is."""
    good = False
    for each in wanted:
        good |= hmac.compare_digest(given, each)
    return good


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
