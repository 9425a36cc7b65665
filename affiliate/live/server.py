"""`affiliate live`: holds one connection for every open page and passes news on.

Plain HTTP/1.1 on asyncio: one small request, an endless answer, then the connection is closed. A
thousand of them wait in one process. It asks the database nothing. While Valkey is away it refuses,
so that pages know that nobody tells them and ask more often.
"""

import asyncio
import random
import resource
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from affiliate import logs
from affiliate.config import Settings
from affiliate.live import channels, token
from affiliate.live.token import Ticket

log = structlog.get_logger(__name__)

PATH = b"/live/"
HEAD_BYTES = 8192
HEAD_SECONDS = 10
HEARTBEAT_SECONDS = 15  # proxies drop connections on which nothing is said
QUIET_SECONDS = 0.5  # between two pieces of news, however many orders there are
LIVES_SECONDS = 3600
CONNECTIONS_MOST = 10_000
CONNECTIONS_OF_ONE = 12  # of one person: tabs and devices
CONNECTIONS_OF_ANYBODY = 7_000  # so that strangers never take the places of those who work here
TROUBLE_SECONDS = 1.0
BUSY_SECONDS = 5.0
STREAM = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"X-Accel-Buffering: no\r\n"
    # Anybody's page may ask: the token in the address is the key, and no cookie is looked at.
    b"Access-Control-Allow-Origin: *\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\n\r\n"
)


@dataclass(eq=False, slots=True)
class Listener:
    """One open page. `told` is set by news, by the page going away and by our stopping."""

    ticket: Ticket
    told: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False


class Switchboard:
    """Who listens to what in this process."""

    def __init__(self) -> None:
        self.hears = False
        self._by_channel: dict[str, set[Listener]] = {}
        self._of_user: Counter[int] = Counter()

    def refusal(self, ticket: Ticket) -> HTTPStatus | None:
        if not self.hears or self._of_user.total() >= CONNECTIONS_MOST:
            return HTTPStatus.SERVICE_UNAVAILABLE
        is_anybody = ticket.user_id == token.ANYBODY
        most = CONNECTIONS_OF_ANYBODY if is_anybody else CONNECTIONS_OF_ONE
        if self._of_user[ticket.user_id] >= most:
            return HTTPStatus.TOO_MANY_REQUESTS
        return None

    def join(self, listener: Listener) -> None:
        for channel in listener.ticket.channels:
            self._by_channel.setdefault(channel, set()).add(listener)
        self._of_user[listener.ticket.user_id] += 1

    def leave(self, listener: Listener) -> None:
        user = listener.ticket.user_id
        for channel in set(listener.ticket.channels):
            self._by_channel[channel].discard(listener)
            if not self._by_channel[channel]:
                del self._by_channel[channel]
        self._of_user[user] -= 1
        if not self._of_user[user]:
            del self._of_user[user]

    def tell(self, channel: str) -> None:
        for listener in self._by_channel.get(channel, ()):
            listener.told.set()

    def deaf(self) -> None:
        """From now on nobody tells us: let everybody go, so that they ask by themselves."""
        self.hears = False
        for listeners in self._by_channel.values():
            for listener in listeners:
                listener.gone = True
                listener.told.set()


class Server:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.board = Switchboard()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        work = [asyncio.create_task(self._hear()), asyncio.create_task(self._listen())]
        await stopping.wait()
        for each in work:
            each.cancel()
        self.board.deaf()

    async def _hear(self) -> None:
        """Pass on what Valkey says, and come back to it whenever it was away."""
        silent = False
        while True:
            try:
                await self._hear_once()
            except (RedisError, OSError) as error:
                if not silent:
                    log.warning("open pages ask by themselves: no Valkey", error=str(error))
                silent = True
            else:
                silent = False
            self.board.deaf()
            await asyncio.sleep(TROUBLE_SECONDS)

    async def _hear_once(self) -> None:
        before = channels.prefix(self.settings)
        redis = Redis.from_url(
            self.settings.redis_url or "",
            retry=Retry(NoBackoff(), 0),
            health_check_interval=HEARTBEAT_SECONDS,
        )
        async with redis, redis.pubsub() as ear:
            await ear.psubscribe(f"{before}*")
            while True:
                message = await ear.get_message(timeout=HEARTBEAT_SECONDS)
                if message and message["type"] == "psubscribe":
                    self.board.hears = True
                elif message and message["type"] == "pmessage":
                    self.board.tell(message["channel"].decode().removeprefix(before))

    async def _listen(self) -> None:
        """A busy port is no reason to stop the rest of the system: pages ask by themselves."""
        place = (self.settings.host, self.settings.port_of_live)
        while True:
            try:
                server = await asyncio.start_server(
                    self._answer, *place, limit=HEAD_BYTES, backlog=1024
                )
            except OSError as error:
                log.warning("open pages ask by themselves", port=place[1], error=error.strerror)
                await asyncio.sleep(BUSY_SECONDS)
                continue
            async with server:
                await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._route(head, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # they went away, or never spoke HTTP
        finally:
            writer.close()

    async def _route(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path == b"/livez":
            well = self.board.hears
            return _refuse(writer, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
        if not path.startswith(PATH):
            return _refuse(writer, HTTPStatus.NOT_FOUND)
        if method != b"GET":
            return _refuse(writer, HTTPStatus.METHOD_NOT_ALLOWED)
        ticket = token.read(self.settings, path.removeprefix(PATH).decode("latin-1"))
        if ticket is None:
            return _refuse(writer, HTTPStatus.FORBIDDEN)
        if (status := self.board.refusal(ticket)) is not None:
            return _refuse(writer, status)
        return await self._stream(Listener(ticket), reader, writer)

    async def _stream(
        self, listener: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        watch = asyncio.create_task(_until_gone(listener, reader))
        self.board.join(listener)
        try:
            writer.write(STREAM)
            # Not all at the same moment, when we come back after a restart.
            writer.write(b"retry: %d\n\n" % random.randint(1000, 5000))  # noqa: S311
            await _pass_on(listener, writer)
        finally:
            self.board.leave(listener)
            watch.cancel()


async def _pass_on(listener: Listener, writer: asyncio.StreamWriter) -> None:
    """News as it comes, a sign of life when there is none, for an hour."""
    now = asyncio.get_running_loop().time
    end = now() + LIVES_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311
    count = 0
    while now() < end:
        await writer.drain()
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await listener.told.wait()
        except TimeoutError:
            writer.write(b":\n\n")
            continue
        if listener.gone:
            return
        listener.told.clear()
        count += 1
        writer.write(b"event: news\ndata: %d\n\n" % count)
        await writer.drain()
        await asyncio.sleep(QUIET_SECONDS)


async def _until_gone(listener: Listener, reader: asyncio.StreamReader) -> None:
    """A page has nothing more to say: whatever comes, or the end, is the end."""
    with suppress(OSError):
        await reader.read(1)
    listener.gone = True
    listener.told.set()


def _refuse(writer: asyncio.StreamWriter, status: HTTPStatus) -> None:
    line = f"HTTP/1.1 {status.value} {status.phrase}\r\n"
    rest = "Content-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    writer.write((line + rest).encode())


def main(settings: Settings) -> None:
    logs.begin(settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS_MOST + 100
    if soft < most:
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    asyncio.run(Server(settings).run())
