"""A small OpenID provider that speaks the real protocol: discovery, PKCE, a nonce, an id_token
signed RS256. `lie` changes what it says, one test at a time.
"""

import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.notices.gateways import Asked, Gateway, gateway

CLIENT, SECRET = "tuike", "a secret between us"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("one", "two"))


class Provider:
    def __init__(self) -> None:
        self.line: Gateway
        self.person: dict[str, object] = {
            "sub": "u1", "name": "Ana", "email": "ana@example.com", "email_verified": True,
        }  # fmt: skip
        self.lie: dict[str, object] = {}  # claims that differ from the truth; None leaves one out
        self.key = KEY
        self.codes: dict[str, dict[str, str]] = {}

    @property
    def issuer(self) -> str:
        return self.line.address

    def allow(self, address: str) -> str:
        """The person says yes on our page; where the browser is sent then."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        code = f"code{len(self.codes)}"
        self.codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state']})}"

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/allow",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        if asked.path == "/keys":
            return 200, KeySet([KEY]).as_dict(private=False)
        return self._token(asked)

    def _token(self, asked: Asked) -> tuple[int, object]:
        began = self.codes.pop(asked.form["code"], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(asked.form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            began is None
            or began["code_challenge"] != challenge
            or began["redirect_uri"] != asked.form["redirect_uri"]
            or asked.headers["Authorization"] != f"Basic {basic}"
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        truth = {"iss": self.issuer, "aud": CLIENT, "nonce": began["nonce"]}
        claims = self.person | truth | times | self.lie
        told = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": "one"}
        return 200, {"id_token": jwt.encode(header, told, self.key), "token_type": "Bearer"}


@contextmanager
def openid_provider() -> Iterator[Provider]:
    provider = Provider()
    with gateway(provider.answer) as line:
        provider.line = line
        yield provider
