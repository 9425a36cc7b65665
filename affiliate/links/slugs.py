"""Slugs: words of one's own instead of a code, for links that are read out or printed."""

import re
import unicodedata
from collections.abc import Callable

from sqlalchemy.dialects.postgresql import insert

from affiliate.db import db
from affiliate.errors import Conflict, FieldError, invalid
from affiliate.i18n import _
from affiliate.links.models import Link, Slug

SHORTEST, LONGEST = 3, 40
_SHAPE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# Places of ours, and words that would make a link look like one of the instance's own pages.
RESERVED = frozenset(
    """
    account admin administrator affiliate agency api app apps assets auth billing blog by-code
    cart checkout confirm connect console contact css dashboard demo docs download email feeds
    file files finance forgot guanfang health healthz help home hooks img index invite invoice
    join joined js kefu kl legal livez login logout mail material merchant metrics mobile money
    new news null oauth official offline oficial operator password pay payment payout payouts
    privacy profile promoter rails readyz refund register reset robots root security settings shop
    shops sign-in sign-out signin signup sitemap soporte static status suporte support system team
    terms test tixian tuike undefined verify wallet webhook webhooks welcome well-known withdraw
    withdrawal www
    """.split()
)
# Of the four languages; whole words only, so that no honest name is hit by chance.
OFFENSIVE = frozenset(
    """
    anal anus asshole bastard bitch bollocks boob boobs cocaine cock cunt dick fag faggot fuck
    fucker fucking heroin hitler isis jizz kike milf nazi nazis nigger nigga nude nudes paki penis
    porn porno pussy rape rapist retard sex sexo shit slut suicide tits twat vagina viagra wank
    whore xxx
    cabron chinga chingar cono coger culero culo joder maricon mierda pendejo pinche polla puta
    puto verga zorra
    bosta boceta buceta cacete caralho foda foder fodase merda piranha piroca porra rola vadia
    viado
    caonima cao shabi sb nmsl tamade wangbadan jiba biaozi luoliao seqing
    """.split()
)


class SlugTaken(Conflict):
    code = "slug_taken"


def checked(text: str, *, is_code: Callable[[str], bool]) -> str:
    """As it is kept: full-width letters become plain ones, capitals small. `is_code` says of a word
    whether it is the code of a link, or will be one day.
    """
    slug = unicodedata.normalize("NFKC", text).strip().lower()
    if not SHORTEST <= len(slug) <= LONGEST or not _SHAPE.fullmatch(slug):
        message = _(
            "A word of your own has %(least)s to %(most)s letters a–z, digits and single hyphens.",
            least=SHORTEST,
            most=LONGEST,
        )
        raise invalid("/slug", "bad_slug", message)
    if slug in RESERVED or is_code(slug) or not OFFENSIVE.isdisjoint({slug, *slug.split("-")}):
        raise invalid("/slug", "reserved_slug", _("This word cannot be used. Choose another one."))
    return slug


def take(link: Link, slug: str) -> None:
    """From now on it leads to this link, for ever. Who is second of two at once is told."""
    new = insert(Slug).values(slug=slug, link_id=link.id).on_conflict_do_nothing()
    db.session.execute(new)
    if db.session.get_one(Slug, slug, populate_existing=True).link_id != link.id:
        message = _("“%(slug)s” is taken already. Choose another word.", slug=slug)
        raise SlugTaken(message, errors=(FieldError("/slug", "slug_taken", message),))
