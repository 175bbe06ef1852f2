"""Requests of toxiproxy's HTTP API, as 2.12 answers them; where it is at fault, docs/chaos.md says what we do instead."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from coordctl.chaos.proxy.decoding import decoded, shaped
from coordctl.chaos.proxy.registry import Proxy, Registry
from coordctl.chaos.proxy.toxics import ApiError, merge, parse_toxic, typed

VERSION = "2.12.0"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
NO_SNIFF = {"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"}
NOT_FOUND = "404 page not found\n"
PROXY_TYPE, TOXIC_TYPE = "toxiproxy.Proxy", "toxics.ToxicWrapper"
POPULATED_TYPE = r'struct { toxiproxy.Proxy; Enabled *bool "json:\"enabled\"" }'


class Request(NamedTuple):
    method: str
    path: str
    body: bytes
    agent: str


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes = b""


Act = Callable[[list[str], bytes], Awaitable[Answer]]


def _json(status: int, found: Any, kind: str = JSON) -> Answer:
    return Answer(status, {"Content-Type": kind}, json.dumps(found, separators=(",", ":")).encode())


def _refusal(error: ApiError) -> Answer:
    shown = json.dumps({"error": error.sentence, "status": error.status}, separators=(",", ":"))
    return Answer(error.status, NO_SNIFF, shown.encode() + b"\n")


class Api:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._turn = asyncio.Lock()  # one request at a time: some wait, for a name's address, and go on from what they found before

    async def answer(self, request: Request) -> Answer:
        if request.agent.startswith("Mozilla/"):
            return Answer(403, NO_SNIFF, b"User agent not allowed\n")
        parts = unquote(request.path.partition("?")[0]).strip("/").split("/")
        methods = self._methods(parts)
        if not methods:
            return Answer(404, NO_SNIFF, NOT_FOUND.encode())
        if request.method not in methods:
            return Answer(405, {})
        try:
            async with self._turn:
                return await methods[request.method](request.body)
        except ApiError as error:
            return _refusal(error)

    def _methods(self, parts: list[str]) -> dict[str, Callable[[bytes], Awaitable[Answer]]]:
        """Of one path: method -> what answers it."""

        def of(act: Act) -> Callable[[bytes], Awaitable[Answer]]:
            return lambda body: act(parts, body)

        match parts:
            case ["version"]:
                return {"GET": of(self._version)}
            case ["reset"]:
                return {"POST": of(self._reset)}
            case ["populate"]:
                return {"POST": of(self._populate)}
            case ["proxies"]:
                return {"GET": of(self._list), "POST": of(self._create)}
            case ["proxies", _]:
                change = of(self._change)
                return {"GET": of(self._show), "POST": change, "PATCH": change, "DELETE": of(self._delete)}
            case ["proxies", _, "traffic"]:
                return {"GET": of(self._traffic)}
            case ["proxies", _, "toxics"]:
                return {"GET": of(self._toxics), "POST": of(self._add_toxic)}
            case ["proxies", _, "toxics", _]:
                change = of(self._change_toxic)
                return {"GET": of(self._show_toxic), "POST": change, "PATCH": change, "DELETE": of(self._remove_toxic)}
        return {}

    # --- of the server ---------------------------------------------------------------------------------------------

    async def _version(self, parts: list[str], body: bytes) -> Answer:
        return Answer(200, {"Content-Type": "application/json;charset=utf-8"}, b'{"version": "%s-coordctl"}\n' % VERSION.encode())

    async def _reset(self, parts: list[str], body: bytes) -> Answer:
        await self._registry.reset()
        return Answer(204, {})

    async def _populate(self, parts: list[str], body: bytes) -> Answer:
        """All that can be made, up to the first that cannot: what was made is in the answer, also of a refusal."""
        made: list[Proxy] = []
        try:
            found = [shaped(one, dict, POPULATED_TYPE) for one in decoded(body, list, f"[]{POPULATED_TYPE}")]
            wanted = [_wanted(one, f" at proxy {number}") for number, one in enumerate(found, 1)]
            for one in wanted:
                made.append(await self._put(*one))
        except ApiError as error:
            shown = [proxy.shown() for proxy in made] or None
            return _json(error.status, {"error": error.sentence, "status": error.status, "proxies": shown})
        return _json(201, {"proxies": [proxy.shown() for proxy in made] or None})

    async def _put(self, name: str, listen: str, upstream: str, is_enabled: bool) -> Proxy:
        existing = self._registry.proxies.get(name)
        if existing is not None:
            if listen and await existing.stands_at(listen) and existing.upstream == upstream:
                await self._registry.change(existing, listen, upstream, is_enabled=is_enabled)
                return existing
            await self._registry.remove(existing)
        return await self._registry.add(name, listen, upstream, is_enabled=is_enabled)

    # --- of proxies ------------------------------------------------------------------------------------------------

    async def _list(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, {name: self._registry.proxies[name].shown() for name in sorted(self._registry.proxies)})

    async def _create(self, parts: list[str], body: bytes) -> Answer:
        name, listen, upstream, is_enabled = _wanted(decoded(body, dict, PROXY_TYPE))
        return _json(201, (await self._registry.add(name, listen, upstream, is_enabled=is_enabled)).shown())

    async def _show(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, self._registry.find(parts[1]).shown())

    async def _change(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        found = decoded(body, dict, PROXY_TYPE)
        listen, upstream = (typed(found, name, str, "Proxy") or "" for name in ("listen", "upstream"))
        enabled = typed(found, "enabled", bool, "Proxy")
        await self._registry.change(proxy, listen, upstream, is_enabled=proxy.is_enabled if enabled is None else enabled)
        return _json(200, proxy.shown())

    async def _delete(self, parts: list[str], body: bytes) -> Answer:
        await self._registry.remove(self._registry.find(parts[1]))
        return Answer(204, {})

    async def _traffic(self, parts: list[str], body: bytes) -> Answer:
        """Ours: bytes that came, and that went on, each way."""
        found = self._registry.find(parts[1]).traffic()
        return _json(200, {stream: {"received": one.received, "passed": one.passed} for stream, one in found.items()})

    # --- of toxics -------------------------------------------------------------------------------------------------

    async def _toxics(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, [toxic.shown() for toxic in self._registry.find(parts[1]).in_order()])

    async def _add_toxic(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        toxic = parse_toxic(decoded(body, dict, TOXIC_TYPE))
        proxy.add(toxic)
        return _json(200, toxic.shown())

    async def _show_toxic(self, parts: list[str], body: bytes) -> Answer:
        return _json(200, self._registry.find(parts[1]).find(parts[3]).shown())

    async def _change_toxic(self, parts: list[str], body: bytes) -> Answer:
        """Only its attributes and its chance."""
        proxy = self._registry.find(parts[1])
        toxic = proxy.find(parts[3])
        found = decoded(body, dict, TOXIC_TYPE)
        attributes = dict(toxic.attributes)
        merge(toxic.kind, attributes, found)
        fresh = parse_toxic({"type": toxic.kind, "toxicity": found.get("toxicity", toxic.toxicity)})
        toxic.attributes, toxic.toxicity = attributes, fresh.toxicity
        proxy.update(toxic)
        return _json(200, toxic.shown())

    async def _remove_toxic(self, parts: list[str], body: bytes) -> Answer:
        proxy = self._registry.find(parts[1])
        proxy.remove(proxy.find(parts[3]))
        return Answer(204, {})


def _wanted(found: dict[str, Any], where: str = "") -> tuple[str, str, str, bool]:
    name, listen, upstream = (typed(found, field, str, "Proxy") or "" for field in ("name", "listen", "upstream"))
    enabled = typed(found, "enabled", bool, "Proxy")
    for field, value in (("name", name), ("upstream", upstream)):
        if not value:
            raise ApiError(400, f"missing required field: {field}{where}")
    return name, listen, upstream, enabled is not False
