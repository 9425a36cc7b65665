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

from affiliate.i18n import _, language

FOLDER = "dist"
FOREVER = "public, max-age=31536000, immutable"
# What stands in other people's pages keeps its address, so it must be asked for again some day.
A_DAY = "public, max-age=86400, stale-while-revalidate=604800"
KEPT = ("app.css", "app.js", "htmx.js", "hx-sse.js", "favicon.svg", "icon-192.png")
WORTH_PACKING = (".css", ".js", ".svg")


def init_app(app: Flask) -> None:
    manifest = Path(app.static_folder or "") / FOLDER / "manifest.json"
    app.extensions["assets"] = json.loads(manifest.read_text())
    app.jinja_env.globals["asset"] = asset
    app.view_functions["static"] = _static
    app.add_url_rule("/affiliate.js", "affiliate_js", _affiliate)
    app.add_url_rule("/worker.js", "worker", _worker)
    app.add_url_rule("/manifest.webmanifest", "manifest", _manifest)


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


def _worker() -> Response:
    """The service worker, with what it keeps: the names of the built files are its version."""
    assert current_app.static_folder
    names = current_app.extensions["assets"]
    given = {"assets": [asset(name) for name in KEPT], "offline": url_for("public.offline")}
    source = _content(Path(current_app.static_folder) / FOLDER / names["worker.js"], False)
    response = Response(f"const GIVEN = {json.dumps(given)};\n".encode() + source)
    response.headers["Content-Type"] = "text/javascript; charset=utf-8"
    response.headers["Cache-Control"] = "no-cache"  # browsers look for a new one by themselves
    response.add_etag()
    response.make_conditional(request.environ)
    return response


def _manifest() -> Response:
    """What a phone needs to put us on its home screen."""
    sizes = {"icon-192.png": "192x192", "icon-512.png": "512x512"}
    icons = [
        {"src": asset(name), "sizes": size, "type": "image/png"} for name, size in sizes.items()
    ]
    maskable = {"src": asset("icon-maskable.png"), "sizes": "512x512", "type": "image/png"}
    places = [
        (_("Market"), url_for("promoter.market")),
        (_("My links"), url_for("promoter.links")),
        (_("Wallet"), url_for("promoter.wallet")),
    ]
    told = {
        "id": "/promoter/",
        "name": str(_("Tuike: share and earn")),
        "short_name": "Tuike",
        "lang": language(),
        "start_url": url_for("promoter.today"),
        "scope": "/",
        "display": "standalone",
        "theme_color": "#f2f5f4",
        "background_color": "#f2f5f4",
        "icons": [*icons, {**maskable, "purpose": "maskable"}],
        "shortcuts": [{"name": str(name), "url": url} for name, url in places],
    }
    response = Response(json.dumps(told, ensure_ascii=False))
    response.headers["Content-Type"] = "application/manifest+json; charset=utf-8"
    response.headers["Cache-Control"] = "no-cache"
    response.vary.update(("Accept-Language", "Cookie"))
    return response


@lru_cache(maxsize=128)
def _content(path: Path, packed: bool) -> bytes:
    """Read once for each process: there are few, they are small, and they do not change."""
    content = path.read_bytes()
    return gzip.compress(content, 9, mtime=0) if packed else content
