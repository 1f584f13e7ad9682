"""As much of HTTP/1.1 as the stand-ins need, on asyncio's streams."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Head:
    """The request line and the headers."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @classmethod
    def of(cls, head: bytes) -> "Head":
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        url = urlsplit(target)
        headers = [line.partition(":") for line in lines]
        return cls(
            method,
            unquote(url.path),
            dict(parse_qsl(url.query)),
            {name.strip().lower(): value.strip() for name, _, value in headers},
        )


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next request's head, or None when the client has closed the connection."""
    try:
        return Head.of(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if "chunked" not in head.headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(head.headers.get("content-length", 0)))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


class Response:
    """A response that is written bit by bit."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._begun = False

    def begin(self) -> None:
        """Send the headers of a stream of events, unless they are sent."""
        if not self._begun:
            self._begun = True
            self._head(HTTPStatus.OK, {"transfer-encoding": "chunked"}, "text/event-stream")

    async def send(self, events: Iterable[bytes]) -> None:
        """Send each of these as an HTTP chunk of its own, all at once."""
        self.begin()
        self._writer.write(
            b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events if event)
        )
        await self._writer.drain()

    async def end(self) -> None:
        self.begin()
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def whole(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        """Send a body in one piece."""
        self._begun = True
        length = {"content-length": str(len(body))}
        self._head(status, length | (headers or {}), content_type)
        self._writer.write(body)
        await self._writer.drain()

    async def json(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        await self.whole(status, json.dumps(body).encode(), headers)

    def _head(self, status: int, headers: dict[str, str], content_type: str) -> None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Overloaded"
        lines = [f"HTTP/1.1 {status} {phrase}", f"content-type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
