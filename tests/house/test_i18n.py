"""Which language a reader gets, and that nothing said to one reader is kept for the next."""

import pytest
from flask import render_template_string

from affiliate import i18n
from affiliate.i18n import _
from tests.reading import reading

PAGE = "/-/error/404"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),  # what a Chinese browser sends
        ("zh-TW", "zh-Hans"),
        ("pt-PT,pt;q=0.9", "pt-BR"),
        ("es-CO,es;q=0.9,en;q=0.5", "es"),
        ("es-AR", "es-AR"),
        ("ja,es-MX;q=0.7,en;q=0.3", "es-MX"),
        ("en-GB", "en"),
        ("ja,fr;q=0.5", "en"),
        ("zh;q=0, en", "en"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_browser_is_answered_in_the_nearest_language(client, asked, given):
    answer = client.get(PAGE, headers={"Accept-Language": asked})

    assert f'<html lang="{given}"' in answer.text
    assert answer.headers["Content-Language"] == given


def test_what_is_put_into_marked_words_is_text_and_no_markup(app):
    typed = {"text": "<b>", "example": "1 & 2"}
    with reading(app):
        words = _("“%(text)s” is no number. Write it like %(example)s.", **typed)

        page = render_template_string("{{ words }}", words=words)

    assert page == "“&lt;b&gt;” is no number. Write it like 1 &amp; 2."


def test_a_choice_by_address_is_kept_on_this_device(client):
    client.get(PAGE + "?lang=pt-BR", headers={"Accept-Language": "zh-CN"})
    answer = client.get(PAGE, headers={"Accept-Language": "zh-CN"})

    assert '<html lang="pt-BR"' in answer.text


@pytest.mark.parametrize("wrong", ["xx", "../../etc/passwd", "en-US", "zh_Hans", "%00"])
def test_a_language_we_do_not_have_is_ignored_and_not_kept(client, wrong):
    answer = client.get(PAGE, query_string={"lang": wrong}, headers={"Accept-Language": "es"})

    assert '<html lang="es"' in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_persons_setting_counts_before_the_browser(app):
    english = {"Accept-Language": "en"}
    with app.app_context(), app.test_request_context("/", headers=english):
        i18n.person(locale="zh-Hans", timezone="Asia/Shanghai")

        assert i18n.language() == "zh-Hans"
        assert i18n.zone().key == "Asia/Shanghai"


def test_a_mail_is_written_in_its_receivers_language_then_the_page_goes_on_in_its_own(app):
    with reading(app, "pt-BR"):
        assert str(_("Orders")) == "Pedidos"
        with i18n.read_as("zh-Hans"):
            assert str(_("Orders")) == "订单"
            assert i18n.language() == "zh-Hans"

        assert str(_("Orders")) == "Pedidos"


def test_outside_a_request_words_are_english(app):
    assert i18n.language() == "en"
    assert str(_("Orders")) == "Orders"


def test_what_one_reader_saw_is_not_kept_for_the_next(app):
    """Jinja works out constants while it compiles, once for all readers, if one lets it."""
    source = """
        {% from "components/status.html" import entry %}
        {{ 1234567|number }} {{ 120500|ppm }} {{ entry("pending") }} {{ _("Orders") }}"""
    seen = []
    for lang in ("en", "pt-BR", "en"):
        with reading(app, lang):
            seen.append(render_template_string(source))

    assert "1,234,567 12.05%" in seen[0]
    assert "Pending" in seen[0]
    assert "1.234.567 12,05%" in seen[1]
    assert "Pendente" in seen[1]
    assert seen[2] == seen[0]


def test_plurals_follow_the_language(app):
    source = "{% import 'components/table.html' as table %}{{ table.foot(1) }} {{ table.foot(5) }}"
    with reading(app, "es"):
        spanish = render_template_string(source)
    with reading(app, "zh-Hans"):
        chinese = render_template_string(source)

    assert "1 fila<" in spanish
    assert "5 filas<" in spanish
    assert "1 行<" in chinese
