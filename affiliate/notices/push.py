"""Messages to browsers: Web Push (RFC 8030), its keys (VAPID, RFC 8292) and its sealing (RFC 8291).

The push service between us and the browser reads nothing: each message is encrypted for one
browser. Our key is derived from the instance's secret key, so there is nothing to configure.
"""

import json
import os
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from affiliate import clock, outside, security
from affiliate.config import Settings
from affiliate.notices.errors import NotSent
from affiliate.notices.models import Notice, Subscription
from affiliate.notices.queries import Text
from affiliate.outside import NotPublic, Unreachable

CURVE = ec.SECP256R1()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RECORD = 4096  # bytes, the most that every push service takes
WORDS = 600  # characters: with a title this stays far below
KEPT_SECONDS = 86_400  # by the push service, for a phone that is off
SIGNED_SECONDS = 12 * 3600
GONE = {404, 410}
LATER = {408, 425, 429}


def public_key() -> str:
    """What a browser subscribes with."""
    return security.b64url(_point(_key().public_key()))


def send(settings: Settings, notice: Notice, text: Text, to: Subscription) -> None:
    message = {
        "title": notice.subject,
        "words": text.plain.strip()[:WORDS],
        "path": notice.path or "/",
        "tag": f"n{notice.id}",
    }
    body = sealed(json.dumps(message, ensure_ascii=False).encode(), to.p256dh, to.auth)
    headers = {
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(KEPT_SECONDS),
        "Urgency": "normal",
        "Authorization": _authorization(settings, to.endpoint),
    }
    try:
        if not settings.push_anywhere:
            outside.check_public(to.endpoint)
        answer = outside.ask("POST", to.endpoint, headers=headers, body=body)
    except NotPublic as error:
        raise NotSent(str(error), for_good=True) from error
    except Unreachable as error:
        raise NotSent(str(error), for_good=False) from error
    if answer.status in GONE:
        raise Gone(f"the push service answered {answer.status}")
    if not answer.is_good:
        for_good = 400 <= answer.status < 500 and answer.status not in LATER
        raise NotSent(f"the push service answered {answer.status}", for_good=for_good)


class Gone(NotSent):
    """The browser takes no messages any more."""

    def __init__(self, trouble: str) -> None:
        super().__init__(trouble, for_good=True)


def sealed(clear: bytes, p256dh: bytes, auth: bytes) -> bytes:
    """One record of aes128gcm (RFC 8188) for one browser."""
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, p256dh)
    ours = ec.generate_private_key(CURVE)
    here = _point(ours.public_key())
    shared = ours.exchange(ec.ECDH(), theirs)
    keyed = _expand(shared, auth, b"WebPush: info\0" + p256dh + here, 32)
    salt = os.urandom(16)
    key = _expand(keyed, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _expand(keyed, salt, b"Content-Encoding: nonce\0", 12)
    record = AESGCM(key).encrypt(nonce, clear + b"\2", None)
    return salt + RECORD.to_bytes(4) + bytes([len(here)]) + here + record


def _authorization(settings: Settings, endpoint: str) -> str:
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(clock.now().timestamp()) + SIGNED_SECONDS,
        "sub": settings.address,
    }
    signed = f"{_part({'typ': 'JWT', 'alg': 'ES256'})}.{_part(claims)}"
    r, s = decode_dss_signature(_key().sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"vapid t={signed}.{security.b64url(r.to_bytes(32) + s.to_bytes(32))}, k={public_key()}"


def _part(what: dict[str, object]) -> str:
    return security.b64url(json.dumps(what, separators=(",", ":")).encode())


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(security.key("vapid")) % (ORDER - 1) + 1, CURVE)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _expand(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=salt, info=info).derive(secret)
