"""Requests over HTTP by keep-alive connections, one after the other on each."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Knocked:
    seconds: float
    answers: Mapping[int, int]  # how many of each status
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return sum(self.answers.values()) / self.seconds


def request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def knock(port: int, requests: Sequence[bytes], *, connections: int = 64) -> Knocked:
    """All of these requests; each connection takes the next one when it has its answer."""
    return asyncio.run(_knock(port, requests, connections))


async def _knock(port: int, requests: Sequence[bytes], connections: int) -> Knocked:
    waiting = iter(requests)
    took: list[float] = []
    answers: dict[int, int] = {}

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for each in waiting:
            began = time.perf_counter()
            writer.write(each)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            took.append(time.perf_counter() - began)
            status = int(head[9:12])
            answers[status] = answers.get(status, 0) + 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    seconds = time.perf_counter() - began
    took.sort()
    return Knocked(
        seconds,
        answers,
        p50_ms=1000 * took[len(took) // 2],
        p99_ms=1000 * took[len(took) * 99 // 100],
    )
