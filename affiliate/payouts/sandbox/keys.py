"""The two pairs of keys of `/wechat`, made once and kept beside the log.

`merchant.pem` is what a merchant would have from WeChat Pay's site, `platform.pem` its public key.
"""

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class Keys:
    number = "PUB_KEY_ID_SANDBOX"

    def __init__(self, folder: Path) -> None:
        self._merchant = _key(folder / "merchant.pem")
        self._platform = _key(folder / "provider.pem")
        self.merchant_pem = (folder / "merchant.pem").read_text()
        self.public_pem = (
            self._platform.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        (folder / "platform.pem").write_text(self.public_pem)

    def is_merchants(self, text: str, signature: str) -> bool:
        try:
            self._merchant.public_key().verify(
                base64.b64decode(signature), text.encode(), PKCS1v15(), SHA256()
            )
        except (ValueError, InvalidSignature):
            return False
        return True

    def signature(self, text: str) -> str:
        return base64.b64encode(self._platform.sign(text.encode(), PKCS1v15(), SHA256())).decode()

    def opened(self, sealed: str) -> str:
        """ValueError if it was sealed for somebody else."""
        padding = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303
        return self._platform.decrypt(base64.b64decode(sealed), padding).decode()


def _key(path: Path) -> RSAPrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = generate_private_key(public_exponent=65537, key_size=2048)
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    found = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(found, RSAPrivateKey)
    return found
