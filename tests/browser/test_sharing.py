"""Posters and pictures leave the phone as files."""

import io

import pytest
from playwright.sync_api import expect

from affiliate.db import unit_of_work
from affiliate.material import service
from affiliate.material.service import Sent
from tests.browser.conftest import PHONE, barriers
from tests.consoles.promoter_town import Town
from tests.factories.links import a_link
from tests.material.pictures import a_picture
from tests.material.test_material import sheet_of

pytestmark = pytest.mark.browser
# A phone that wants a second tap when files were slow, as iOS does.
SHARE = """
navigator.canShare = ({files}) => files.length > 0;
navigator.share = async ({files}) => {
  const seen = (window.taps = (window.taps ?? 0) + 1);
  if (seen === 1) throw new DOMException("too late", "NotAllowedError");
  document.body.dataset.shared = files.map(each => `${each.name}:${each.type}:${each.size > 500}`);
};"""


def test_files_are_handed_to_the_phone_and_a_second_tap_is_asked_for(committed, visit):
    with unit_of_work():
        town = Town("Sol")
        goods = a_link(town.program, town.ana, product=town.product)
        files = [Sent(f"{name}.jpg", io.BytesIO(a_picture())) for name in "ab"]
        service.add_material(town.product, "Linda!", files)
    page = visit(f"{sheet_of(goods)}?lang=en", as_=town.user, size=PHONE)
    page.add_init_script(SHARE)
    page.reload()

    poster = page.get_by_role("button", name="Send the picture")
    poster.click()
    again = page.get_by_role("button", name="Ready: tap once more")
    expect(again).to_be_visible()
    again.click()
    one = f"{goods.code}-window.jpg:image/jpeg:true"
    expect(page.locator("body")).to_have_attribute("data-shared", one)

    page.get_by_role("button", name="Send all").click()
    both = "1.jpg:image/jpeg:true,2.jpg:image/jpeg:true"
    expect(page.locator("body")).to_have_attribute("data-shared", both)

    page.locator("#posters a[aria-haspopup=dialog]").click()
    expect(page.get_by_role("dialog", name="Poster")).to_be_visible()
    assert barriers(page) == []
