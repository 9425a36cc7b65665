"""What a promoter is told of: the news, by which channels of which kind, and when not."""

import json
from typing import Any
from urllib.parse import urlsplit

from flask import abort, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from affiliate import security
from affiliate.config import Settings
from affiliate.consoles.promoter import bp
from affiliate.consoles.session import current_person
from affiliate.db import let_go
from affiliate.i18n import _
from affiliate.notices import push, queries, service, wechat
from affiliate.notices.models import Channel, Kind, Notice
from affiliate.outside import NotPublic, Unreachable, check_public

SHOWN = 30
WECHAT_STATE = "wechat_state"
POINT, AUTH = 65, 16  # bytes of a browser's keys (RFC 8291)
LONGEST = 1000
KINDS: dict[Kind, Any] = {
    Kind.ORDERS: _("New orders"),
    Kind.MONEY: _("Payouts and withdrawals"),
    Kind.PROGRAMS: _("Programs, rates and grades"),
    Kind.TEAM: _("My team and agency"),
}
CHANNELS: dict[Channel, Any] = {
    Channel.IN_APP: _("Here"),
    Channel.MAIL: _("E-mail"),
    Channel.PUSH: _("This phone"),
    Channel.WECHAT: _("WeChat"),
}


@bp.get("/news")
def news() -> ResponseReturnValue:
    """Looking at it is having seen it."""
    user = current_person().user
    before = request.args.get("before", type=int)
    found = queries.news_of(user.id, SHOWN + 1, before)
    shown = render_template(
        "promoter/news.html",
        news=[(each, _words(each)) for each in found[:SHOWN]],
        older=found[SHOWN - 1].id if len(found) > SHOWN else None,
    )
    service.seen(user.id)
    return shown


def _words(notice: Notice) -> str:
    text = queries.text_of(notice)
    return text.plain if text else ""


@bp.get("/notices")
def notices() -> ResponseReturnValue:
    user = current_person().user
    return render_template(
        "promoter/notices.html",
        kinds=KINDS.items(),
        channels=[(channel, words) for channel, words in CHANNELS.items() if _is_offered(channel)],
        chosen=queries.chosen(user.id),
        quiet=(user.quiet_from, user.quiet_until),
        hours=[(str(hour * 60), f"{hour:02}:00") for hour in range(24)],
        push_key=push.public_key(),
        browsers=len(queries.subscriptions_of(user.id)),
        wechat=wechat.is_offered(_settings()),
        follows=queries.follower(user.id) is not None,
    )


def _is_offered(channel: Channel) -> bool:
    user = current_person().user
    if channel is Channel.MAIL:
        return user.email is not None
    return channel is not Channel.WECHAT or wechat.is_offered(_settings())


@bp.post("/notices")
def choose_notices() -> ResponseReturnValue:
    user = current_person().user
    before = queries.chosen(user.id)
    service.choose(user, {kind: _chosen(kind, before[kind]) for kind in KINDS})
    user.quiet_from, user.quiet_until = _minutes("quiet_from"), _minutes("quiet_until")
    if None in (user.quiet_from, user.quiet_until):
        user.quiet_from = user.quiet_until = None
    flash(_("Saved."), "done")
    return redirect(url_for("promoter.notices"), 303)


def _chosen(kind: Kind, before: frozenset[Channel]) -> set[Channel]:
    """What is not offered now stays as it was."""
    return {
        channel
        for channel in CHANNELS
        if (f"{kind}:{channel}" in request.form if _is_offered(channel) else channel in before)
    }


def _minutes(name: str) -> int | None:
    text = request.form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and int(text) < 1440 else None


@bp.post("/push")
def subscribe() -> ResponseReturnValue:
    """A browser brings its subscription as it is (PushSubscription.toJSON)."""
    try:
        told = json.loads(request.get_data(cache=False))
        endpoint, keys = str(told["endpoint"]), told["keys"]
        p256dh, auth = security.unb64url(keys["p256dh"]), security.unb64url(keys["auth"])
    except (ValueError, KeyError, TypeError):
        abort(422)
    good = len(p256dh) == POINT and p256dh[0] == 4 and len(auth) == AUTH
    if not good or len(endpoint) > LONGEST or not _may_be_called(endpoint):
        abort(422)
    service.subscribe(current_person().session, endpoint, p256dh, auth)
    return "", 204


def _may_be_called(endpoint: str) -> bool:
    if _settings().push_anywhere:
        return urlsplit(endpoint).scheme in ("http", "https")
    try:
        check_public(endpoint)
    except (NotPublic, Unreachable):
        return False
    return True


@bp.post("/push/stop")
def unsubscribe() -> ResponseReturnValue:
    try:
        endpoint = str(json.loads(request.get_data(cache=False))["endpoint"])
    except (ValueError, KeyError, TypeError):
        abort(422)
    service.unsubscribe(endpoint, current_person().user.id)
    return "", 204


@bp.get("/wechat")
def connect_wechat() -> ResponseReturnValue:
    """To WeChat and back: it tells us who follows, and nothing else."""
    if not wechat.is_offered(_settings()):
        abort(404)
    session[WECHAT_STATE] = security.new_secret()
    back = f"{_settings().address}{url_for('promoter.wechat_back')}"
    return redirect(wechat.gate(_settings(), back, session[WECHAT_STATE]), 303)


@bp.get("/wechat/back")
def wechat_back() -> ResponseReturnValue:
    state = session.pop(WECHAT_STATE, None)
    code = request.args.get("code", "")
    if not wechat.is_offered(_settings()):
        abort(404)
    if not state or not code or not security.same(request.args.get("state", ""), state):
        flash(_("This took too long. Connect WeChat again."), "wait")
        return redirect(url_for("promoter.notices"), 303)
    user_id = current_person().user.id
    let_go()
    try:
        openid = wechat.openid_of(_settings(), code)
    except Unreachable:
        flash(_("WeChat could not be understood. Try again."), "bad")
    else:
        service.follow(user_id, openid)
        flash(_("From now on WeChat tells you, while you follow our account there."), "done")
    return redirect(url_for("promoter.notices"), 303)


@bp.post("/wechat/stop")
def disconnect_wechat() -> ResponseReturnValue:
    service.unfollow(current_person().user.id)
    flash(_("WeChat tells you nothing any more."), "done")
    return redirect(url_for("promoter.notices"), 303)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


@bp.context_processor
def _news_dot() -> dict[str, Any]:
    return {"has_news": lambda: queries.has_news(current_person().user.id)}
