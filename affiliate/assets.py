"""Built files by their short names: `asset("app.css")`, kept by browsers for a year.

frontend/ has their sources, `make assets` builds them into static/dist/. A name holds the hash of
its content, so a file under one name never changes.
"""

import gzip
import json
import mimetypes
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, request, send_from_directory, url_for

FOLDER = "dist"
FOREVER = "public, max-age=31536000, immutable"
WORTH_PACKING = (".css", ".js", ".svg")


def init_app(app: Flask) -> None:
    manifest = Path(app.static_folder or "") / FOLDER / "manifest.json"
    app.extensions["assets"] = json.loads(manifest.read_text())
    app.jinja_env.globals["asset"] = asset
    app.view_functions["static"] = _static


def asset(name: str) -> str:
    """The address of a built file; KeyError for a name that no build made."""
    hashed = current_app.extensions["assets"][name]
    return url_for("static", filename=f"{FOLDER}/{hashed}")


def _static(filename: str) -> Response:
    folder, _, name = filename.rpartition("/")
    assert current_app.static_folder
    if folder != FOLDER or name not in current_app.extensions["assets"].values():
        return send_from_directory(current_app.static_folder, filename)
    packed = name.endswith(WORTH_PACKING) and request.accept_encodings["gzip"] > 0
    path = Path(current_app.static_folder) / FOLDER / name
    response = Response(_content(path, packed), mimetype=mimetypes.guess_type(name)[0])
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = FOREVER
    response.vary.add("Accept-Encoding")
    return response


@lru_cache(maxsize=128)
def _content(path: Path, packed: bool) -> bytes:
    """Read once for each process: there are few, they are small, and they do not change."""
    content = path.read_bytes()
    return gzip.compress(content, 9, mtime=0) if packed else content
