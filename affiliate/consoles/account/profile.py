"""Who one is here: name, language, time zone, light or dark."""

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue

from affiliate import i18n
from affiliate.consoles.account import bp
from affiliate.consoles.account.doors import page, typed
from affiliate.consoles.account.joining import NAME_LENGTH
from affiliate.consoles.layout import THEMES
from affiliate.consoles.session import current_person
from affiliate.i18n import A_YEAR, COOKIE, _
from affiliate.people import service, zones

# In their own words, as somebody who is lost in another language looks for them.
LANGUAGES = {
    "zh-Hans": "简体中文",
    "en": "English",
    "es": "Español",
    "es-MX": "Español (México)",
    "es-AR": "Español (Argentina)",
    "pt-BR": "Português (Brasil)",
}


@bp.get("/account/")
def profile() -> ResponseReturnValue:
    return _form()


@bp.post("/account/")
def change_profile() -> ResponseReturnValue:
    if wrong := _wrong():
        return _form(wrong)
    user = current_person().user
    service.change_user(
        user, name=typed("name"), locale=typed("locale"), timezone=typed("timezone")
    )
    response = redirect(url_for("account.profile"), 303)
    response.delete_cookie(COOKIE, samesite="Lax")  # an earlier choice here would hide this one
    if typed("theme") in THEMES:
        response.set_cookie("theme", typed("theme"), max_age=A_YEAR, samesite="Lax")
    else:
        response.delete_cookie("theme", samesite="Lax")
    with i18n.read_as(user.locale):
        flash(str(_("Saved.")), "done")
    return response


def _wrong() -> dict[str, object]:
    wrong: dict[str, object] = {}
    if len(typed("name")) not in NAME_LENGTH:
        wrong["name"] = _(
            "Tell us a name of at most %(most)s characters.", most=NAME_LENGTH.stop - 1
        )
    if typed("locale") not in i18n.LOCALES:
        wrong["locale"] = _("Choose your language.")
    if typed("timezone") not in zones.all_zones():
        wrong["timezone"] = _("Choose your time zone.")
    return wrong


def _form(wrong: dict[str, object] | None = None) -> ResponseReturnValue:
    user = current_person().user
    given = {
        "name": typed("name") or user.name,
        "locale": typed("locale") or user.locale,
        "timezone": typed("timezone") or user.timezone,
    }
    return page(
        "account/profile.html",
        status=422 if wrong else 200,
        given=given,
        wrong=wrong or {},
        languages_known=LANGUAGES,
        zone_options=[(zone, zone.replace("_", " ")) for zone in zones.all_zones()],
    )
