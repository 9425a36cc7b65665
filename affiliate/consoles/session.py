'''Who is signed in, what they may see, and the door of every console.

A console is a blueprint in its own folder, closed by one guard:

    # affiliate/consoles/merchant/__init__.py
    """The merchant console: one blueprint, one guard."""

    from flask import Blueprint

    from affiliate.consoles import layout
    from affiliate.consoles.session import guard
    from affiliate.errors import AffiliateError
    from affiliate.people.models import Role

    bp = Blueprint("merchant", __name__, url_prefix="/merchant")
    bp.before_request(guard(Role.MERCHANT_OWNER, Role.MERCHANT_STAFF, Role.MERCHANT_ANALYST))
    bp.register_error_handler(AffiliateError, layout.show_refusal)

    from affiliate.consoles.merchant import orders  # noqa: E402, F401


    # affiliate/consoles/merchant/orders.py
    from affiliate.consoles.merchant import bp
    from affiliate.consoles.session import current_caller, current_merchant_id

    @bp.get("/orders/")
    def orders() -> ResponseReturnValue:
        return render_template("merchant/orders.html", orders=queries.of(current_merchant_id()))

    @bp.post("/orders/<order_id>/claim")
    def claim(order_id: str) -> ResponseReturnValue:
        merchant_id, order = ids.decode_pair("ord", order_id)
        current_caller().require(Right.RUN_MERCHANT, merchant_id)   # 404 for another's, else 403
        service.claim(merchant_id, order, by=current_caller().user_id)
        flash(_("The claim is made."), "done")
        return redirect(url_for("merchant.orders"), 303)            # so "back" posts nothing twice

`create_app` registers it in `_open_doors`; its first page has the path of HOMES below. What the
guard does: strangers go to the sign-in page and come back afterwards (htmx: HX-Redirect, JSON and
event streams: 401); whoever holds none of the roles gets 404, for them the console does not exist.
The answer is private (no-store) unless the view says otherwise.

A person may hold several roles for several merchants. They are in one *place* at a time, one grant;
`current_caller()` brings that grant along and no other, so `scope` and `require` answer for the
place. `place_menu(places())` in a layout switches. Forms carry their place (`_parts/token.html`,
`hx-headers` of layout.html), so a page in another tab goes on acting where it says it is.

Templates have `person` (name, detail, links, sign_out: what `_parts/account.html` wants) and
`places()`. Forms that post carry `{% include "_parts/token.html" %}`; htmx sends the token by
itself. Tests: `tests/consoles/signed_in.py`.
'''

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    flash,
    g,
    redirect,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from affiliate import audit, i18n, ids
from affiliate.consoles import layout
from affiliate.db import unit_of_work
from affiliate.errors import NotFound
from affiliate.i18n import _
from affiliate.people import queries, service, sessions
from affiliate.people.models import Grant, Role, User, UserSession
from affiliate.people.rules import Caller, Held, Right, Scope
from affiliate.people.sessions import Browser, Opened

HOMES: Mapping[Role, str] = MappingProxyType(
    {
        Role.OPERATOR: "/operator/",
        Role.MERCHANT_OWNER: "/merchant/",
        Role.MERCHANT_STAFF: "/merchant/",
        Role.MERCHANT_ANALYST: "/merchant/",
        Role.FINANCE_MAKER: "/finance/",
        Role.FINANCE_CHECKER: "/finance/",
        Role.FINANCE_AUDITOR: "/finance/",
        Role.AGENCY: "/agency/",
        Role.PROMOTER: "/promoter/",
    }
)
ROLE_WORDS: Mapping[Role, Any] = MappingProxyType(
    {
        Role.OPERATOR: _("Operator"),
        Role.MERCHANT_OWNER: _("Owner"),
        Role.MERCHANT_STAFF: _("Staff"),
        Role.MERCHANT_ANALYST: _("Analyst"),
        Role.FINANCE_MAKER: _("Finance: prepares"),
        Role.FINANCE_CHECKER: _("Finance: approves"),
        Role.FINANCE_AUDITOR: _("Finance: reads"),
        Role.AGENCY: _("Agency"),
        Role.PROMOTER: _("Promoter"),
    }
)
RANK = {str(role): rank for rank, role in enumerate(Role)}
DEVICE_COOKIE = "device"
DEVICE_LIVES = timedelta(days=400)  # the longest a browser keeps a cookie
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Doors with keys of their own: no cookie opens them, so no other site can use one's browser there.
KEYED = frozenset({"api", "intake", "rails"})
SHOWN = frozenset({"showcase"})  # components for tests, never live
LARGER = {"promoter.change_picture": 4 * 1024 * 1024 + 64 * 1024}  # bytes; others take 2 MB
# What is no page to come back to; `links` would even lead to other sites.
NO_PAGES = frozenset({"api", "intake", "links", "rails", "static"})


