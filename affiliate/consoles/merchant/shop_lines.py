"""What a shop's owner copies into the shop, so that tokens find their way into its orders."""

from dataclasses import dataclass

from affiliate import ids
from affiliate.catalog import queries as catalog
from affiliate.catalog.models import Platform, Shop
from affiliate.catalog.platforms import connection
from affiliate.programs import queries as programs

# Whose pages the script knows to hand over to by itself or by a hidden field of a form.
WITH_PAGES = {Platform.SHOPIFY, Platform.TIENDANUBE, Platform.STANDARD, Platform.SHOPLAZZA,
              Platform.SHOPLINE}  # fmt: skip
PIXEL = """\
for (const name of ["checkout_started", "checkout_completed"]) {
  analytics.subscribe(name, async ({ data: { checkout } }) => {
    const tk = (await browser.cookie.get("tuike")) || (await browser.localStorage.getItem("tuike"));
    if (!tk || !checkout.token) return;
    fetch("%s/checkouts", {
      method: "POST",
      keepalive: true,
      body: JSON.stringify({ checkout: checkout.token, tk }),
    });
  });
}
"""


EXAMPLE = """\
SECRET=whsec_...
BODY='{"type":"order.updated","data":{"id":"1001","version":1,"status":"paid","currency":"CURRENCY",
  "created_at":"'$(date -u +%FT%TZ)'","paid_at":"'$(date -u +%FT%TZ)'","tk":"TOKEN","total":"10.00",
  "lines":[{"id":"1","product_id":"PRODUCT","title":"Shirt","quantity":1,"unit_price":"10.00"}]}}'
ID=msg_$(date +%s); NOW=$(date +%s)
KEY=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -tx1 | tr -d ' \\n')
SIGN=$(printf %s "$ID.$NOW.$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt hexkey:$KEY -binary | base64)
curl ADDRESS -H "webhook-id: $ID" -H "webhook-timestamp: $NOW" \\
  -H "webhook-signature: v1,$SIGN" --data-binary "$BODY"
"""


@dataclass(frozen=True, slots=True)
class Lines:
    """Each a text to copy, or "" where the shop needs none."""

    script: str = ""  # for every page
    pixel: str = ""  # for Shopify's customer events
    settings: str = ""  # for WordPress's wp-config.php


def days(merchant_id: int) -> int:
    """The longest window of the merchant's running programs."""
    return max((terms.window_days for _, terms in programs.running(merchant_id)), default=30)


def lines(shop: Shop, window_days: int) -> Lines:
    if "token" not in connection(shop.platform).carries:
        return Lines()
    hook = catalog.hook_url(shop)
    address = hook.removesuffix(f"/hooks/{ids.encode('shp', shop.merchant_id, shop.id)}")
    if shop.platform == Platform.WOOCOMMERCE:
        both = {"TUIKE_URL": f"'{address}'", "TUIKE_DAYS": window_days}
        return Lines(settings=" ".join(f"define('{name}', {it});" for name, it in both.items()))
    if shop.platform not in WITH_PAGES:
        return Lines()
    script = f'<script src="{address}/affiliate.js" data-days="{window_days}" defer></script>'
    return Lines(script, PIXEL % hook if shop.platform == Platform.SHOPIFY else "")


def example(shop: Shop) -> str:
    """For a terminal: an order of this shop, signed and posted."""
    address = catalog.hook_url(shop)
    return EXAMPLE.replace("CURRENCY", shop.currency).replace("ADDRESS", address)
