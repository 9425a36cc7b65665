"""affiliate.js in small shop pages: what it keeps and hands over, and what no page makes it do.

Each page lies on an address of its own that the test serves; what the script gave to the shop goes
into an order body of that platform, and the platform's parser must find the tokens in it.
"""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from affiliate import clock
from affiliate.config import ROOT
from affiliate.intake import reading
from affiliate.intake.platforms import PLATFORMS
from affiliate.links import token

pytestmark = pytest.mark.browser
SHOP = "http://shop.test"
SAMPLES = ROOT / "tests" / "intake" / "samples"
BUILT = json.loads((ROOT / "static/dist/manifest.json").read_text())["affiliate.js"]
SCRIPT = ROOT / "static" / "dist" / BUILT
IN_APPS = {
    "WeChat": "Mozilla/5.0 (Linux; Android 14; V2309A Build/UP1A; wv) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Version/4.0 Chrome/116.0 Mobile Safari/537.36 XWEB/1160 MicroMessenger/8.0.50",
    "WhatsApp": "Mozilla/5.0 (Linux; Android 14; SM-A146M; wv) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36 WhatsApp/2.24.20",
    "Instagram": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/21F90 Instagram 340.0.3.27 (iPhone14,5; iOS 17_5; pt_BR)",
    "TikTok": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
    "like Gecko) Mobile/15E148 musical_ly_35.1.0 BytedanceWebview/d8a21c6",
}
BLOCKED = """
    Object.defineProperty(window, "localStorage", {get() { throw new Error("no"); }});
    Object.defineProperty(Document.prototype, "cookie", {
        get() { throw new Error("no"); }, set() { throw new Error("no"); }});
"""
FULL = 'Storage.prototype.setItem = () => { throw new DOMException("", "QuotaExceededError"); };'
SHOPIFY = '<script>window.Shopify = {routes: {root: "/"}}</script>'
LOAD = '<script src="/affiliate.js" defer {}></script>'


class Shop:
    """A shop's server: its page, a Shopify cart, and the forms that were sent to it."""

    def __init__(self, browser):
        self.browser = browser
        self.page_html, self.cart, self.forms, self.updates = LOAD.format(""), {}, [], 0
        self.contexts, self.errors = [], []

    def open(self, query="", *, html=None, agent=None, before=None, context=None, to=""):
        if html is not None:
            self.page_html = html
        context = context or self.visitor(agent, before)
        page = context.pages[0] if context.pages else context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{SHOP}/{to}{query}", wait_until="networkidle")
        return page

    def visitor(self, agent=None, before=None):
        context = self.browser.new_context(user_agent=agent)
        context.route(f"{SHOP}/**", self._answer)
        if before:
            context.add_init_script(before)
        self.contexts.append(context)
        return context

    def _answer(self, route):
        asked, path = route.request, route.request.url.removeprefix(SHOP).partition("?")[0]
        if path == "/affiliate.js":
            route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")
        elif path == "/cart.js":
            route.fulfill(json={"attributes": self.cart, "items": []})
        elif path == "/cart/update.js":
            self.updates += 1
            given = json.loads(asked.post_data)["attributes"]
            self.cart = {k: v for k, v in (self.cart | given).items() if v != ""}
            route.fulfill(json={"attributes": self.cart})
        else:
            if asked.method == "POST":
                self.forms.append(dict(parse_qsl(asked.post_data, keep_blank_values=True)))
            route.fulfill(body=f"<!doctype html>{self.page_html}", content_type="text/html")


@pytest.fixture
def shop(browser):
    shop = Shop(browser)
    yield shop
    for context in shop.contexts:
        context.close()
    assert shop.errors == []


@pytest.fixture
def tk(app):
    """Makes genuine tokens of so many days ago."""
    now = clock.now()
    with app.app_context():
        yield lambda number=1, days=1: token.make(
            number, now - timedelta(days=days), bytes([number]) * 3
        )


def kept(page):
    return page.evaluate("tuike.tk()")


def on_device(page):
    """What the browser has stored: local storage and cookies."""
    return page.evaluate("[localStorage.getItem('tuike'), document.cookie]")


def facts(platform, sample, **changes):
    told = json.loads((SAMPLES / platform / sample).read_text()) | changes
    (order,) = PLATFORMS[platform].read(reading.load(json.dumps(told).encode()))
    return order


