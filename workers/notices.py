"""Telling people what happened. Rung for each event, and every minute for what was left."""

from affiliate import i18n
from affiliate.config import Settings
from affiliate.db import unit_of_work
from affiliate.notices import mail, push, queries, service, sms, wechat
from affiliate.notices.errors import NotSent
from affiliate.notices.models import Channel, Notice
from affiliate.notices.queries import Text
from workers import context

LETTERS_AT_ONCE = 200


def tell() -> None:
    """Letters are written first, then sent one by one, each between two transactions."""
    with context.application().app_context():
        while _tell_some():
            pass
        with unit_of_work():
            due = queries.due(LETTERS_AT_ONCE)
        for notice_id in due:
            _send(context.application().config["SETTINGS"], notice_id)


def _tell_some() -> int:
    with unit_of_work():
        return service.tell_some()


def _send(settings: Settings, notice_id: int) -> None:
    with unit_of_work():
        taken = service.begin(notice_id)
    if taken is None:
        return
    try:
        _hand_over(settings, *taken)
    except NotSent as trouble:
        with unit_of_work():
            service.failed(notice_id, str(trouble), for_good=trouble.for_good)
            if isinstance(trouble, push.Gone):
                service.unsubscribe(taken[0].address)
    else:
        with unit_of_work():
            service.sent(notice_id)


def _hand_over(settings: Settings, notice: Notice, text: Text) -> None:
    if notice.channel == Channel.PUSH:
        with unit_of_work():
            browser = queries.subscription(notice.user_id, notice.address)
        if browser is None:  # signed out meanwhile, or somebody else is there now
            raise NotSent("this browser takes no messages for them any more", for_good=True)
        push.send(settings, notice, text, browser)
    elif notice.channel == Channel.SMS:
        sms.send(settings, notice, text)
    elif notice.channel == Channel.WECHAT:
        with i18n.read_as(notice.locale):
            wechat.send(settings, notice, text)
    else:
        mail.send(settings, notice, text)


@context.task
def forget_letters() -> None:
    service.forget_letters()
    service.forget_orders()
