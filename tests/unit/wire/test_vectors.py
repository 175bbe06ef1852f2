"""docs/protocol.md shows these very frames: a change of the format is a change of that page, seen in review.

`python -m tests.unit.wire.test_vectors` prints the section anew.
"""

from pathlib import Path

from coordnode.errors import NotLeader, WrongMember
from coordnode.ids import NOBODY, ClusterId, MemberId, Revision, Sequence, SessionId
from coordnode.services.commands import ClientCommand, Done, Get, Got, Item, Put, encode
from coordnode.services.dialogue import ErrorReply, ReadAsk, Reply, WatchAsk, WriteAsk
from coordnode.wire import bodies
from coordnode.wire.frames import JSON, MSGPACK, FrameReader
from coordnode.wire.hello import Hello, encode_hello, encode_refusal

PAGE = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"

CLIENT = Hello(ClusterId(0), NOBODY, NOBODY, 0, "me", "0.1.0")
MEMBER = Hello(ClusterId(77), MemberId(2), NOBODY, 3, "", "0.1.0")
PUT = WriteAsk(1, encode(ClientCommand(SessionId(0), Sequence(0), Sequence(0), "id-1", Put(b"color", b"blue"))))
GET = ReadAsk(2, encode(Get(b"color")))
WATCH = WatchAsk(3, b"a", b"z", Revision(6))
PUT_DONE = Reply(1, 9, 0, encode(Done(Revision(5))))
GOT = Reply(2, 9, 0, encode(Got(Revision(5), Item(b"color", b"blue", Revision(5), Revision(5), 1))))
REDIRECT = ErrorReply(1, NotLeader.code, "try member 2", True, 0, MemberId(2))


def vectors() -> dict[str, bytes]:
    shown: dict[str, bytes] = {}
    for name, body_format in (("JSON", JSON), ("msgpack", MSGPACK)):
        shown[f"{name}: a client's hello"] = encode_hello(CLIENT, body_format)
        shown[f"{name}: a member's hello"] = encode_hello(MEMBER, body_format)
        shown[f"{name}: put color = blue under a request id"] = bytes(bodies.encode_asks([PUT], body_format)[0])
        shown[f"{name}: get color, and watch from a to z, within 500 ms"] = bytes(bodies.encode_asks([GET, WATCH], body_format, 500)[0])
        shown[f"{name}: done at revision 5, and what was got"] = bytes(bodies.encode_answers([PUT_DONE, GOT], body_format)[0])
        shown[f"{name}: not the leader, member 2 is"] = bytes(bodies.encode_answers([REDIRECT], body_format)[0])
    shown["JSON: refused for the wrong member"] = encode_refusal(WrongMember("this is member 2, not 3"), JSON)
    return shown


def as_markdown() -> str:
    blocks = []
    for name, data in vectors().items():
        rows = [data[at : at + 32].hex(" ") for at in range(0, len(data), 32)]
        blocks.append("\n".join([f"**{name}**", "", "```", *rows, "```", ""]))
    return "\n".join(blocks)


def test_the_page_shows_what_the_code_sends() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith("in hexadecimal.\n\n" + as_markdown())


def test_a_frame_written_by_hand() -> None:
    """The one vector that no code of ours made: header, checksums and body were worked out apart from it."""
    by_hand = bytes.fromhex("c5 01 03 01 00 00 00 1a 7b 38 7b b5 45 c6 e2 47") + b'[[[2,7,[4,"Y29sb3I="]]],0]'
    (frame,) = FrameReader().feed(by_hand)
    assert bodies.decode_asks(frame) == ([ReadAsk(7, encode(Get(b"color")))], 0)


if __name__ == "__main__":
    print(as_markdown(), end="")
