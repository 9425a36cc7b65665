"""A small mail server in this process: keeps what it gets, and refuses on demand."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Thread


class PostOffice(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}  # by verb: what is said instead, or "hang up"
        self.logins: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


class Clerk(socketserver.StreamRequestHandler):
    server: PostOffice

    def handle(self) -> None:
        self._say("220 post office")
        while line := self.rfile.readline():
            verb = line.decode().strip().partition(" ")[0].upper()
            if not self._serve(verb, line.decode().strip()):
                return

    def _serve(self, verb: str, line: str) -> bool:
        instead = self.server.answers.get(verb)
        if instead == "hang up":
            return False
        if verb == "DATA" and not instead:
            self._take()
        elif verb == "EHLO" and not instead:
            self._say("250-post office")
            self._say("250 AUTH PLAIN")
        else:
            if verb == "AUTH":
                self.server.logins.append(line)
            if verb == "RCPT" and not instead:
                self.server.recipients.append(line)
            self._say(instead or {"QUIT": "221 bye", "AUTH": "235 welcome"}.get(verb, "250 fine"))
        return verb != "QUIT"

    def _take(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        letter = message_from_bytes(b"".join(lines), policy=policy.default)
        self.server.letters.append(letter)
        if self.server.answers.get("SENT") != "hang up":
            self._say(self.server.answers.get("SENT", "250 taken"))

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def post_office() -> Iterator[PostOffice]:
    with PostOffice() as office:
        thread = Thread(target=office.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield office
        finally:
            office.shutdown()
            thread.join()
