"""`/s/<code>/poster.jpg`, and the files that may be passed on. Open to everybody who has the
address: that of a file is the hash of its content.
"""

from flask import Blueprint, Response, request, send_file
from flask.typing import ResponseReturnValue

from affiliate import i18n
from affiliate.catalog import queries as catalog
from affiliate.db import AWAY
from affiliate.errors import NotFound
from affiliate.links import captions
from affiliate.links import queries as links
from affiliate.links.models import Link
from affiliate.links.views import later, unknown
from affiliate.material import service, store
from affiliate.material.posters import TEMPLATES

bp = Blueprint("material", __name__)

TYPES = {"jpg": "image/jpeg", "png": "image/png", "mp4": "video/mp4", "webm": "video/webm"}
FOREVER = "public, max-age=31536000, immutable"
# Even a file that pretends to be a page can do nothing.
NOTHING_ELSE = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox"

for kind in AWAY:
    bp.register_error_handler(kind, later)


@bp.get("/s/<code>/poster.jpg")
def poster(code: str) -> ResponseReturnValue:
    """In one of the templates and languages; the first and that of the market without a wish."""
    link = links.by_word(code)
    if link is None:
        return unknown()
    template = request.args.get("template", "")
    file = service.poster(link, template if template in TEMPLATES else FIRST, _tag(link))
    answer = send_file(file, mimetype="image/jpeg", etag=file.stem)
    answer.headers["Cache-Control"] = "public, no-cache"  # tomorrow it may cost something else
    return answer


@bp.get("/material/<name>")
def file(name: str) -> ResponseReturnValue:
    """With ranges, so that a video can be looked at before all of it has come."""
    found = store.path(store.MATERIAL, name)
    if found is None:
        raise NotFound
    answer: Response = send_file(found, mimetype=TYPES[found.suffix[1:]], etag=found.stem)
    answer.headers["Cache-Control"] = FOREVER
    answer.headers["Content-Security-Policy"] = NOTHING_ELSE
    return answer


FIRST = next(iter(TEMPLATES))


def _tag(link: Link) -> str:
    asked = request.args.get("lang", "")
    if asked in i18n.LANGUAGES:
        return asked
    return captions.language_of(catalog.shop(link.merchant_id, link.shop_id).country)
