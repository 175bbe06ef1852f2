"""The embedded proxy as a process of its own.

    python -m coordctl.chaos.proxy.server --listen 127.0.0.1:8474 [--config FILE] [--lock FILE] [--cluster FOLDER]

FILE holds proxies as toxiproxy's does: a list of {name, listen, upstream, enabled}. What is broken in the links of the cluster of FOLDER is
so from the start.
"""

import asyncio
import fcntl
import json
import os
import signal
import string
import sys
import time
from typing import Any

from coordctl.chaos.proxy.api import TEXT, Answer, Api, Request
from coordctl.chaos.proxy.registry import Registry, shown_place, split_place
from coordctl.chaos.proxy.toxics import ApiError, parse_toxic

HEAD_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
IDLE_SECONDS_MAX = 60.0
LOOK_SECONDS = 1.0  # from one look at its lock's file to the next
REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 500: "Internal Server Error",
    501: "Not Implemented",
}  # fmt: skip


class NoRequest(Exception):
    """What came is no HTTP."""


class Unread(Exception):
    """A body that is not taken."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    line, *lines = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)}
    size = headers.get("content-length") or "0"
    if len(words) != 3 or not (size.isascii() and size.isdigit() and len(size) < 12):
        raise NoRequest
    return words[0], words[1], words[2], headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    encoding = headers.get("transfer-encoding")
    if encoding is None:
        return await _piece(reader, int(headers.get("content-length") or 0), 0)
    if encoding.lower() != "chunked":
        raise Unread(Answer(501, {"Content-Type": TEXT}, b"Unsupported transfer encoding"))
    body = bytearray()
    while size := _parse_size(await reader.readuntil(b"\r\n")):
        body += await _piece(reader, size, len(body))
        if await reader.readexactly(2) != b"\r\n":
            raise NoRequest
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # headers behind a body, which say nothing here
    return bytes(body)


async def _piece(reader: asyncio.StreamReader, size: int, before: int) -> bytes:
    if before + size > BODY_BYTES_MAX:
        raise Unread(Answer(413, {}))
    return await reader.readexactly(size)


def _parse_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not 0 < len(digits) <= 16 or digits.strip(string.hexdigits.encode()):
        raise NoRequest
    return int(digits, 16)


class Door:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, NoRequest):
            pass  # whoever asks so is not answered
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            head = await reader.readuntil(b"\r\n\r\n")
        method, path, version, headers = _parse_head(head)
        keeps = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        try:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                body = await _body(reader, headers)
        except Unread as unread:
            await self._write(writer, method, unread.answer, keeps=False)
            return False
        answer = await self._api.answer(Request(method, path, body, headers.get("user-agent", "")))
        await self._write(writer, method, answer, keeps=keeps)
        return keeps

    async def _write(self, writer: asyncio.StreamWriter, method: str, answer: Answer, *, keeps: bool) -> None:
        headers = dict(answer.headers)
        if answer.status != 204 and method != "HEAD":
            headers["Content-Length"] = str(len(answer.body))
        if not keeps:
            headers["Connection"] = "close"
        head = [f"HTTP/1.1 {answer.status} {REASONS[answer.status]}", *[f"{name}: {value}" for name, value in headers.items()], "", ""]
        writer.write("\r\n".join(head).encode("latin-1") + (b"" if method == "HEAD" else answer.body))
        await writer.drain()


async def _configure(registry: Registry, configured: list[dict[str, Any]]) -> None:
    """A proxy has its toxics before it listens."""
    for one in configured:
        proxy = await registry.add(one["name"], one["listen"], one["upstream"], is_enabled=False)
        for toxic in one.get("toxics", ()):
            proxy.add(parse_toxic(toxic))
        if one.get("enabled", True):
            await proxy.start()


async def _open(registry: Registry, listen: str) -> asyncio.Server:
    host, port = split_place(listen)
    try:
        return await asyncio.start_server(Door(Api(registry)).serve, host, port, limit=HEAD_BYTES_MAX, reuse_address=True)
    except OSError as error:
        raise ApiError(500, f"the API cannot listen at {listen}: {error.strerror or error}") from None


async def serve(listen: str, configured: list[dict[str, Any]], is_over: asyncio.Event, ready: asyncio.Future[str] | None = None) -> None:
    """Until it is over. Raises ApiError when something cannot be listened at."""
    registry = Registry(asyncio.get_running_loop())
    try:
        await _configure(registry, configured)
        # Only now: whoever heals has no answer, and comes again, until the toxics are there to be removed.
        server = await _open(registry, listen)
        try:
            if ready is not None:
                ready.set_result(shown_place(server.sockets[0].getsockname()))
            await is_over.wait()
        finally:
            server.close()
    finally:
        for proxy in list(registry.proxies.values()):
            await registry.remove(proxy)


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _owned(path: str) -> int:
    """For as long as this process lives; its pid is written into it. -1: another one was faster."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + 2  # somebody may just be looking whether it is held
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > until:
                return -1
            time.sleep(0.01)
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def _is_there(path: str, lock: int) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(lock).st_ino
    except FileNotFoundError:
        return False


def main(argv: list[str]) -> int:
    options = dict(zip(argv[::2], argv[1::2], strict=True))
    configured: list[dict[str, Any]] = []
    if "--config" in options:
        with open(options["--config"], encoding="utf-8") as file:
            configured = json.load(file)

    lock = _owned(options["--lock"]) if "--lock" in options else -1
    if "--lock" in options and lock < 0:
        return 0
    if "--cluster" in options:  # only as the owner: what was healed while another one served is not broken any more
        from coordctl.chaos import links
        from coordctl.chaos.ledger import Ledger

        toxics = links.broken(Ledger(options["--cluster"]))
        configured = [{**one, "toxics": toxics.get(one["name"], ())} for one in configured]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        is_over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, is_over.set)
        ready: asyncio.Future[str] = loop.create_future()
        ready.add_done_callback(lambda told: os.write(1, f"listening at {told.result()}\n".encode()))

        def look() -> None:
            """Whoever took the lock's file away, with its folder, wants nothing of ours to stay."""
            if not _is_there(options["--lock"], lock):
                is_over.set()
            loop.call_later(LOOK_SECONDS, look)

        if lock >= 0:
            look()
        await serve(options.get("--listen", "127.0.0.1:8474"), configured, is_over, ready)

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run())
    except ApiError as error:
        os.write(2, f"{error.sentence}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
