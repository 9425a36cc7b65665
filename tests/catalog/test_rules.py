"""Hosts and addresses, read as browsers read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affiliate.catalog.rules import BadAddress, bare_host, is_on, picture_address, web_address


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("shop.example", "shop.example"),
        ("https://Shop.Example/", "shop.example"),
        (" http://shop.example:80/path?x#y ", "shop.example"),
        ("https://shop.example:443", "shop.example"),
        ("shop.example.", "shop.example"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("localhost:9000", "localhost:9000"),
        ("[::1]:9000", "[::1]:9000"),
        ("https://[2001:DB8:0::1]", "[2001:db8::1]"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("商店.example", "xn--czrs0t.example"),
    ],
)
def test_a_domain_is_kept_as_a_bare_host(given, host):
    assert bare_host(given) == host


@pytest.mark.parametrize(
    "given",
    ["", " ", "https://", "ftp://shop.example", "a b.example", "-shop.example", "shop..example",
     "user@shop.example", "shop.example\\evil", "shop.example:99999", "shop.example:x", "[::1",
     "a" * 64 + ".example", ".".join(["a" * 60] * 6), "shop.example\x00", "*.example", "\ud800"],
)  # fmt: skip
def test_what_is_no_host_is_refused(given):
    with pytest.raises(BadAddress):
        bare_host(given)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading(text):
    for read in (bare_host, web_address):
        try:
            found = read(text)
        except BadAddress:
            continue
        assert found.isascii()
        assert read(found) == found


@pytest.mark.parametrize(
    ("address", "domain", "on"),
    [
        ("https://shop.example/", "shop.example", True),
        ("https://www.shop.example/", "shop.example", True),
        ("https://a.b.shop.example/", "shop.example", True),
        ("https://shop.example/", "www.shop.example", True),
        ("https://m.shop.example/", "www.shop.example", True),
        ("https://shop.example.evil/", "shop.example", False),
        ("https://evilshop.example/", "shop.example", False),
        ("https://example/", "shop.example", False),
        ("https://shop.example:8443/", "shop.example", False),
        ("http://127.0.0.1:9000/x", "127.0.0.1:9000", True),
        ("http://127.0.0.1:9001/x", "127.0.0.1:9000", False),
        ("http://1.127.0.0.1/", "127.0.0.1", False),
        ("https://shop.com/", "com", False),
        ("https://shop.com/", "www.com", False),
        ("https://www.com/", "www.com", True),
        ("http://shop.localhost:9000/", "localhost:9000", False),
        ("http://[::1]:9000/", "[::1]:9000", True),
    ],
)
def test_a_page_is_on_a_shop_s_ground(address, domain, on):
    assert is_on(address, domain) is on


@pytest.mark.parametrize("given", ["/static/demo/linen-shirt.svg", "https://shop.example/a.png"])
def test_a_picture_is_somewhere_on_the_web_or_shipped_with_this_instance(given):
    assert picture_address(given) == given


@pytest.mark.parametrize(
    "given",
    ["/operator/users.svg", "//elsewhere.example/a.svg", "/static/../people.svg", "/static/a.js",
     "/static/a.svg?x", "static/a.svg", "javascript:alert(1)"],
)  # fmt: skip
def test_other_paths_are_no_pictures(given):
    with pytest.raises(BadAddress):
        picture_address(given)
