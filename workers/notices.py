"""Telling people what happened. Rung for each event, and every minute for what was left."""

from affiliate.config import Settings
from affiliate.db import unit_of_work
from affiliate.notices import mail, queries, service
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
        mail.send(settings, *taken)
    except mail.NotSent as trouble:
        with unit_of_work():
            service.failed(notice_id, str(trouble), for_good=trouble.for_good)
    else:
        with unit_of_work():
            service.sent(notice_id)


@context.task
def forget_letters() -> None:
    service.forget_letters()
