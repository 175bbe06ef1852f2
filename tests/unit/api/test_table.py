"""The routing table: what each method and path means, and that its parts fit together."""

import re

import msgspec
import pytest

from coordnode.api.route import Query, Route
from coordnode.api.table import ROUTES, TABLE, NoSuchMethod, NoSuchPath, Table, parts_of, unescaped
from coordnode.errors import BadRequest


@pytest.mark.parametrize(
    ("method", "path", "name", "parts"),
    [
        ("GET", "/v1/kv/a", "kv-get", {"key": b"a"}),
        ("HEAD", "/v1/kv/a", "kv-get", {"key": b"a"}),
        ("GET", "/v1/kv/a/b/", "kv-get", {"key": b"a/b/"}),
        ("PUT", "/v1/kv/a%2Fb%ff%25", "kv-put", {"key": b"a/b\xff%"}),
        ("PUT", "/v1/kv//", "kv-put", {"key": b"/"}),
        ("GET", "/v1/kv", "kv-range", {}),
        ("DELETE", "/v1/sessions/12", "session-close", {"session": b"12"}),
        ("POST", "/v1/sessions/12/keep-alive", "session-keep-alive", {"session": b"12"}),
    ],
)
def test_what_is_meant(method: str, path: str, name: str, parts: dict[str, bytes]) -> None:
    found = TABLE.find(method, path)
    assert found.route.name == name
    assert found.path == parts


@pytest.mark.parametrize("path", ["/v1/", "/v1/kv/", "/v1/kvx", "/v2/kv/a", "/v1/sessions/a", "/v1/sessions/-1", "/v1/sessions/1/x"])
def test_there_is_nothing_at_other_paths(path: str) -> None:
    with pytest.raises(NoSuchPath):
        TABLE.find("GET", path)


def test_another_method_says_which_there_are() -> None:
    with pytest.raises(NoSuchMethod) as refused:
        TABLE.find("POST", "/v1/kv/a")
    assert set(refused.value.allowed) == {"GET", "HEAD", "PUT", "DELETE"}


@pytest.mark.parametrize("path", ["/v1/kv/%", "/v1/kv/%f", "/v1/kv/a%zz", "/v1/kv/%-1"])
def test_a_percent_sign_stands_for_a_byte(path: str) -> None:
    with pytest.raises(BadRequest, match="%25"):
        TABLE.find("GET", path)


def test_every_byte_can_be_escaped() -> None:
    assert unescaped("".join(f"%{byte:02X}" for byte in range(256))) == bytes(range(256))


def test_two_routes_for_one_thing_are_refused() -> None:
    with pytest.raises(AssertionError, match="two routes"):
        Table([*ROUTES, ROUTES[0]])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_route_is_whole(route: Route) -> None:
    assert re.fullmatch(r"/v1/[a-z0-9/{}:.\-_]+", route.path)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", route.name)
    assert route.summary.endswith(".")
    assert issubclass(route.query, Query)
    assert route.query.__struct_config__.forbid_unknown_fields, "a mistyped parameter must not be ignored"
    assert route.body is None or route.body.__struct_config__.forbid_unknown_fields
    assert 200 in route.answers
    assert all(issubclass(kind, msgspec.Struct) for kind in route.answers.values())
    assert not (route.takes_raw and route.body is None)
    assert len(parts_of(route.path)) <= 3
    assert (route.method in ("PUT", "DELETE", "POST")) or not route.is_write
