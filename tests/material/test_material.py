"""Pictures to pass on, looks, words and codes: on the desk, on the phone and over the API."""

import base64
import csv
import io
import re
import zipfile

import pytest
import sqlalchemy as sa
from PIL import Image

from affiliate import ids
from affiliate.consoles.merchant import material
from affiliate.db import db, unit_of_work
from affiliate.links import share
from affiliate.material import queries
from affiliate.material.models import Caption, Material, MaterialFile
from affiliate.people.models import Role
from tests.catalog.test_api import caller, mer, prd
from tests.consoles.promoter_town import Town
from tests.consoles.signed_in import sign_in
from tests.factories.links import a_link
from tests.factories.people import a_key, a_user
from tests.material.pictures import A_VIDEO, a_bomb, a_picture, with_place
from tests.material.reading import passed_on, read_code
from tests.material.test_captions import a_generator, said

LOGO = a_picture("PNG", (300, 300), (200, 30, 40))


@pytest.fixture
def town():
    with unit_of_work():
        found = Town("Sol")
        found.owner = a_user(Role.MERCHANT_OWNER, merchant=found.merchant)
        found.goods = a_link(found.program, found.ana, product=found.product)
    return found


@pytest.fixture
def other():
    with unit_of_work():
        return Town("Lua")


def upload(client, town, *files, text=""):
    sent = [(io.BytesIO(content), f"{number}.jpg") for number, content in enumerate(files)]
    path = f"/merchant/products/{town.product.id}/material"
    return client.post(path, data={"files": sent, "text": text})


def sheet_of(link):
    return f"/promoter/share/{ids.encode('lnk', link.merchant_id, link.id)}"


def unpacked(answer):
    assert answer.mimetype == "application/zip"
    packed = zipfile.ZipFile(io.BytesIO(answer.data))
    assert packed.testzip() is None
    return {name: packed.read(name) for name in packed.namelist()}


# --- pictures and videos -------------------------------------------------------------------------


def test_nine_pictures_go_from_the_desk_to_the_phone_and_out_again(client, town):
    sign_in(client, town.owner)
    sent = [with_place(), *[a_picture(color=(number * 20, 0, 0)) for number in range(8)]]
    assert upload(client, town, *sent, text="Linda! {price}").status_code == 303
    sign_in(client, town.user)

    page = client.get(sheet_of(town.goods)).text

    names = re.findall(r'data-share-files="((?:/material/\S+ )+)"', page)[0].split()
    assert len(names) == 9
    assert "[Publicidade] Linda! R$\xa0199,90" in page
    picture = client.get(names[0])
    assert picture.mimetype == "image/jpeg"
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in picture.headers["Content-Security-Policy"]
    assert b"Phone of Ana" not in picture.data
    saved = unpacked(client.get(re.search(r'href="(\S+material/\S+\.zip)"', page)[1]))
    assert sorted(saved) == [*(f"{number}.jpg" for number in range(1, 10)), "words.txt"]
    assert saved["1.jpg"] == picture.data


def test_a_video_can_be_looked_at_in_parts(client, town):
    sign_in(client, town.owner)
    assert upload(client, town, A_VIDEO).status_code == 303
    name = db.session.scalars(sa.select(MaterialFile.file)).one()

    part = client.get(f"/material/{name}", headers={"Range": "bytes=4-7"})
    page = client.get(f"/merchant/products/{town.product.id}/material").text

    assert (part.status_code, part.data, part.mimetype) == (206, b"ftyp", "video/mp4")
    assert f'<video src="/material/{name}"' in page


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([b"<html>"], "no picture"),
        ([a_picture(), a_bomb()], "too many pixels"),
        ([a_picture()] * 10, "Nine pictures"),
        ([A_VIDEO, a_picture()], "Nine pictures"),
        ([], "Choose pictures"),
    ],
    ids=["no picture", "a bomb", "ten", "a video and more", "nothing"],
)
def test_what_cannot_be_taken_is_refused_whole_and_in_words(client, town, files, words):
    sign_in(client, town.owner)

    answer = upload(client, town, *files)

    assert answer.status_code == 422
    assert words in answer.text
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Material)) == 0


def test_more_than_a_form_may_bring_is_refused_unread(client, town, monkeypatch):
    monkeypatch.setattr(material, "UPLOAD_BYTES_MOST", 100_000)
    sign_in(client, town.owner)

    assert upload(client, town, bytes(200_000)).status_code == 413


def test_a_set_that_was_taken_away_is_offered_no_more(client, town):
    sign_in(client, town.owner)
    upload(client, town, a_picture(), text="Linda!")
    row = db.session.scalars(sa.select(Material)).one()
    key = ids.encode("mat", row.merchant_id, row.id)

    client.post(f"/merchant/material/{row.id}/end")

    sign_in(client, town.user)
    assert "Linda!" not in client.get(sheet_of(town.goods)).text
    assert client.get(f"{sheet_of(town.goods)}/material/{key}.zip").status_code == 404


