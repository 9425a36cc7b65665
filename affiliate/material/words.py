"""What stands on a poster, in the buyer's language and with the numbers of the buyer's country."""

from affiliate import formats, i18n
from affiliate.catalog.markup import plain
from affiliate.i18n import _
from affiliate.links import captions, share
from affiliate.material.colours import SEAL
from affiliate.material.lettering import Lettering
from affiliate.material.posters import Poster
from affiliate.material.queries import Subject

TITLE_MOST = 300


def poster(subject: Subject, template: str, tag: str, letters: Lettering) -> Poster:
    """A title of which nothing can be drawn gives way to the shop's name."""
    shop = letters.drawable(plain(subject.shop))[:80]
    name = letters.drawable(plain(subject.promoter))[:60]
    offer = subject.offer
    with i18n.read_as(captions.nearest(tag, subject.country)):
        price = formats.price(offer.low) if offer and offer.low else ""
        if offer and offer.is_range and price:
            price = str(_("from %(price)s", price=price))
        saves = formats.price(offer.saves) if offer and offer.saves else ""
        return Poster(
            template=template,
            title=letters.drawable(plain(subject.title))[:TITLE_MOST] or shop,
            price=letters.drawable(price),
            before=letters.drawable(formats.price(offer.before)) if offer and offer.before else "",
            saves=letters.drawable(str(_("Save %(price)s", price=saves))) if saves else "",
            shop=shop,
            name=name,
            recommends=str(_("%(name)s recommends", name=name) if name else _("Recommended")),
            label=captions.label(tag).strip("[]【】"),
            invite=str(_("Scan, or hold to open")),
            url=share.scan_url(subject.short_url),
            color=subject.color or SEAL,
            picture=subject.picture,
            logo=subject.logo,
        )
