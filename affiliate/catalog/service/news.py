"""Whoever writes a product says so here: pages that show it ask again at once."""

from collections.abc import Iterable

from affiliate.live import channels


def changed(merchant_id: int, product_ids: Iterable[int]) -> None:
    """Once it is safely stored. Nothing is lost when nobody hears it: pages ask by themselves."""
    pages = [channels.product(merchant_id, each) for each in product_ids]
    if pages:
        # The merchant's own, the market of whoever may share from here, and the products' pages.
        channels.announce([channels.merchant(merchant_id), channels.goods(merchant_id), *pages])
