"""Public ids: a prefix that names the kind, and the keys as a hashid.

A tenant's row shows both of its keys, merchant and row, in one id, so an id alone leads to its
tenant. Hashids hide the counting; they are no protection, so every look-up checks the owner.
"""

from functools import cache, lru_cache

from flask import current_app
from hashids import Hashids

from affiliate.errors import NotFound

PREFIXES = {
    "mer": 1, "prm": 1, "dec": 1, "usr": 1, "key": 1, "agn": 1, "acc": 1, "pla": 1, "ses": 1,
    "shp": 2, "prd": 2, "var": 2, "prg": 2, "rul": 2, "enr": 2, "lnk": 2, "cpn": 2, "grp": 2,
    "ord": 2, "lin": 2, "ref": 2, "com": 2, "ent": 2, "stl": 2, "pay": 2, "wdr": 2, "pin": 2,
    "clm": 2, "inb": 2, "cnt": 1, "dom": 1, "trf": 2, "lac": 2, "fil": 2,
    "wof": 2, "exc": 2, "lim": 1, "dlg": 1,
    "txp": 1, "rem": 2, "inv": 2, "fxr": 1,
    "grd": 2, "agr": 2, "shr": 2, "rsk": 2, "sim": 2, "bkc": 2,
    "pgr": 2, "mat": 2, "cap": 2,
}  # fmt: skip


LONGEST = 64  # two numbers of 63 bits take 30 characters


@cache
def _hashids(salt: str) -> Hashids:
    return Hashids(salt=salt, min_length=8)


@lru_cache(maxsize=4096)
def _decoded(salt: str, text: str) -> tuple[int, ...]:
    keys: tuple[int, ...] = _hashids(salt).decode(text)
    return keys


def encode(prefix: str, *keys: int) -> str:
    """`encode("ord", merchant_id, order_id)` → `ord_…`."""
    assert len(keys) == PREFIXES[prefix], f"{prefix} takes {PREFIXES[prefix]} keys"
    return f"{prefix}_{_hashids(current_app.config['ID_SALT']).encode(*keys)}"


def decode(prefix: str, text: str) -> tuple[int, ...]:
    """The keys behind a public id; NotFound for anything we did not make."""
    head, _, tail = text.partition("_")
    is_ours = head == prefix and len(tail) <= LONGEST
    keys = _decoded(current_app.config["ID_SALT"], tail) if is_ours else ()
    if len(keys) != PREFIXES[prefix] or any(key >= 1 << 63 for key in keys):
        raise NotFound(f"There is no {prefix}_… with this id.")
    return tuple(keys)


def decode_one(prefix: str, text: str) -> int:
    return decode(prefix, text)[0]


def decode_pair(prefix: str, text: str) -> tuple[int, int]:
    merchant_id, row_id = decode(prefix, text)
    return merchant_id, row_id
