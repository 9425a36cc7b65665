"""Coupons on the merchant's desk and on the promoter's phone."""

import pytest
import sqlalchemy as sa

from affiliate.attribution.models import Coupon
from affiliate.db import db, unit_of_work
from affiliate.intake.coupons import asking, wishes
from affiliate.intake.coupons.wishes import Terms
from affiliate.intake.models import ShopCoupon
from affiliate.people.models import Role
from tests.consoles.signed_in import sign_in
from tests.factories.catalog import a_shop
from tests.factories.orders import an_order, deliver
from tests.factories.people import a_merchant, a_promoter, a_user
from tests.factories.programs import a_program, an_enrolment

NEW = "/merchant/coupons/new?lang=en"


@pytest.fixture
def desk(client):
    with unit_of_work():
        client.merchant = a_merchant()
        client.shop = a_shop(client.merchant, name="Loja Ana")
        client.program = a_program(client.merchant)
        client.promoter = a_promoter("Ana Conceição")
        an_enrolment(client.program, client.promoter)
        sign_in(client, a_user(Role.MERCHANT_OWNER, merchant=client.merchant))
    return client


def typed(**fields):
    return {"promoter": "Ana Conceição", "percent": "10"} | fields


def one():
    db.session.expire_all()
    coupon = db.session.scalars(sa.select(Coupon)).one()
    return coupon, db.session.scalars(sa.select(ShopCoupon)).one()


def failed(row, code, words=""):
    with unit_of_work():
        row.state, row.error = "failed", {"code": code, "message": words}


def test_a_code_is_made_of_the_name_and_told_step_by_step_until_an_order_carries_it(desk):
    answer = desk.post(NEW, data=typed(minimum="50", ends="2100-01-31"))

    coupon, row = one()
    assert answer.location == f"/merchant/coupons/{coupon.id}"
    assert (coupon.code, row.percent_ppm, row.minimum) == ("ANA10", 100_000, 50_00)
    assert row.ends_at.isoformat() == "2100-02-01T03:00:00+00:00"  # midnight in São Paulo
    page = desk.get(f"{answer.location}?lang=en").text
    assert "Copy this into your shop" in page
    assert "Through <time" in page
    assert "Jan 31, 2100" in page
    assert "Not seen in an order yet." in page
    deliver(desk, desk.shop, an_order(coupons=["ANA10"]))
    assert "Seen in an order" in desk.get(f"{answer.location}?lang=en").text
    assert "ANA10" in desk.get("/merchant/coupons/?state=by_hand").text
    assert "ANA10" not in desk.get("/merchant/coupons/?state=failed").text


def test_a_name_that_is_typed_suggests_a_code_that_is_free(desk):
    desk.post(NEW, data=typed())

    assert 'value="ANA10A"' in desk.get(f"{NEW}&promoter=ana&percent=10").text
    before = "code=ANA&suggested=ANA"  # what stood there until a percentage was typed
    assert 'value="ANA15"' in desk.get(f"{NEW}&promoter=ana&percent=15&{before}").text
    assert 'value="MINE"' in desk.get(f"{NEW}&promoter=ana&percent=15&code=MINE").text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"percent": "0"}, "More than 0% and at most 100%."),
        ({"percent": "101"}, "between 0 and 100 percent"),
        ({"percent": "12.345"}, "At most two digits"),
        ({"percent": ""}, "A percentage or an amount"),
        ({"amount": "5"}, "A percentage or an amount"),
        ({"percent": "", "amount": "1.2.3"}, "is no number"),
        ({"code": "ANA 10"}, "A code has no spaces."),
        ({"code": "A" * 300}, "From 1 to 100."),
        ({"starts": "2100-02-01", "ends": "2100-01-31"}, "The end is before the start."),
        ({"ends": "2020-01-31"}, "This is over already."),
        ({"ends": "soon"}, "A date, please."),
        ({"uses": "many"}, "A whole number, please."),
        ({"uses": "0"}, "From 1 to"),
        ({"promoter": "Zoe"}, "Nobody of this name"),
        ({"code": "taken"}, "Another promoter has it."),
    ],
)
def test_what_makes_no_sense_is_said_beside_its_field_and_gives_no_code(desk, wrong, told):
    with unit_of_work():
        wishes.create(desk.program, desk.promoter.id, "TAKEN", [], Terms())

    answer = desk.post(NEW, data=typed(**wrong))

    assert answer.status_code in (409, 422)
    assert told in answer.text
    assert "aria-invalid" in answer.text
    assert len(db.session.scalars(sa.select(Coupon)).all()) == 1


