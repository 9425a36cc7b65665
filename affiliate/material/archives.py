"""Many files in one: the QR codes of a program's links, and a set of pictures with its words."""

import csv
import io
import re
from collections.abc import Iterator

from affiliate.exports import harmless
from affiliate.links import share
from affiliate.material import queries, service, store

QR_PIXELS = 1024
NAME_MOST = 60
_NOT_IN_NAMES = re.compile(r"[^\w-]+")


def qr_codes(
    merchant_id: int, program_id: int, promoter_id: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """A PNG for each link, and at the end a table of what is what."""
    look = queries.look(merchant_id)
    logo = service.logo_image(look.logo) if look else None
    rows = [("file", "name", "address")]
    for word, name, base in queries.links_in(merchant_id, program_id, promoter_id):
        file = f"{_slug(name)}-{word}.png" if _slug(name) else f"{word}.png"
        address = share.short_url(word, base)
        rows.append((file, harmless(name), address))
        yield file, share.png(share.scan_url(address), QR_PIXELS, logo)
    table = io.StringIO()
    csv.writer(table, lineterminator="\r\n").writerows(rows)
    yield "links.csv", table.getvalue().encode("utf-8-sig")


def set_of(merchant_id: int, material_id: int) -> Iterator[tuple[str, bytes]]:
    material = queries.material(merchant_id, material_id)
    for each in queries.files_of(merchant_id, [material_id])[material_id]:
        path = store.path(store.MATERIAL, each.file)
        if path is not None:
            yield f"{each.position}{path.suffix}", path.read_bytes()
    if material.text:
        yield "words.txt", material.text.encode()


def _slug(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip("-")[:NAME_MOST].strip("-")
