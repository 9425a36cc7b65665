"""Words beside a link: the label and the link are always there."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from affiliate import i18n
from affiliate.errors import Invalid
from affiliate.links import captions
from affiliate.material import queries, service, writer
from affiliate.money import Money
from affiliate.people import queries as people
from tests.factories.catalog import a_product, a_shop
from tests.factories.links import a_link
from tests.factories.programs import a_program

URL = "https://go.example.com/s/abc"
GOODS = {
    "title": "Camisa", "price": Money(19_990, "BRL"), "saves": Money(5_000, "BRL"), "url": URL,
}  # fmt: skip


@pytest.mark.parametrize("tag", i18n.LANGUAGES)
def test_ours_have_price_saving_label_and_link_in_each_language(tag):
    words = captions.caption(tag, "BR", **GOODS)

    assert words.startswith(captions.label(tag))
    assert all(each in words for each in ("Camisa", "199", "50", URL))
    assert ("recommend" in words) == (tag == "en")


@pytest.mark.parametrize("tag", i18n.LANGUAGES)
def test_own_words_get_label_and_link_whoever_wrote_them(tag):
    words = captions.caption(tag, "BR", text="Love it! {title} at {price}, {saves} less", **GOODS)

    assert words.startswith(f"{captions.label(tag)} Love it! Camisa at ")
    assert words.endswith(f"\n{URL}")
    assert "{" not in words
    assert captions.caption(tag, "BR", text="See {link} now", **GOODS).count(URL) == 1


def test_a_label_that_is_there_is_not_there_twice_and_none_can_hide_it():
    label = captions.label("en")
    for text in (f"{label} Hello", f"{label}\n\n Hello", f"【广告】{label}Hello"):
        assert captions.caption("en", "US", text=text, **GOODS).startswith(f"{label} Hello")

    sly = captions.checked("\u202e\u200b\u2066Hello\x00\x1b[31m 👩\u200d👧\r\nyou")
    assert sly == "Hello[31m 👩\u200d👧\nyou"


@pytest.mark.parametrize("text", ["", " \n ", "[Ad]", "\u200b", "x" * 1001, "x\n" * 25])
def test_nothing_and_too_much_are_refused(text):
    with pytest.raises(Invalid):
        captions.checked(text)


def test_places_of_others_stay_as_they_were_written():
    text = "{title} {0} {__class__} %(url)s {{price}}"

    words = captions.caption("en", "US", text=text, **(GOODS | {"title": "{price}"}))

    assert words.startswith("[Ad] {price} {0} {__class__} %(url)s {R$199.90}")


def test_the_nearest_words_are_taken():
    shop = a_shop()
    goods = a_product(shop)
    link = a_link(a_program(people.merchant(shop.merchant_id)), product=goods)
    given = {
        "program": {"program_id": link.program_id},
        "product": {"product_id": goods.id},
        "link": {"link_id": link.id},
    }
    assert queries.words_for(link, "es") is None

    for name, of in given.items():
        service.set_caption(link.merchant_id, "es", f"of the {name}", **of)
        assert queries.words_for(link, "es").text == f"of the {name}"
    assert queries.words_for(link, "en") is None
    service.set_caption(link.merchant_id, "es", " ", **given["link"])
    assert queries.words_for(link, "es").text == "of the product"


def test_words_of_another_link_or_product_are_not_ours():
    shop = a_shop()
    program = a_program(people.merchant(shop.merchant_id))
    front = a_link(program)
    link = a_link(program, product=a_product(shop))
    service.set_caption(shop.merchant_id, "es", "mine", link_id=front.id)
    service.set_caption(shop.merchant_id, "es", "goods", product_id=link.product_id)

    assert queries.words_for(front, "es").text == "mine"
    assert queries.words_for(link, "es").text == "goods"
    other = a_link(program)
    assert queries.words_for(other, "es") is None


# --- the text generator --------------------------------------------------------------------------


@contextmanager
def a_generator(app, monkeypatch, answer):
    """A server that speaks the chat interface; `answer` makes its body from what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.headers["Authorization"], body))
            status, content = answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = app.config["SETTINGS"].model_copy(
        update={
            "writer_url": f"http://127.0.0.1:{server.server_port}/v1/chat/completions",
            "writer_model": "m",
            "writer_key": SecretStr("k-1"),
        }
    )
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def said(text):
    return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode()


ABOUT = {"title": "Camisa", "description": "Linho", "price": "R$ 10", "saves": ""}


def test_drafts_are_proposals_cleaned_like_own_words(app, monkeypatch):
    text = (
        "1. Linda! {price} {link}\n---\n[Ad] <b>Que</b>\u202e bom\n---\n\n---\n3) Três\n---\nQuatro"
    )
    with a_generator(app, monkeypatch, lambda _: said(text)) as asked:
        found = writer.drafts("pt-BR", **ABOUT)

    assert found == ["Linda! {price} {link}", "<b>Que</b> bom", "Três"]
    key, body = asked[0]
    assert key == "Bearer k-1"
    assert body["model"] == "m"
    assert all(each in body["messages"][0]["content"] for each in ("Camisa", "Linho", "Português"))


@pytest.mark.parametrize(
    "answer",
    [(500, b""), (200, b"no json"), (200, b"{}"), (200, b'{"choices": []}'), said(""),
     said(" --- "), (200, b'{"choices": [{"message": {"content": 5}}]}'),
     (200, b" " * 300_000), said("x" * 2000)],
)  # fmt: skip
def test_a_generator_that_fails_is_said_in_words(app, monkeypatch, answer):
    with (
        a_generator(app, monkeypatch, lambda _: answer),
        pytest.raises(writer.NoDrafts),
    ):
        writer.drafts("en", **ABOUT)


def test_without_one_there_are_no_drafts():
    assert writer.writer() is None
    with pytest.raises(writer.NoDrafts):
        writer.drafts("en", **ABOUT)
