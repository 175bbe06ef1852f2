"""An embedded proxy in a thread of its own, an upstream that echoes, and what a test does to them."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from coordctl.chaos.proxy import server

PATIENCE_S = 30.0


class Proxied:
    def __init__(self) -> None:
        self.address = ""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._is_over = asyncio.Event()
            ready: asyncio.Future[str] = self._loop.create_future()
            ready.add_done_callback(self._on_ready)
            await server.serve("127.0.0.1:0", [], self._is_over, ready)

        with asyncio.Runner(loop_factory=server.new_loop) as runner:
            runner.run(serve())

    def _on_ready(self, told: "asyncio.Future[str]") -> None:
        self.address = told.result()
        self._ready.set()

    def close(self) -> None:
        assert self._loop is not None
        assert self._is_over is not None
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def raw(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        status, _, text = self.raw(method, path, None if body is None else json.dumps(body))
        assert status < 300, (status, text)
        return json.loads(text) if text else None

    def make(self, upstream: str, name: str = "p") -> tuple[str, int]:
        """Where it listens."""
        host, port = self.ask("POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": upstream})["listen"].split(":")
        return host, int(port)

    def poison(self, kind: str, stream: str = "upstream", name: str = "p", **attributes: float) -> str:
        return str(self.ask("POST", f"/proxies/{name}/toxics", {"type": kind, "stream": stream, "attributes": attributes})["name"])

    def cure(self, toxic: str, name: str = "p") -> None:
        self.ask("DELETE", f"/proxies/{name}/toxics/{toxic}")


class Upstream:
    """Sends back what it is sent, each connection in a thread; or does what it is told instead."""

    def __init__(self, act: Callable[[socket.socket], None] | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self._act = act or _echo
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self._act(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


def read_exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        data = connection.recv(size - len(found))
        if not data:
            break
        found += data
    return found