class SignedIn(UserMixin):  # type: ignore[misc]
    """The person of this request: session, user, and all their grants."""

    def __init__(self, secret: str, row: UserSession, user: User, grants: Sequence[Grant]) -> None:
        self.secret, self.session, self.user, self.grants = secret, row, user, grants

    def get_id(self) -> str:
        """What the cookie says: a random secret, nothing about the person."""
        return self.secret

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def detail(self) -> str:
        return self.user.email or self.user.phone or ""

    @property
    def sign_out(self) -> str:
        return url_for("account.sign_out")

    @property
    def links(self) -> list[dict[str, Any]]:
        me = {"url": url_for("promoter.me"), "icon": "user", "label": _("Me")}
        return [
            *([me] if self.holds(Role.PROMOTER) else []),
            {"url": url_for("account.profile"), "icon": "languages", "label": _("Profile")},
            {"url": url_for("account.security"), "icon": "shield-check", "label": _("Security")},
            {"url": url_for("account.data"), "icon": "download", "label": _("My data")},
        ]

    @cached_property
    def merchant_names(self) -> dict[int, str]:
        wanted = {grant.merchant_id for grant in self.grants if grant.merchant_id is not None}
        found = queries.merchants(wanted) if wanted else {}
        return {id_: row.name for id_, row in found.items()}

    def holds(self, role: Role) -> bool:
        return any(grant.role == role for grant in self.grants)

    def chosen(self, roles: Sequence[Role] = ()) -> Grant | None:
        """The place among these roles, or among all: the one a form was made for and no other,
        else the one chosen before, else the first.
        """
        fitting = {each.id: each for each in self.grants if not roles or each.role in roles}
        if (made_for := _place_of_form()) is not None:
            return fitting.get(made_for)
        first = min(fitting, key=lambda id_: (RANK[fitting[id_].role], id_), default=None)
        return fitting.get(self.session.grant_id or 0) or fitting.get(first or 0)


@dataclass(frozen=True, slots=True)
class Place:
    """One grant as the switch in the layout shows it."""

    url: str
    name: Any
    detail: Any
    current: bool


def guard(*roles: Role) -> Callable[[], ResponseReturnValue | None]:
    """The `before_request` of a console for these roles; of none: for everybody signed in."""

    def check() -> ResponseReturnValue | None:
        person = signed_in()
        if person is None:
            return to_sign_in()
        g.private = True
        g.place = person.chosen(roles)
        audit.act_as(person.user.id)
        if roles and g.place is None:
            abort(404)
        return None

    return check


def _refuse_what_is_no_text() -> None:
    """Nobody types a NUL, and PostgreSQL keeps none: it would fail in the middle of a search."""
    if request.blueprint not in NO_PAGES and any(
        "\0" in text for texts in request.values.listvalues() for text in texts
    ):
        abort(400)


def signed_in() -> SignedIn | None:
    """Who is signed in, if anybody; from here on the page speaks their language."""
    return current_user._get_current_object() if current_user.is_authenticated else None


def current_person() -> SignedIn:
    """Behind a guard there is always one."""
    person = signed_in()
    assert person is not None, "outside a guard"
    return person


def current_caller() -> Caller:
    """Who asks, with the role of the present place and no other."""
    place: Grant | None = g.place
    return Caller(current_person().user.id, (queries.held(place),) if place else ())


def current_place() -> Held:
    """Which role, and for which merchant or promoter. For a guard that names roles."""
    return queries.held(g.place)


def current_scope(right: Right) -> Scope:
    """The merchants for which the right is held in this place; None is every merchant."""
    return current_caller().scope(right)


def current_merchant_id() -> int:
    """The merchant of this place; 404 in a place that is for all merchants or none."""
    merchant_id = current_place().merchant_id
    if merchant_id is None:
        abort(404)
    return merchant_id


def current_promoter_id() -> int:
    promoter_id = current_place().promoter_id
    if promoter_id is None:
        abort(404)
    return promoter_id


