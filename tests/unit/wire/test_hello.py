"""Who may speak to whom, and how a stranger is told."""

import pytest

from coordnode.errors import ClusterReplaced, CoordError, FrameError, UnknownVersion, WrongCluster, WrongMember
from coordnode.ids import NOBODY, ClusterId, MemberId
from coordnode.wire.frames import ASKS, HELLO, JSON, MSGPACK, Frame, FrameReader, frame
from coordnode.wire.hello import ANY_CLUSTER, Hello, check_hello, decode_hello, encode_hello, encode_refusal

US, THEM, OTHER = MemberId(11), MemberId(22), MemberId(33)
CLUSTER = ClusterId(77)


def hello(cluster: int = CLUSTER, member: int = THEM, target: int = US) -> Hello:
    return Hello(ClusterId(cluster), MemberId(member), MemberId(target), 3, "")


@pytest.mark.parametrize("body_format", [MSGPACK, JSON])
def test_round_trip(body_format: int) -> None:
    said = Hello(CLUSTER, NOBODY, US, 0, "jobs@web1", "0.1.0", ((US, "10.0.0.1:7000"), (THEM, "[::1]:7000")))
    (received,) = FrameReader().feed(encode_hello(said, body_format))
    assert decode_hello(received) == said


@pytest.mark.parametrize("said", [hello(), hello(target=NOBODY), hello(member=NOBODY, cluster=ANY_CLUSTER), hello(member=NOBODY)])
def test_welcome(said: Hello) -> None:
    check_hello(said, CLUSTER, US)


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (hello(cluster=78), WrongCluster, "this is cluster 77, not 78"),
        (hello(cluster=ANY_CLUSTER), WrongCluster, "not 0"),  # a member knows its cluster
        (hello(cluster=78, member=NOBODY), WrongCluster, "not 78"),
        (hello(target=OTHER), WrongMember, "this is member 11, not 33"),
        (hello(member=US), WrongMember, "copied folder"),
    ],
)
def test_refused(said: Hello, error: type[CoordError], words: str) -> None:
    with pytest.raises(error, match=words):
        check_hello(said, CLUSTER, US)


def test_clients_of_a_cluster_whose_place_ours_took_are_told_so_and_its_members_are_strangers() -> None:
    with pytest.raises(ClusterReplaced, match="cluster 78 was replaced by 77"):
        check_hello(hello(cluster=78, member=NOBODY), CLUSTER, US, (76, 78))
    with pytest.raises(WrongCluster, match="not 78"):
        check_hello(hello(cluster=78), CLUSTER, US, (76, 78))
    check_hello(hello(member=NOBODY), CLUSTER, US, (76, 78))


@pytest.mark.parametrize("body_format", [MSGPACK, JSON])
def test_a_refusal_arrives_as_the_error_it_was(body_format: int) -> None:
    (received,) = FrameReader().feed(encode_refusal(UnknownVersion("speak 1"), body_format))
    with pytest.raises(UnknownVersion, match="speak 1"):
        decode_hello(received)


@pytest.mark.parametrize(
    "received",
    [
        Frame(ASKS, MSGPACK, b"\x91\x90"),
        Frame(HELLO, MSGPACK, b"\x91\x01"),
        Frame(HELLO, JSON, b"[77,0,0,0,1]"),
        Frame(HELLO, JSON, b'[77,-1,0,0,"x"]'),
        Frame(HELLO, JSON, b'[77,0,0,0,"' + b"x" * 257 + b'"]'),
        Frame(HELLO, JSON, b"\xff"),
    ],
)
def test_what_is_no_hello(received: Frame) -> None:
    with pytest.raises(FrameError):
        decode_hello(received)


def test_a_longer_hello_of_a_later_build_is_understood() -> None:
    (received,) = FrameReader().feed(frame(HELLO, JSON, b'[77,0,0,0,"me","9.9",[[5,"a:1"]],"a new field"]'))
    assert decode_hello(received).build == "9.9"