@pytest.mark.parametrize("name", ["x.jpg", "..%2f..%2fsecrets.json", "a" * 64 + ".svg", "a" * 64])
def test_only_files_that_were_uploaded_are_served(client, name):
    assert client.get(f"/material/{name}").status_code == 404


# --- looks and codes -----------------------------------------------------------------------------


def test_a_colour_and_a_logo_are_on_posters_and_codes(client, town):
    sign_in(client, town.owner)
    before = client.get("/merchant/material/sample-ticket.jpg").data
    plain = client.get(f"/s/{town.goods.code}/qr.png").data

    sent = {"color": "#0F766E", "logo": (io.BytesIO(LOGO), "logo.png")}
    assert client.post("/merchant/material/look", data=sent).status_code == 303

    assert client.get("/merchant/material/sample-ticket.jpg").data != before
    wanted = share.scan_url(share.short_url(town.goods.code))
    for size in (300, 512, 1024):
        code = client.get(f"/s/{town.goods.code}/qr.png?size={size}").data
        assert read_code(code) == read_code(passed_on(code)) == wanted
        image = Image.open(io.BytesIO(code)).convert("RGB")
        assert image.getpixel((size // 2, size // 2)) == (200, 30, 40)
    assert 'href="data:image/png;base64,' in client.get(f"/s/{town.goods.code}/qr.svg").text
    assert client.get(f"/s/{town.goods.code}/qr.png?logo=0").data == plain
    page = share.scan_url(share.page_url(town.goods.code))
    assert read_code(client.get(f"/p/{town.goods.code}/qr.png").data) == page
    assert queries.look(town.merchant.id).color == "#0f766e"


def test_a_logo_can_be_given_up_and_a_bad_one_changes_nothing(client, town):
    sign_in(client, town.owner)
    client.post("/merchant/material/look", data={"logo": (io.BytesIO(LOGO), "a.png")})
    kept = queries.look(town.merchant.id).logo
    bad = {"color": "#000000", "logo": (io.BytesIO(b"<svg/>"), "a.svg")}

    assert client.post("/merchant/material/look", data=bad).status_code == 422
    assert client.post("/merchant/material/look", data={"color": "red"}).status_code == 422
    db.session.expire_all()
    assert queries.look(town.merchant.id).logo == kept is not None
    assert queries.look(town.merchant.id).color is None
    client.post("/merchant/material/look", data={"color": "#c2410c", "no_logo": "1"})
    db.session.expire_all()
    assert queries.look(town.merchant.id).logo is None


@pytest.mark.parametrize("size", [200, 512, 1024])
def test_a_plain_code_is_read_by_a_stranger(size):
    code = share.png("https://go.example.com/s/abc234?q", size)

    assert read_code(code) == read_code(passed_on(code)) == "https://go.example.com/s/abc234?q"


def test_all_codes_of_a_program_come_in_one_file(client, town, other):
    with unit_of_work():
        theirs = a_link(town.program, town.bia, product=town.product)
    sign_in(client, town.user)
    program = ids.encode("prg", town.merchant.id, town.program.id)

    mine = unpacked(client.get(f"/promoter/share/qr/{program}.zip"))
    sign_in(client, town.owner)
    every = unpacked(client.get(f"/merchant/programs/{town.program.id}/qr.zip"))

    codes = {read_code(content) for name, content in mine.items() if name.endswith(".png")}
    own = {share.scan_url(share.short_url(each.code)) for each in (town.link, town.goods)}
    assert codes == own
    table = list(csv.DictReader(io.StringIO(every["links.csv"].decode("utf-8-sig"))))
    of_all = {share.short_url(each.code) for each in (town.link, town.goods, theirs)}
    assert {each["address"] for each in table} == of_all
    assert all(each["file"] in every for each in table)
    assert client.get(f"/merchant/programs/{other.program.id}/qr.zip").status_code == 404
    sign_in(client, other.user)
    assert client.get(f"/promoter/share/qr/{program}.zip").status_code == 404
    assert client.get("/promoter/share/qr/x.zip").status_code == 404


def test_a_scan_leads_on_like_a_click(client, town):
    scanned = read_code(client.get(f"/s/{town.goods.code}/qr.png").data)

    answer = client.get(scanned[scanned.index("/s/") :])

    assert answer.status_code == 302
    assert "tk=" in answer.location
    assert not re.search(r"[?&]q\b", answer.location)


# --- words ---------------------------------------------------------------------------------------


def test_own_words_go_with_label_and_link_until_they_are_taken_back(client, town):
    sign_in(client, town.user)
    sheet = sheet_of(town.goods)

    answer = client.post(f"{sheet}/words", data={"language": "es", "text": "<b>Me encanta</b>"})
    page = client.get(answer.location).text

    url = share.short_url(town.goods.code)
    assert f"[Publicidad] &lt;b&gt;Me encanta&lt;/b&gt;\n{url}" in page
    client.post(f"{sheet}/words", data={"language": "es", "text": ""})
    assert "Me encanta" not in client.get(answer.location).text
    assert client.post(f"{sheet}/words", data={"text": "x" * 1001}).status_code == 422


def test_a_merchants_words_are_what_promoters_start_from(client, town):
    sign_in(client, town.owner)
    for of, key, text in (
        ("program", town.program.id, "Do programa"),
        ("product", town.product.id, "Do produto {title}"),
    ):
        sent = {of: key, "language": "pt-BR", "text": text}
        assert client.post("/merchant/material/words", data=sent).status_code == 303
    sign_in(client, town.user)

    assert "[Publicidade] Do produto Camisa Sol" in client.get(sheet_of(town.goods)).text
    assert "[Publicidade] Do programa" in client.get(sheet_of(town.link)).text


def test_drafts_are_kept_only_when_one_is_picked(app, client, town, monkeypatch):
    sign_in(client, town.user)
    path = f"{sheet_of(town.goods)}/drafts"
    assert client.post(path, data={"language": "pt-BR"}).status_code == 409
    assert "/drafts" not in client.get(sheet_of(town.goods)).text

    text = "Linda <script>\n---\nQue bom"
    with a_generator(app, monkeypatch, lambda _: said(text)) as asked:
        page = client.post(path, data={"language": "pt-BR"}).text
        assert "/drafts" in client.get(sheet_of(town.goods)).text

    assert "Linda &lt;script&gt;" in page
    assert "Ana Sol" not in str(asked)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Caption)) == 0


