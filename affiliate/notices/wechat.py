"""Template messages of a WeChat service account (服务号模板消息).

developers.weixin.qq.com, "stable_token" and "sendTemplateMessage" (2026-11). A follower is known by
an openid, which WeChat's own browser tells (网页授权, snsapi_base).
"""

import json
from urllib.parse import urlencode

from flask import current_app
from redis import Redis

from affiliate import formats, outside, security
from affiliate.config import Settings
from affiliate.notices.errors import NotSent
from affiliate.notices.models import Notice
from affiliate.notices.queries import Text
from affiliate.outside import Answer, Unreachable

TOKEN = "wechat:token"  # noqa: S105
STALE = {40001, 40014, 42001}
NEVER = {40003, 40037, 43004, 43101, 47003}  # no such openid or template, does not follow
LONGEST = 20  # characters of a `thing` field


def is_offered(settings: Settings) -> bool:
    return bool(
        settings.wechat_service_appid
        and settings.wechat_service_secret
        and settings.wechat_service_template
    )


def gate(settings: Settings, back: str, state: str) -> str:
    """Where WeChat's browser is sent to be told apart; others cannot open it."""
    query = {
        "appid": settings.wechat_service_appid,
        "redirect_uri": back,
        "response_type": "code",
        "scope": "snsapi_base",
        "state": state,
    }
    base = str(settings.wechat_open_url).rstrip("/")
    return f"{base}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"


def openid_of(settings: Settings, code: str) -> str:
    """Who came back with this code. Unreachable when it cannot be said."""
    assert settings.wechat_service_secret
    query = {
        "appid": settings.wechat_service_appid or "",
        "secret": settings.wechat_service_secret.get_secret_value(),
        "code": code,
        "grant_type": "authorization_code",
    }
    found = outside.ask("GET", f"{_base(settings)}/sns/oauth2/access_token", query=query).json()
    if not isinstance(found.get("openid"), str):
        raise Unreachable(f"WeChat answered {found.get('errcode')}")
    return str(found["openid"])


def send(settings: Settings, notice: Notice, text: Text) -> None:
    try:
        code = _send(settings, notice, text)
        if code in STALE:
            _redis().delete(TOKEN)
            code = _send(settings, notice, text)
    except Unreachable as error:
        raise NotSent(str(error), for_good=False) from error
    if code != 0:
        raise NotSent(f"WeChat answered {code}", for_good=code in NEVER)


def _send(settings: Settings, notice: Notice, text: Text) -> int:
    words = {
        "{subject}": notice.subject,
        "{text}": " ".join(text.plain.split()),
        "{time}": formats.instant(notice.created_at),
    }
    body = {
        "touser": notice.address,
        "template_id": settings.wechat_service_template,
        "url": f"{settings.address}{notice.path or '/'}",
        "client_msg_id": security.keyed_hash(f"{notice.id}", purpose="message-id").hex(),
        "data": {
            name: {"value": _filled(name, value, words)}
            for name, value in settings.wechat_service_fields.items()
        },
    }
    answer = outside.ask(
        "POST",
        f"{_base(settings)}/cgi-bin/message/template/send",
        query={"access_token": _token(settings)},
        headers={"Content-Type": "application/json"},
        body=json.dumps(body, ensure_ascii=False).encode(),
    )
    return _code(answer)


def _filled(name: str, value: str, words: dict[str, str]) -> str:
    for mark, put in words.items():
        value = value.replace(mark, put)
    return value[:LONGEST] if name.startswith("thing") else value


def _token(settings: Settings) -> str:
    """Good for two hours and shared by all processes; asking again does not end the one before."""
    if kept := _redis().get(TOKEN):
        return security.unseal(kept, place=TOKEN).decode()  # type: ignore[arg-type]
    assert settings.wechat_service_secret
    asked = {
        "grant_type": "client_credential",
        "appid": settings.wechat_service_appid,
        "secret": settings.wechat_service_secret.get_secret_value(),
    }
    answer = outside.ask(
        "POST",
        f"{_base(settings)}/cgi-bin/stable_token",
        headers={"Content-Type": "application/json"},
        body=json.dumps(asked).encode(),
    ).json()
    token = answer.get("access_token")
    if not isinstance(token, str):
        raise Unreachable(f"WeChat gave no token: {answer.get('errcode')}")
    lives = max(60, int(answer.get("expires_in", 7200)) - 300)
    _redis().set(TOKEN, security.seal(token.encode(), place=TOKEN), ex=lives)
    return token


def _code(answer: Answer) -> int:
    if not answer.is_good:
        raise Unreachable(f"WeChat answered {answer.status}")
    return int(answer.json().get("errcode", 0))


def _base(settings: Settings) -> str:
    return str(settings.wechat_service_url).rstrip("/")


def _redis() -> Redis:
    redis: Redis = current_app.extensions["redis"]
    return redis
