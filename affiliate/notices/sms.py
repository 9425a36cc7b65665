"""Messages to phones: one POST to whatever gateway the operator has."""

import json
from urllib.parse import urlencode

from affiliate import outside, security
from affiliate.config import Settings
from affiliate.notices.errors import NotSent
from affiliate.notices.models import Notice
from affiliate.notices.queries import Text
from affiliate.outside import Unreachable

LATER = {408, 425, 429}


def send(settings: Settings, notice: Notice, text: Text) -> None:
    assert settings.sms_url
    given = {"{to}": notice.address, "{text}": text.plain.strip()}
    fields = {name: _filled(value, given) for name, value in settings.sms_fields.items()}
    # Gateways that know the header send a repeated message once.
    headers = {"Idempotency-Key": security.keyed_hash(f"{notice.id}", purpose="message-id").hex()}
    key = settings.sms_key.get_secret_value() if settings.sms_key else None
    if key and not settings.sms_user:
        headers["Authorization"] = f"Bearer {key}"
    if settings.sms_as == "json":
        headers["Content-Type"] = "application/json"
        body = json.dumps(fields, ensure_ascii=False).encode()
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(fields).encode()
    auth = (settings.sms_user, key) if settings.sms_user and key else None
    try:
        answer = outside.ask("POST", str(settings.sms_url), headers=headers, body=body, auth=auth)
    except Unreachable as error:
        raise NotSent(str(error), for_good=False) from error
    if not answer.is_good:
        for_good = 400 <= answer.status < 500 and answer.status not in LATER
        raise NotSent(f"the gateway answered {answer.status}", for_good=for_good)


def _filled(value: str, given: dict[str, str]) -> str:
    for mark, words in given.items():
        value = value.replace(mark, words)
    return value
