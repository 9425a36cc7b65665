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
# What stands in other people's pages keeps its address, so it must be asked for again some day.
A_DAY = "public, max-age=86400, stale-while-revalidate=604800"
WORTH_PACKING = (".css", ".js", ".svg")


def init_app(app: Flask) -> None:
    manifest = Path(app.static_folder or "") / FOLDER / "manifest.json"
    app.extensions["assets"] = json.loads(manifest.read_text())
    app.jinja_env.globals["asset"] = asset
    app.view_functions["static"] = _static
    app.add_url_rule("/affiliate.js", "affiliate_js", _affiliate)


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


def _affiliate() -> Response:
    """The script that shops put into their pages (docs/shops.md), to be loaded from any site."""
    assert current_app.static_folder
    packed = request.accept_encodings["gzip"] > 0
    name = current_app.extensions["assets"]["affiliate.js"]
    response = Response(_content(Path(current_app.static_folder) / FOLDER / name, packed))
    response.headers["Content-Type"] = "text/javascript; charset=utf-8"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = A_DAY
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.vary.add("Accept-Encoding")
    response.add_etag()
    response.make_conditional(request.environ)
    return response


@lru_cache(maxsize=128)
def _content(path: Path, packed: bool) -> bytes:
    """Read once for each process: there are few, they are small, and they do not change."""
    content = path.read_bytes()
    return gzip.compress(content, 9, mtime=0) if packed else content
