"""Letters by SMTP, as RFC 5322 and RFC 2046 want them: text and HTML in one message."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from affiliate import security
from affiliate.config import Settings
from affiliate.notices.errors import NotSent
from affiliate.notices.models import Notice
from affiliate.notices.queries import Text

TIMEOUT_SECONDS = 20


def send(settings: Settings, notice: Notice, text: Text) -> None:
    message = _message(settings, notice, text)
    try:
        with _server(settings) as server:
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _words in error.recipients.values()]
        raise NotSent(_words_of(error), for_good=all(code >= 500 for code in codes)) from error
    except smtplib.SMTPDataError as error:
        raise NotSent(_words_of(error), for_good=error.smtp_code >= 500) from error
    except (smtplib.SMTPException, OSError) as error:
        # Also a refused log-in: that is for the operator to mend, and the letter waits for it.
        raise NotSent(_words_of(error), for_good=False) from error


@contextmanager
def _server(settings: Settings) -> Iterator[smtplib.SMTP]:
    assert settings.smtp_host
    trusted = ssl.create_default_context()
    if settings.smtp_tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_SECONDS, context=trusted
        )
    else:
        server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_SECONDS)
    try:
        if settings.smtp_tls == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user and settings.smtp_password:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        yield server
    finally:
        # It took the letter or it did not; a clumsy good-bye changes nothing about that.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _message(settings: Settings, notice: Notice, text: Text) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender(settings)
    message["To"] = notice.address
    message["Subject"] = notice.subject
    message["Date"] = format_datetime(notice.created_at)
    message["Message-ID"] = _message_id(settings, notice)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.plain)
    message.add_alternative(text.html, subtype="html")
    message["Content-Language"] = notice.locale
    return message


def sender(settings: Settings) -> str:
    """`AFFILIATE_SMTP_FROM`, or an address at the host that people reach us by."""
    if settings.smtp_from:
        return settings.smtp_from
    host = settings.public_url.host if settings.public_url else None
    return f"Tuike <no-reply@{host or 'localhost'}>"


def _message_id(settings: Settings, notice: Notice) -> str:
    """The same at every try, and told by nobody else's."""
    domain = parseaddr(sender(settings))[1].rpartition("@")[2]
    mark = security.keyed_hash(f"{notice.id}", purpose="message-id").hex()
    return f"<{mark}@{domain}>"


def _words_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