def test_only_ones_own_links_get_words_drafts_and_files(client, town, other):
    sign_in(client, other.user)
    sheet = sheet_of(town.goods)

    assert client.post(f"{sheet}/words", data={"text": "mine"}).status_code == 404
    assert client.post(f"{sheet}/drafts").status_code == 404
    assert client.get(f"{sheet}/material/mat_abcdefgh.zip").status_code == 404


# --- the API -------------------------------------------------------------------------------------


def test_the_api_gives_all_that_goes_along_with_a_link(client, town):
    as_owner = caller(client, a_key(Role.MERCHANT_OWNER, merchant=town.merchant))
    as_ana = caller(client, a_key(Role.PROMOTER, promoter=town.ana))
    goods = prd(town.product)
    made = as_owner("POST", "/materials", {"product": goods, "text": "Linda"}).json
    content = base64.b64encode(with_place()).decode()
    path = f"/materials/{made['id']}"

    put = as_owner("PUT", f"{path}/files/1", {"content": content})
    again = as_owner("PUT", f"{path}/files/1", {"content": content})
    bad = as_owner("PUT", f"{path}/files/2", {"content": "!"})
    video = as_owner("PUT", f"{path}/files/2", {"content": base64.b64encode(A_VIDEO).decode()})
    ten = as_owner("PUT", f"{path}/files/10", {"content": content})
    words = {"product": goods, "language": "pt-BR", "text": "Da loja: {price}"}
    caption = as_owner("POST", "/captions", words)
    shown = as_ana("GET", f"/links/{ids.encode('lnk', town.merchant.id, town.goods.id)}/share")

    assert [put.status_code, again.status_code, bad.status_code] == [200, 200, 422]
    assert (bad.json["errors"][0]["pointer"], video.status_code) == ("/content", 422)
    assert ten.status_code == 404
    assert caption.status_code == 201
    assert shown.json["caption"].startswith("[Publicidade] Da loja: R$\xa0199,90\nhttp")
    assert set(shown.json["posters"]) == {"window", "cover", "ticket"}
    assert [each["width"] for each in shown.json["materials"][0]["files"]] == [480]
    assert as_owner("GET", "/captions").json["data"] == [caption.json]
    assert as_owner("GET", f"/captions/{caption.json['id']}").json == caption.json
    assert as_owner("GET", f"/materials?product={goods}").json["data"][0]["id"] == made["id"]


def test_looks_and_words_are_changed_over_the_api(client, town):
    as_owner = caller(client, a_key(Role.MERCHANT_OWNER, merchant=town.merchant))
    as_ana = caller(client, a_key(Role.PROMOTER, promoter=town.ana))
    look = f"/merchants/{mer(town.merchant)}/look"
    tag = as_owner("GET", look).headers["ETag"]
    logo = base64.b64encode(LOGO).decode()

    changed = as_owner("PATCH", look, {"color": "#123ABC", "logo": logo}, **{"If-Match": tag})
    stale = as_owner("PATCH", look, {"color": None}, **{"If-Match": tag})
    link = f"/links/{ids.encode('lnk', town.merchant.id, town.goods.id)}"
    own = as_ana("PUT", f"{link}/caption", {"language": "en", "text": "Mine"})
    theirs = as_owner("PUT", f"{link}/caption", {"language": "en", "text": "Mine"})

    assert (changed.json["color"], stale.status_code) == ("#123abc", 412)
    address = changed.json["logo_url"]
    assert client.get(address[address.index("/material/") :]).mimetype == "image/png"
    assert own.json["caption"].startswith("[Ad] Mine\n")
    assert theirs.status_code in {403, 404}
    assert as_owner("GET", "/captions").json["data"] == []  # a promoter's words are the promoter's