def current_agency_id() -> int:
    agency_id = current_place().agency_id
    if agency_id is None:
        abort(404)
    return agency_id


def second_factor_is_fresh() -> bool:
    """Proven in this session within the last five minutes."""
    return sessions.is_fresh(current_person().session)


def prove_second_factor(code: str) -> None:
    """Refuses a wrong code (people.service.check_totp); a right one makes the session fresh."""
    person = current_person()
    service.check_totp(person.user, code)
    sessions.prove(person.session)


def to_sign_in() -> ResponseReturnValue:
    """For strangers: the sign-in page, and from there back to where they were."""
    address = url_for("account.sign_in", next=_way_back())
    if request.headers.get("HX-Request"):
        return Response(status=401, headers={"HX-Redirect": address})
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    if best == "application/json":
        return {"error": "not_signed_in", "message": str(_("Please sign in."))}, 401
    if "text/event-stream" in request.accept_mimetypes.values():
        return Response(status=401)
    return redirect(address, 303)


def _way_back() -> str | None:
    """The page somebody was on: for what was clicked in it, the page and not the click."""
    if request.headers.get("HX-Request"):
        return own_path(_path_of(request.headers.get("HX-Current-URL", "")))
    if request.method in SAFE:
        return own_path(request.full_path.rstrip("?"))
    return own_path(_path_of(request.referrer or ""))


def _path_of(url: str) -> str:
    """The path of an address of this host; nothing for others."""
    parts = urlsplit(url)
    if parts.netloc != request.host:
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def own_path(text: str | None) -> str | None:
    """`next=` as an address of one of our own pages, or None.

    Browsers read `//evil`, `/\\evil` and a path with tabs or line breaks in it as another host, and
    a server between may undo %-codes first; so none of it, plain or encoded, may stand here. What
    is left must be a page that we have.
    """
    if not text or len(text) > 2000 or not _is_plain(text):
        return None
    undone = unquote(text)
    if not _is_plain(undone) or not _is_plain(unquote(undone)):
        return None
    return text if _is_page(undone.partition("?")[0].partition("#")[0]) else None


def _is_plain(text: str) -> bool:
    path = text.partition("?")[0]
    return (
        path.startswith("/")
        and "//" not in path
        and "\\" not in text
        and not any(ord(each) < 0x21 or ord(each) == 0x7F for each in path)
        and not any(ord(each) < 0x20 for each in text)
    )


def _is_page(path: str) -> bool:
    try:
        adapter = current_app.create_url_adapter(request)
        endpoint, _values = adapter.match(path, method="GET") if adapter else ("static", {})
    except HTTPException:
        return False
    return endpoint.partition(".")[0] not in NO_PAGES


def home() -> str:
    """The first page of whoever is signed in: their console, or the account without a role."""
    place = current_person().chosen()
    return home_of(Role(place.role)) if place else url_for("account.profile")


def home_of(role: Role) -> str:
    return HOMES[role] if _is_page(HOMES[role]) else url_for("account.profile")


def this_browser() -> Browser:
    return Browser(
        request.remote_addr, request.user_agent.string, request.cookies.get(DEVICE_COOKIE)
    )


def enter(response: BaseResponse, opened: Opened, user: User) -> None:
    """Sign in with this answer: everything the browser's session held before is gone."""
    kept = _token_of(user)
    session.clear()
    session.permanent = True
    if kept:
        session["csrf_token"] = kept
    person = SignedIn(opened.secret, opened.session, user, queries.grants_of(user.id))
    login_user(person)
    i18n.person(locale=user.locale, timezone=user.timezone)
    # Flask-Login notes these for features we do not use; the cookie holds the secret alone.
    session.pop("_id", None)
    session.pop("_fresh", None)
    if opened.device:
        response.set_cookie(
            DEVICE_COOKIE, opened.device, max_age=DEVICE_LIVES, httponly=True,
            samesite="Lax", secure=current_app.config["SESSION_COOKIE_SECURE"],
        )  # fmt: skip


def _token_of(user: User) -> str | None:
    """When the same person signs in again, forms in their other tabs stay good."""
    row = queries.session_of(session.get("_user_id", ""))
    return session.get("csrf_token") if row and row.user_id == user.id else None


def leave() -> None:
    person = signed_in()
    if person:
        sessions.end(person.user.id, person.session.id)
    logout_user()
    session.clear()