CHECKOUT = "bd5a8aa1ecd019dd3520ff791ee3a24c"
SHOPIFY_ORDER = "order.rest-2026-07.partially-paid.json"


def test_it_has_at_most_2048_bytes_and_needs_nothing():
    text = SCRIPT.read_bytes()

    assert len(text) <= 2048
    assert not re.search(rb"https?://|\bimport\b|\brequire\b|eval\(|innerHTML", text)


def test_it_is_served_from_any_site_under_one_address(client):
    answer = client.get("/affiliate.js")

    assert answer.data == SCRIPT.read_bytes()
    assert answer.content_type == "text/javascript; charset=utf-8"
    assert answer.cache_control.max_age == 86_400
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Set-Cookie" not in answer.headers
    again = client.get("/affiliate.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    packed = client.get("/affiliate.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < 1300


@pytest.mark.parametrize("name", IN_APPS)
def test_a_token_is_kept_for_later_pages_in_browsers_of_apps(shop, tk, name):
    page = shop.open(f"?tk={tk()}&utm_source=tuike", agent=IN_APPS[name])
    assert kept(page) == tk()

    later = shop.open(context=page.context, to="another")

    assert kept(later) == tk()
    assert on_device(later) == [tk(), f"tuike={tk()}"]
    (cookie,) = page.context.cookies()
    assert cookie["path"] == "/"
    assert cookie["sameSite"] == "Lax"
    assert 29 * 86400 < cookie["expires"] - clock.now().timestamp() <= 30 * 86400 + 60


def test_five_are_kept_oldest_first_and_each_once(shop, tk):
    context = shop.visitor()
    for number in (7, 3, 5, 1, 6, 2, 4, 4):
        page = shop.open(f"?tk={tk(number, number)}", context=context)

    assert kept(page).split(".") == [tk(number, number) for number in (5, 4, 3, 2, 1)]


def test_a_token_older_than_the_window_is_forgotten(shop, tk):
    html = LOAD.format('data-days="7"')
    page = shop.open(f"?tk={tk(1, 6)}&tk={tk(2, 9)}", html=html)

    assert kept(page) == tk(1, 6)
    page.evaluate("old => localStorage.setItem('tuike', old)", tk(2, 9))
    page.context.clear_cookies()
    page = shop.open(context=page.context)
    assert kept(page) == ""
    assert on_device(page) == [None, ""]


@pytest.mark.parametrize("lost", ["cookies", "storage"])
def test_either_of_cookie_and_storage_is_enough(shop, tk, lost):
    page = shop.open(f"?tk={tk()}")

    if lost == "cookies":
        page.context.clear_cookies()
    else:
        page.evaluate("localStorage.clear()")
    page = shop.open(context=page.context)

    assert kept(page) == tk()
    assert on_device(page) == [tk(), f"tuike={tk()}"]


def test_with_storage_blocked_the_landing_page_still_hands_over(shop, tk):
    html = LOAD.format("") + SHOPIFY + '<form><input type="hidden" name="tk"></form>'
    page = shop.open(f"?tk={tk()}", html=html, before=BLOCKED)

    assert kept(page) == tk()
    assert page.input_value("[name=tk]") == tk()
    assert shop.cart == {"tk": tk()}


def test_with_storage_full_the_cookie_keeps_it(shop, tk):
    page = shop.open(f"?tk={tk()}", before=FULL)

    page = shop.open(context=page.context)

    assert kept(page) == tk()
    assert on_device(page) == [None, f"tuike={tk()}"]


RUBBISH = [
    "<script>boom()</script>", "'\"><img src=x onerror=boom()>", "A" * 32, "_" * 32, "x" * 100_000,
    ".".join("B" * 32 for _ in range(2000)), ";path=/;domain=evil.test", "%00", "%", "__proto__",
    "null", "\u202e" * 32,
]  # fmt: skip


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_in_the_address_is_ignored_and_harms_nothing(shop, tk, rubbish):
    html = LOAD.format("") + SHOPIFY + '<form><input type="hidden" name="tk"></form>'
    page = shop.open(f"?tk={tk()}", html=html)

    page.evaluate(
        "text => history.replaceState(null, '', '?tk=' + encodeURIComponent(text))", rubbish
    )
    page.reload(wait_until="networkidle")

    assert kept(page) == tk()
    assert page.input_value("[name=tk]") == tk()
    assert shop.cart == {"tk": tk()}
    assert on_device(page) == [tk(), f"tuike={tk()}"]


def test_rubbish_in_what_is_kept_is_thrown_out(shop, tk):
    page = shop.open(f"?tk={tk()}")
    page.evaluate("""() => {
        localStorage.setItem("tuike", "<b>.".repeat(100000));
        document.cookie = "tuike=rubbish.%3Cb%3E;path=/";
    }""")

    page = shop.open(f"?tk={tk(2)}", context=page.context)

    assert kept(page) == tk(2)
    assert on_device(page) == [tk(2), f"tuike={tk(2)}"]


def test_an_element_of_the_page_named_like_it_does_not_stop_it(shop, tk):
    page = shop.open(f"?tk={tk()}", html='<p id="tuike"></p>' + LOAD.format(""))

    assert kept(page) == tk()


def test_loaded_twice_it_does_its_work_once(shop, tk):
    page = shop.open(f"?tk={tk()}", html=SHOPIFY + LOAD.format("") * 2)

    assert shop.updates == 1
    assert kept(page) == tk()
    assert shop.cart == {"tk": tk()}


# --- consent ---------------------------------------------------------------------------------


CONSENT = LOAD.format("data-consent") + SHOPIFY + '<form><input type="hidden" name="tk"></form>'


def test_without_consent_nothing_is_stored_but_this_page_hands_over(shop, tk):
    page = shop.open(f"?tk={tk()}", html=CONSENT)

    assert on_device(page) == [None, ""]
    assert shop.cart == {}
    assert page.input_value("[name=tk]") == tk()
    assert kept(page) == tk()
    assert kept(shop.open(context=page.context)) == ""


def test_consent_on_the_landing_page_keeps_it_and_taking_it_back_forgets_it(shop, tk):
    page = shop.open(f"?tk={tk()}", html=CONSENT)

    with page.expect_response("**/cart/update.js"):
        page.evaluate("tuike.consent(true)")
    assert on_device(page) == [tk(), f"tuike={tk()}"]
    assert shop.cart == {"tk": tk()}

    page = shop.open(context=page.context)
    assert kept(page) == tk()
    with page.expect_response("**/cart/update.js"):
        page.evaluate("tuike.consent(false)")
    assert on_device(page) == [None, ""]
    assert shop.cart == {}
    assert kept(page) == ""


@pytest.mark.parametrize("allowed", [True, False])
def test_what_shopifys_banner_says_is_heard(shop, tk, allowed):
    page = shop.open(f"?tk={tk()}", html=CONSENT)

    page.evaluate(
        """allowed => document.dispatchEvent(
            new CustomEvent("visitorConsentCollected", {detail: {marketingAllowed: allowed}}))""",
        allowed,
    )

    assert on_device(page) == ([tk(), f"tuike={tk()}"] if allowed else [None, ""])


def test_a_banner_that_nobody_asked_for_changes_nothing(shop, tk):
    page = shop.open(f"?tk={tk()}", html=LOAD.format("") + SHOPIFY)

    page.evaluate("""() => document.dispatchEvent(
        new CustomEvent("visitorConsentCollected", {detail: {marketingAllowed: false}}))""")

    assert kept(page) == tk()


# --- the ways into an order, to the end ------------------------------------------------------


def test_shopify_cart_attributes_come_with_the_order(shop, tk):
    page = shop.open(f"?tk={tk(1, 2)}", html=SHOPIFY + LOAD.format(""))
    page = shop.open(f"?tk={tk(2, 1)}", context=page.context)

    attributes = [{"name": name, "value": value} for name, value in shop.cart.items()]
    order = facts("shopify", SHOPIFY_ORDER, note_attributes=attributes, landing_site="/")

    assert order.tokens == (f"{tk(1, 2)}.{tk(2, 1)}",)
    assert shop.updates == 2


def test_a_cleared_cart_gets_its_attribute_again_and_a_full_one_is_left_alone(shop, tk):
    form = '<form action="/cart" method="post"><button name="checkout">Pay</button></form>'
    page = shop.open(f"?tk={tk()}", html=SHOPIFY + form + LOAD.format(""))

    shop.cart = {"gift": "yes"}
    page = shop.open(context=page.context, to="collections")
    assert shop.cart == {"gift": "yes", "tk": tk()}
    shop.open(context=page.context, to="products")
    assert shop.updates == 2

    shop.cart = {}  # emptied by a script of the page, which goes on to the checkout
    with page.expect_navigation():
        page.click("button")
    assert shop.forms[-1]["attributes[tk]"] == tk()


def test_a_shop_that_fails_does_not_break_the_page(shop, tk):
    page = shop.open(html=SHOPIFY)
    page.context.route(f"{SHOP}/cart.js", lambda route: route.fulfill(status=500, body="<html>"))

    page = shop.open(f"?tk={tk()}", html=SHOPIFY + LOAD.format(""), context=page.context)

    assert kept(page) == tk()


def pixel():
    """The code of docs/shops.md."""
    text = (ROOT / "docs" / "shops.md").read_text()
    found = re.search(r"```js\n(for \(const name of \[\"checkout_started.*?)```", text, re.S)
    return found[1].replace("https://go.example.com/hooks/shp_…", f"{SHOP}/hooks/shp_1")


def test_the_pixel_of_the_docs_tells_what_the_pages_kept(shop, tk):
    page = shop.open(f"?tk={tk()}")
    told = []
    page.context.route(
        f"{SHOP}/hooks/**",
        lambda route: (told.append(json.loads(route.request.post_data)), route.fulfill(status=204)),
    )

    page.evaluate(
        """async ([code, token]) => {
            const heard = {};
            const analytics = {subscribe: (name, what) => { heard[name] = what; }};
            const browser = {
                cookie: {get: async name =>
                    (document.cookie.match(`${name}=([^;]*)`) || [])[1] || ""},
                localStorage: {getItem: async name => localStorage.getItem(name)},
            };
            new Function("analytics", "browser", code)(analytics, browser);
            for (const name of ["checkout_started", "checkout_completed"])
                await heard[name]({data: {checkout: {token}}});
        }""",
        [pixel(), CHECKOUT],
    )
    for _ in range(100):  # the pixel does not wait for its requests
        if len(told) == 2:
            break
        page.wait_for_timeout(50)

    assert told == [{"checkout": CHECKOUT, "tk": tk()}] * 2


@pytest.mark.parametrize("button", ["input", "button"])
def test_tiendanube_cart_form_carries_it_into_the_orders_extra(shop, tk, button):
    submit = {
        "input": '<input type="submit" name="go_to_checkout" value="Iniciar Compra">',
        "button": '<button name="go_to_checkout">Comprar</button>',
    }[button]
    form = f'<form action="/comprar/" method="post">{submit}</form>'
    page = shop.open(f"?tk={tk()}", html=form + LOAD.format(""))

    page = shop.open(context=page.context, to="carrinho")
    with page.expect_navigation():
        page.click("[name=go_to_checkout]")

    sent = shop.forms[-1]
    extra = {key[6:-1]: value for key, value in sent.items() if key.startswith("extra[")}
    order = facts("tiendanube", "order.resource.docs-450789469.json", extra=extra, landing_url=None)
    assert order.tokens == (tk(),)


def test_a_form_of_any_shop_carries_it_also_one_that_is_added_later(shop, tk):
    form = '<form method="post"><input type="hidden" name="tk"><button>Buy</button></form>'
    page = shop.open(f"?tk={tk()}", html=LOAD.format("") + "<div></div>")
    page.evaluate("form => { document.querySelector('div').innerHTML = form; }", form)

    with page.expect_navigation():
        page.click("button")

    now = clock.now().isoformat()
    data = {
        "id": "1", "version": 1, "status": "paid", "currency": "BRL", "tax_included": True,
        "created_at": now, "paid_at": now, "tk": shop.forms[-1]["tk"], "total": "1.00",
    }  # fmt: skip
    told = {"type": "order.updated", "data": data}
    (order,) = PLATFORMS["standard"].read(reading.load(json.dumps(told).encode()))
    assert order.tokens == (tk(),)


def test_a_field_that_people_see_is_left_alone(shop, tk):
    page = shop.open(f"?tk={tk()}", html='<input name="tk" value="mine">' + LOAD.format(""))

    assert page.input_value("[name=tk]") == "mine"


# --- WooCommerce -----------------------------------------------------------------------------


PLUGIN = ROOT / "deploy" / "woocommerce" / "tuike" / "tuike.php"
STUBS = r"""<?php
define('ABSPATH', '/'); define('TUIKE_URL', 'https://go.example.com/');
define('TUIKE_DAYS', '45"><b>'); define('TUIKE_CONSENT', true);
$hooks = array(); $scripts = array();
function add_action($name, $what) { global $hooks; $hooks[$name][] = $what; }
function add_filter($name, $what) { add_action($name, $what); }
function wp_enqueue_script($handle, $src) { global $scripts; $scripts[$handle] = $src; }
class Order {
  public $meta = array(); public $saved = false; private $id;
  function __construct($id) { $this->id = $id; }
  function get_id() { return $this->id; }
  function update_meta_data($key, $value) { $this->meta[] = compact('key', 'value'); }
  function save_meta_data() { $this->saved = true; }
}
$given = json_decode(stream_get_contents(STDIN), true);
$_COOKIE = $given['cookie']; $_POST = $given['post'];
require $argv[1];
$order = new Order($given['id']);
foreach ($hooks[$given['hook']] as $what) { $what($order); }
foreach ($hooks['wp_enqueue_scripts'] as $what) { $what(); }
$tag = "<script src='x' id='tuike-js'></script>";
foreach ($hooks['script_loader_tag'] as $what) { $tag = $what($tag, 'tuike'); }
echo json_encode(array('meta' => $order->meta, 'saved' => $order->saved, 'scripts' => $scripts,
  'tag' => $tag, 'other' => $what('<script a>', 'jquery')));
"""
CLASSIC = "woocommerce_checkout_create_order"
BLOCKS = "woocommerce_store_api_checkout_update_order_meta"


@pytest.fixture
def plugin(tmp_path: Path):
    php = shutil.which("php")
    if php is None:
        pytest.skip("no PHP: `apt-get install php-cli`")
    (tmp_path / "stubs.php").write_text(STUBS)

    def run(hook, *, cookie=None, post=None, order_id=0):
        given = {"hook": hook, "cookie": cookie or {}, "post": post or {}, "id": order_id}
        ran = subprocess.run(
            [php, "-d", "error_reporting=-1", "-d", "display_errors=stderr",
             tmp_path / "stubs.php", PLUGIN],
            input=json.dumps(given), capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        assert ran.stderr == ""
        return json.loads(ran.stdout)

    return run


@pytest.mark.parametrize(("hook", "order_id"), [(CLASSIC, 0), (BLOCKS, 727)])
def test_the_plug_in_writes_what_the_script_kept_into_the_order(shop, tk, plugin, hook, order_id):
    page = shop.open(f"?tk={tk(1, 3)}&tk={tk(2, 1)}")
    name, _, value = page.evaluate("document.cookie").partition("=")

    wrote = plugin(hook, cookie={name: value}, order_id=order_id)

    assert wrote["saved"] is (order_id != 0)
    meta = [{"id": 1} | each for each in wrote["meta"]]
    order = facts("woocommerce", "order.created.docs-727-processing.json", meta_data=meta)
    assert order.tokens == (f"{tk(1, 3)}.{tk(2, 1)}",)


@pytest.mark.parametrize(
    "cookie",
    [{}, {"tuike": ""}, {"tuike": ["a"]}, {"tuike": "<b>"}, {"tuike": "x" * 40},
     {"tuike": "'; DROP TABLE wp_posts"}],
)  # fmt: skip
def test_the_plug_in_writes_nothing_for_rubbish(plugin, cookie):
    assert plugin(BLOCKS, cookie=cookie, order_id=1)["meta"] == []


def test_the_plug_in_keeps_five_and_takes_the_form_too(plugin):
    many = ".".join(f"{n:032}" for n in range(9))

    (wrote,) = plugin(CLASSIC, cookie={"tuike": many}, post={"tk": f"{3:032}"})["meta"]

    assert wrote == {"key": "_tk", "value": ".".join(f"{n:032}" for n in range(4, 9))}


def test_the_plug_in_puts_the_script_in_with_its_settings(plugin):
    told = plugin(CLASSIC)

    assert told["scripts"] == {"tuike": "https://go.example.com/affiliate.js"}
    assert told["tag"].startswith('<script data-days="45" data-consent src=')
    assert told["other"] == "<script a>"
