"""Files by the hash of their content, below the data folder. Written whole or not at all."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from flask import current_app

from affiliate import clock

NAME = re.compile(r"[0-9a-f]{64}\.(jpg|png|mp4|webm)")
MATERIAL = "material"  # what merchants uploaded
PICTURES = "pictures"  # what was fetched from shops
POSTERS = "posters"  # what can be drawn again
A_DAY = timedelta(days=1)


def put(folder: str, content: bytes, kind: str, key: str | None = None) -> str:
    """Its name: the hash of the content, or of what it was made from."""
    name = f"{key or hashlib.sha256(content).hexdigest()}.{kind}"
    path = _path(folder, name)
    if path.exists():
        return name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}")
    part.write_bytes(content)
    part.replace(path)
    return name


def path(folder: str, name: str) -> Path | None:
    """Where a file is; None if there is none, or the name is no name."""
    if not NAME.fullmatch(name):
        return None
    found = _path(folder, name)
    return found if found.is_file() else None


def used(file: Path) -> None:
    """Remember, to the day, that somebody wanted it."""
    if _touched(file) < clock.now() - A_DAY:
        os.utime(file)


def forget(folder: str, unused: timedelta) -> int:
    """Delete what nobody wanted for so long."""
    gone = 0
    for file in _all(folder):
        if _touched(file) < clock.now() - unused:
            file.unlink(missing_ok=True)
            gone += 1
    return gone


def _all(folder: str) -> Iterator[Path]:
    yield from (current_app.config["SETTINGS"].data / folder).glob("??/*")


def _touched(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, tz=clock.now().tzinfo)


def _path(folder: str, name: str) -> Path:
    data: Path = current_app.config["SETTINGS"].data
    return data / folder / name[:2] / name