def init_app(app: Flask) -> None:
    """After every blueprint is registered: their names say who is guarded by a cookie."""
    secure = app.config["SESSION_COOKIE_SECURE"]
    app.config.update(
        # With the prefix browsers refuse a cookie that another subdomain or plain http planted.
        SESSION_COOKIE_NAME="__Host-tuike" if secure else "tuike",
        PERMANENT_SESSION_LIFETIME=sessions.IDLE,
        SESSION_REFRESH_EACH_REQUEST=False,  # else pictures and scripts would set cookies too
        WTF_CSRF_TIME_LIMIT=None,  # a token is as good as the session it belongs to
        WTF_CSRF_SSL_STRICT=False,  # pages with a secret address send no referrer
    )
    app.before_request(_make_room)
    app.before_request(_refuse_what_is_no_text)
    _watch(app)
    csrf = CSRFProtect(app)
    for name in (KEYED | SHOWN) & set(app.blueprints):
        csrf.exempt(app.blueprints[name])
    app.register_error_handler(CSRFError, _old_form)
    app.context_processor(_in_templates)
    app.after_request(_afterwards)


def _make_room() -> None:
    """Before the form's token is read, and with it the form."""
    if request.endpoint in LARGER:
        request.max_content_length = LARGER[request.endpoint]


def _watch(app: Flask) -> None:
    manager = LoginManager()
    manager.session_protection = None  # the row knows the browser; the cookie need not
    manager.user_loader(_load)
    # Not init_app: it would look at the session, and so ask the database, for every single answer.
    app.login_manager = manager  # type: ignore[attr-defined]


def _load(secret: str) -> SignedIn | None:
    found = sessions.find(secret)
    if found is None:
        return None
    row, user, grants = found
    i18n.person(locale=user.locale, timezone=user.timezone)
    if sessions.needs_touch(row):
        g.touch_session = row.id
    return SignedIn(secret, row, user, grants)


def _old_form(error: CSRFError) -> ResponseReturnValue:
    """A form from before signing in or out. For strangers the guard of that door answers; who is
    signed in must load the page again.
    """
    if request.path.startswith(url_for("account.sign_in")):
        flash(_("This page was too old. Please try again."), "wait")
        return redirect(url_for("account.sign_in", next=own_path(request.values.get("next"))), 303)
    if signed_in() is None:
        for check in current_app.before_request_funcs.get(request.blueprint, ()):
            answer: Any = check()
            if answer is not None:
                return cast(ResponseReturnValue, answer)
    return layout.show_error(error)


def _in_templates() -> dict[str, Any]:
    """Only where somebody already asked who it is: an error page asks the database nothing."""
    if "_login_user" not in g or not g._login_user.is_authenticated:
        return {}
    place: Grant | None = g.get("place")
    return {
        "person": g._login_user,
        "places": places,
        "place_token": ids.encode("pla", place.id) if place else None,
    }


def places() -> list[Place]:
    """All grants of the person, for `place_menu`."""
    person = current_person()
    now = g.get("place")
    return [
        Place(
            url=url_for("account.move", place_id=ids.encode("pla", grant.id)),
            name=person.merchant_names.get(grant.merchant_id or 0) or _home_name(grant, person),
            detail=ROLE_WORDS[Role(grant.role)],
            current=now is not None and grant.id == now.id,
        )
        for grant in person.grants
    ]


def _home_name(grant: Grant, person: SignedIn) -> Any:
    if grant.promoter_id is not None:
        return person.name
    if grant.agency_id is not None:
        return queries.agency(grant.agency_id).name
    return _("All merchants") if grant.role in sessions.BY_THE_DAY else ROLE_WORDS[Role(grant.role)]


def _place_of_form() -> int | None:
    """The place that the page stood for when this was clicked; 0 for one we never made."""
    text = request.headers.get("X-Place") or request.form.get("place")
    try:
        return ids.decode_one("pla", text) if text else None
    except NotFound:
        return 0


def _afterwards(response: Response) -> Response:
    """After the request, as `last seen` is kept in a transaction of its own."""
    if g.get("private"):
        response.headers.setdefault("Cache-Control", "no-store")
    session_id = g.pop("touch_session", None)
    if session_id is not None and response.status_code < 500:
        with unit_of_work():
            sessions.touch(session_id)
        session.modified = True  # and the cookie lives 30 days from now
    return response
