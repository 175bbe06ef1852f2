"""Endpoints as people write them, and places: what the core calls members that it has not met yet."""

import pytest

from coordnode.address import Address, parse_address
from coordnode.client.addresses import Places, parse_addresses
from coordnode.errors import BadRequest
from coordnode.ids import NOBODY, MemberId

A, B, C = MemberId(70), MemberId(80), MemberId(90)


def test_addresses() -> None:
    assert parse_addresses("a:1, b:2,,a:1") == [Address("a", 1), Address("b", 2)]
    assert str(parse_address("[::1]:7001")) == "[::1]:7001"
    for wrong in (
        "",
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "::1:7001",
        "a:-1",
        "a:٣",
        "a..b:1",
        ".:1",
        f"{'a' * 64}.b:1",
        "ü..b:1",
        "\udcff:1",
        "[]:1",
    ):
        with pytest.raises(BadRequest):
            parse_address(wrong)
    for right in ("a.b.:1", f"{'a' * 63}.b:1", "ü.b:1", "[::ffff:127.0.0.1]:1", "[fe80::1%lo]:1"):
        assert str(parse_address(right)) == right
    with pytest.raises(BadRequest, match="no endpoint"):
        parse_addresses([])


def test_places_become_known_with_each_hello() -> None:
    places = Places(parse_addresses("one:1,two:2"))
    assert (places.current(), places.place_of(A)) == ([1, 2], NOBODY)
    places.on_hello(MemberId(1), A, [(A, "one:1"), (B, "two:2"), (C, "three:3"), (MemberId(5), "not an address")])
    assert [places.place_of(member) for member in (A, B, C)] == [1, 2, 3]
    assert places.current() == [1, 2, 3]
    assert str(places.address(MemberId(3))) == "three:3"
    # An address that was given may be another name of one that the cluster advertises: whoever was met there is there.
    places.on_hello(MemberId(2), C, [(A, "one:1"), (B, "two-outside:2"), (C, "three:3")])
    assert (places.place_of(C), places.place_of(B)) == (2, 4)
    assert places.current() == [1, 2, 4]


def test_who_was_met_at_an_address_that_was_given_stays_there() -> None:
    """What the cluster advertises may not be reachable from here."""
    places = Places(parse_addresses("outside-a:1,outside-b:2"))
    advertised = [(A, "inside-a:1"), (B, "inside-b:2")]
    places.on_hello(MemberId(1), A, advertised)
    assert (places.place_of(A), str(places.address(places.place_of(B)))) == (1, "inside-b:2")
    places.on_hello(MemberId(2), B, advertised)
    assert (places.place_of(A), places.place_of(B), places.current()) == (1, 2, [1, 2])
