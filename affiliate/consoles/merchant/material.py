"""What promoters get to pass on: the look of posters, words, pictures and videos, QR codes."""

from collections.abc import Iterator
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from affiliate import exports, i18n
from affiliate.catalog import queries as catalog
from affiliate.consoles.merchant import bp
from affiliate.consoles.session import current_caller, current_merchant_id
from affiliate.db import db
from affiliate.errors import AffiliateError, NotFound
from affiliate.i18n import _
from affiliate.links import captions
from affiliate.material import pictures, queries, service
from affiliate.material.archives import qr_codes
from affiliate.material.colours import SEAL
from affiliate.material.models import PICTURES_MOST
from affiliate.material.posters import TEMPLATES
from affiliate.material.service import Sent
from affiliate.people import queries as people
from affiliate.people.rules import Right
from affiliate.programs import queries as programs

# Nine pictures of the largest size are rare; a form beyond this is refused unread.
UPLOAD_BYTES_MOST = 100 * 1024 * 1024
UPLOADS = {"merchant.add_material", "merchant.change_look"}


@bp.url_value_preprocessor
def _room_for_files(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Before anything looks at the form; all other forms stay small."""
    if endpoint in UPLOADS:
        request.max_content_length = UPLOAD_BYTES_MOST


@bp.teardown_request
def _close_files(_error: BaseException | None) -> None:
    """Large ones lie in temporary files."""
    request.close()


@bp.get("/material/")
def material() -> ResponseReturnValue:
    return _look_page()


@bp.post("/material/look")
def change_look() -> ResponseReturnValue:
    merchant_id = _own()
    changes: dict[str, Any] = {"color": request.form.get("color", "").strip() or None}
    sent = request.files.get("logo")
    if sent and sent.filename:
        changes["logo"] = sent.read(pictures.BYTES_MOST + 1)
    elif request.form.get("no_logo"):
        changes["logo"] = None
    try:
        service.change_look(merchant_id, changes)
    except AffiliateError as refusal:
        return _look_page(refusal)
    flash(_("Posters and QR codes look like this now."), "done")
    return redirect(url_for("merchant.material"), 303)


@bp.get("/material/sample-<any(window, cover, ticket):template>.jpg")
def sample_poster(template: str) -> Response:
    merchant = people.merchant(current_merchant_id())
    drawn = service.sample(queries.look(merchant.id), merchant, template)
    return Response(drawn, mimetype="image/jpeg", headers={"Cache-Control": "private, no-cache"})


@bp.post("/material/words")
def keep_words() -> ResponseReturnValue:
    """Of a program or a product, in one language; none brings back ours."""
    merchant_id, typed = _own(), request.form
    product_id, program_id = _number("product"), _number("program")
    if product_id is not None:
        catalog.product(merchant_id, product_id)
    else:
        program_id = programs.program(merchant_id, program_id or 0).id
    try:
        service.set_caption(
            merchant_id, typed.get("language", ""), typed.get("text", ""),
            product_id=product_id, program_id=program_id if product_id is None else None,
        )  # fmt: skip
    except AffiliateError as refusal:
        return _look_page(refusal) if product_id is None else _product_page(product_id, refusal)
    flash(_("The words are kept. Label and link are put with them."), "done")
    if product_id is None:
        return redirect(url_for("merchant.material"), 303)
    return redirect(url_for("merchant.product_material", product_id=product_id), 303)


@bp.get("/products/<int:product_id>/material")
def product_material(product_id: int) -> ResponseReturnValue:
    return _product_page(product_id)


@bp.post("/products/<int:product_id>/material")
def add_material(product_id: int) -> ResponseReturnValue:
    product = catalog.product(_own(), product_id)
    sent = [
        Sent(each.filename or "", each.stream)
        for each in request.files.getlist("files")
        if each.filename
    ]
    try:
        with db.session.begin_nested():
            service.add_material(product, request.form.get("text", ""), sent)
    except AffiliateError as refusal:
        return _product_page(product_id, refusal)
    flash(_("Promoters find it beside their links now."), "done")
    return redirect(url_for("merchant.product_material", product_id=product_id), 303)


@bp.post("/material/<int:material_id>/end")
def end_material(material_id: int) -> ResponseReturnValue:
    found = queries.material(_own(), material_id, lock=True)
    service.change_material(found, {"ended": True})
    return redirect(url_for("merchant.product_material", product_id=found.product_id), 303)


@bp.get("/programs/<int:program_id>/qr.zip")
def all_codes(program_id: int) -> ResponseReturnValue:
    """A QR code for each link that any promoter has in this program."""
    program = programs.program(current_merchant_id(), program_id)
    merchant_id = program.merchant_id

    def codes() -> Iterator[tuple[str, bytes]]:
        return qr_codes(merchant_id, program_id)

    return exports.archive(f"qr-{program_id}", codes)


def _own() -> int:
    merchant_id = current_merchant_id()
    current_caller().require(Right.RUN_MERCHANT, merchant_id)
    return merchant_id


def _number(name: str) -> int | None:
    text = request.form.get(name, "")
    if text and not text.isdecimal():
        raise NotFound
    return int(text) if text else None


def _look_page(refusal: AffiliateError | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    look = queries.look(merchant_id)
    running = [program for program, _terms in programs.running(merchant_id)]
    page = render_template(
        "merchant/material.html",
        look=look,
        color=(look.color if look else None) or SEAL,
        templates=list(TEMPLATES),
        version=look.version if look else 0,
        accepted=pictures.ACCEPTED,
        programs=running,
        words={each.id: queries.captions_of(merchant_id, program_id=each.id) for each in running},
        languages=i18n.LANGUAGES,
        longest=captions.TEXT_MOST,
        refusal=refusal,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200


def _product_page(product_id: int, refusal: AffiliateError | None = None) -> ResponseReturnValue:
    merchant_id = current_merchant_id()
    product = catalog.product(merchant_id, product_id)
    sets = queries.materials_of(merchant_id, product.id)
    page = render_template(
        "merchant/product_material.html",
        product=product,
        sets=sets,
        files=queries.files_of(merchant_id, [each.id for each in sets]),
        words=queries.captions_of(merchant_id, product_id=product.id),
        languages=i18n.LANGUAGES,
        longest=captions.TEXT_MOST,
        accepted=f"{pictures.ACCEPTED},video/mp4,video/webm",
        most=PICTURES_MOST,
        refusal=refusal,
        may_write=current_caller().may(Right.RUN_MERCHANT),
    )
    return page, refusal.status if refusal else 200