def test_pause_and_deletion_are_asked_for_and_done(desk):
    desk.post(NEW, data=typed())
    coupon, _ = one()
    here = f"/merchant/coupons/{coupon.id}"

    desk.post(f"{here}/pause")
    assert "Switch it off in the shop" in desk.get(f"{here}?lang=en").text
    desk.post(f"{here}/resume")
    assert "Delete ANA10?" in desk.get(f"{here}/remove?lang=en").text
    assert one()[0].until is None
    desk.post(f"{here}/remove")

    assert (one()[0].until is not None, one()[1].state) == (True, "removed")
    assert "ANA10" in desk.get("/merchant/coupons/?state=ended").text


@pytest.mark.parametrize(
    ("code", "told", "button"),
    [
        ("exists", "exists in the shop already", "Take it over as it is"),
        ("no_right", "lacks write_discounts", "Try again"),
        ("gone", "somebody deleted it there", "Make it again"),
        ("switched_off", "Somebody switched the code off", "Switch on"),
        ("refused", "The shop refuses it: &lt;b&gt;No&lt;/b&gt;", "Try again"),
    ],
)
def test_what_failed_is_told_in_words_with_what_to_do(desk, code, told, button):
    with unit_of_work():
        shop = a_shop(desk.merchant, platform="shopify", name="S")
        coupon = wishes.create(
            desk.program, desk.promoter.id, "ANA10", [shop.id], Terms(percent_ppm=100_000)
        )
    failed(one()[1], code, "<b>No</b>")

    page = desk.get(f"/merchant/coupons/{coupon.id}?lang=en").text

    assert told in page
    assert button in page
    assert ("Another code" in page) == (code == "exists")


def test_another_code_takes_the_place_of_one_that_the_shop_has_already(desk):
    desk.post(NEW, data=typed())
    first, row = one()
    failed(row, "exists")

    page = desk.get(f"{NEW}&instead={first.id}").text
    assert 'value="Ana Conceição"' in page
    desk.post(NEW, data=typed(code="ANA11", instead=str(first.id)))

    codes = db.session.scalars(sa.select(Coupon.code).where(Coupon.until.is_(None))).all()
    assert codes == ["ANA11"]


def test_a_code_that_only_we_knew_goes_into_a_shop(desk):
    with unit_of_work():
        known = wishes.create(desk.program, desk.promoter.id, "OLD", [], Terms())
    page = desk.get(f"/merchant/coupons/{known.id}?lang=en").text
    assert "In no shop through us" in page
    assert "OLD in one more shop" in desk.get(f"{NEW}&into={known.id}").text

    sent = {"into": str(known.id), "program": str(desk.program.id), "percent": "15"}
    answer = desk.post(NEW, data=sent)

    assert answer.location == f"/merchant/coupons/{known.id}"
    assert (one()[1].percent_ppm, one()[1].state) == (150_000, "by_hand")
    assert desk.post(NEW, data=sent).status_code == 409


def test_promoters_see_their_codes_and_whether_they_work_but_not_the_shops_words(desk, client):
    desk.post(NEW, data=typed())
    coupon, row = one()
    with unit_of_work():
        other = a_promoter("Bia")
        an_enrolment(desk.program, other)
        wishes.create(desk.program, other.id, "BIA", [], Terms())
        user = a_user(Role.PROMOTER, promoter=desk.promoter)
    sign_in(client, user)

    def told():
        return client.get("/promoter/share/?lang=en").text

    assert 'data-copy="ANA10"' in told()
    assert "buyers save 10%" in told()
    assert "BIA" not in told()
    assert "Not ready yet" in told()
    failed(row, "refused", "secret words")
    assert "secret words" not in told()
    with unit_of_work():
        row.state, row.error = "there", None
    assert "Works" in told()
    with unit_of_work():
        wishes.pause(coupon)
    assert "Paused" in told()


def test_the_sweep_stops_what_is_copied_by_hand_in_words_only(desk):
    desk.post(NEW, data=typed())
    with unit_of_work():
        desk.program.ended_at = desk.program.created_at
    with unit_of_work():
        asking.sweep()

    coupon, row = one()
    page = desk.get(f"/merchant/coupons/{coupon.id}?lang=en").text
    assert (row.state, row.stopped) == ("by_hand", True)
    assert "Paused as its promoter does not take part now." in page
