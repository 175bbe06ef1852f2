"""All routes, and which one a method and a path mean. A new service is its own file and one line here. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordnode.api import barriers, counters, elections, groups, journals, kv, locks, queues, sessions, shards, watches
from coordnode.api.route import Route
from coordnode.errors import BadRequest

ROUTES: tuple[Route, ...] = (
    *kv.ROUTES,
    *sessions.ROUTES,
    *watches.ROUTES,
    *counters.ROUTES,
    *locks.ROUTES,
    *elections.ROUTES,
    *queues.ROUTES,
    *journals.ROUTES,
    *groups.ROUTES,
    *shards.ROUTES,
    *barriers.ROUTES,
)

_PART = re.compile(r"\{(\w+)(\.\.\.|:id)?\}")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


class NoSuchPath(BadRequest):
    pass


class NoSuchMethod(BadRequest):
    def __init__(self, sentence: str, allowed: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self.allowed = allowed


class Found(NamedTuple):
    route: Route
    path: Mapping[str, bytes]


def shape(path: str) -> "re.Pattern[str]":
    """What a route's pattern matches, before anything is decoded: an encoded slash does not end a part."""
    kinds = {None: "[^/]+", "...": ".+", ":id": "[0-9]{1,16}"}
    parts, at = [], 0
    for part in _PART.finditer(path):
        parts.append(re.escape(path[at : part.start()]) + f"(?P<{part[1]}>{kinds[part[2]]})")
        at = part.end()
    return re.compile("".join(parts) + re.escape(path[at:]))


def parts_of(path: str) -> list[tuple[str, bool]]:
    """(name, whether it is a whole number) of each part in braces."""
    return [(part[1], part[2] == ":id") for part in _PART.finditer(path)]


def plain_path(path: str) -> str:
    """As OpenAPI writes it."""
    return _PART.sub(r"{\1}", path)


class Table:
    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._by_path: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            methods = self._by_path.setdefault(route.path, (shape(route.path), {}))[1]
            assert route.method not in methods, f"two routes for {route.method} {route.path}"
            methods[route.method] = route
        assert len({route.name for route in routes}) == len(routes), "two routes of one name"

    def find(self, method: str, path: str) -> Found:
        """HEAD means GET. Raises NoSuchPath, NoSuchMethod, BadRequest."""
        for pattern, methods in self._by_path.values():
            match = pattern.fullmatch(path)
            if match is None:
                continue
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                allowed = (*methods, "HEAD") if "GET" in methods else tuple(methods)
                raise NoSuchMethod(f"{method[:20]} makes no sense here; there are {', '.join(allowed)}", allowed)
            return Found(route, {name: unescaped(part) for name, part in match.groupdict().items()})
        raise NoSuchPath("there is nothing at this path; /v1/openapi.json says what there is")


def unescaped(text: str) -> bytes:
    def byte(match: "re.Match[bytes]") -> bytes:
        if match[1] is None:
            raise BadRequest("a % that is not followed by two hexadecimal digits; write %25 for the sign itself")
        return bytes((int(match[1], 16),))

    return _ESCAPE.sub(byte, text.encode("ascii"))


TABLE = Table(ROUTES)
