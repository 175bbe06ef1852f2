"""The proxies of one server: made, changed, reset and taken away. A proxy is a listener and the links that it carries."""

import asyncio
import errno
import os
import socket
from typing import Any

from coordctl.chaos.proxy.links import Client, Link
from coordctl.chaos.proxy.toxics import DOWNSTREAM, STREAMS, UPSTREAM, ApiError, Toxic, Traffic

LISTEN_DEFAULT = "127.0.0.1:0"  # the original binds every interface


def split_place(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ApiError(500, f"address {text}: missing port in address")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65_536):
        raise ApiError(500, f"listen tcp: address {port}: invalid port")
    return host.strip("[]"), int(port)


def shown_place(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _resolved(text: str, loop: asyncio.AbstractEventLoop) -> tuple[str, int]:
    """Of a name that has several addresses, as the original, an IPv4 one."""
    host, port = split_place(text)
    if not host:
        return host, port
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise ApiError(500, f"lookup {host}: {_why(error)}") from None
    address, number, *_ = min(found, key=lambda one: one[0] != socket.AF_INET)[4]
    return str(address), int(number)


class Proxy:
    def __init__(self, name: str, listen: str, upstream: str, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.listen = listen or LISTEN_DEFAULT
        self.upstream = upstream
        self.toxics: list[Toxic] = []
        self.links: dict[Link, None] = {}
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._past = {stream: Traffic(0, 0) for stream in STREAMS}  # of links that are over

    @property
    def is_enabled(self) -> bool:
        return self._server is not None

    def upstream_place(self) -> tuple[str, int]:
        return split_place(self.upstream)

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.is_enabled,
            "toxics": [toxic.shown() for toxic in self.in_order()],
        }

    def in_order(self) -> list[Toxic]:
        return [toxic for stream in (UPSTREAM, DOWNSTREAM) for toxic in self.toxics if toxic.direction == stream]

    def traffic(self) -> dict[str, Traffic]:
        found = {}
        for stream in STREAMS:
            live = [link.directions[stream] for link in self.links]
            past = self._past[stream]
            received = past.received + sum(direction.received for direction in live)
            found[stream] = Traffic(received, past.passed + sum(direction.passed for direction in live))
        return found

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._server is not None:
            return
        host, port = await _resolved(self.listen, self._loop)
        try:
            self._server = await self._loop.create_server(lambda: Client(self, self._loop), host or None, port, reuse_address=True)
        except OSError as error:
            raise ApiError(500, f"listen tcp {self.listen}: {_why(error)}") from None
        self.listen = shown_place(self._server.sockets[0].getsockname())

    async def stands_at(self, listen: str) -> bool:
        return self.listen == listen or self.listen == shown_place(await _resolved(listen, self._loop))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self.links):
            link.close()

    def on_link_over(self, link: Link) -> None:
        if link in self.links:
            del self.links[link]
            for stream, direction in link.directions.items():
                past = self._past[stream]
                self._past[stream] = Traffic(past.received + direction.received, past.passed + direction.passed)

    # --- toxics ----------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Toxic:
        for toxic in self.toxics:
            if toxic.name == name:
                return toxic
        raise ApiError(404, "toxic not found")

    def add(self, toxic: Toxic) -> None:
        if any(one.name == toxic.name for one in self.toxics):
            raise ApiError(409, "toxic already exists")
        self.toxics.append(toxic)
        for link in list(self.links):
            link.directions[toxic.direction].add(toxic)
        self._limit(toxic)

    def update(self, toxic: Toxic) -> None:
        for link in list(self.links):
            link.directions[toxic.direction].update(toxic)

    def remove(self, toxic: Toxic) -> None:
        if toxic in self.toxics:
            self.toxics.remove(toxic)
            timer = self._timers.pop(toxic.name, None)
            if timer is not None:
                timer.cancel()
            for link in list(self.links):
                link.directions[toxic.direction].remove(toxic)

    def _limit(self, toxic: Toxic) -> None:
        """A toxic with a lifetime goes by itself, whoever made it."""
        if toxic.lifetime_ms:
            self._timers[toxic.name] = self._loop.call_later(toxic.lifetime_ms / 1000, self.remove, toxic)


def _why(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"lookup: {error.strerror or 'no such host'}"
    code = getattr(error, "errno", None)
    known = {errno.EADDRINUSE: "bind: address already in use", errno.EADDRNOTAVAIL: "bind: cannot assign requested address",
             errno.EACCES: "bind: permission denied"}  # fmt: skip
    if code in known:
        return known[code]
    return os.strerror(code).lower() if isinstance(code, int) and code > 0 else str(error)


class Registry:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.proxies: dict[str, Proxy] = {}
        self._loop = loop

    def find(self, name: str) -> Proxy:
        if name not in self.proxies:
            raise ApiError(404, "proxy not found")
        return self.proxies[name]

    async def add(self, name: str, listen: str, upstream: str, *, is_enabled: bool) -> Proxy:
        if name in self.proxies:
            raise ApiError(409, "proxy already exists")
        proxy = Proxy(name, listen, upstream, self._loop)
        if is_enabled:
            await proxy.start()
        self.proxies[name] = proxy
        return proxy

    async def change(self, proxy: Proxy, listen: str, upstream: str, *, is_enabled: bool) -> None:
        """A place that is changed takes effect at once: the proxy is stopped for it."""
        listen, upstream = listen or proxy.listen, upstream or proxy.upstream
        if not await proxy.stands_at(listen) or upstream != proxy.upstream:
            await proxy.stop()
            proxy.listen, proxy.upstream = listen, upstream
        if is_enabled:
            await proxy.start()
        else:
            await proxy.stop()

    async def remove(self, proxy: Proxy) -> None:
        await proxy.stop()
        for toxic in list(proxy.toxics):
            proxy.remove(toxic)
        self.proxies.pop(proxy.name, None)

    async def reset(self) -> None:
        """All toxics of all proxies go, and each is enabled that can be; the first that cannot is named when the others are done."""
        trouble: ApiError | None = None
        for proxy in self.proxies.values():
            for toxic in list(proxy.toxics):
                proxy.remove(toxic)
            try:
                await proxy.start()
            except ApiError as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
