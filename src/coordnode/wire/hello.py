"""Who is speaking, to whom, and for which cluster: the first frame in each direction, and how a connection is refused."""

from collections.abc import Sequence

import msgspec

from coordnode.errors import BY_CODE, ClusterReplaced, CoordError, FrameError, Unknown, WrongCluster, WrongMember
from coordnode.ids import NOBODY, ClusterId, MemberId
from coordnode.wire.frames import HELLO, JSON, MSGPACK, REFUSAL, Frame, frame

IDENTITY_BYTES_MAX = 256
CONTACTS_MAX = 64
TOKEN_LETTERS_MAX = 256
HELLO_BYTES_MAX = 4096  # body bound of a connection that has not said hello yet

ANY_CLUSTER = ClusterId(0)


class Hello(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sent first by the side that connected; the other answers with its own. New fields come at the end, with a default."""

    cluster: ClusterId  # ANY_CLUSTER: a client that takes the cluster it finds
    member: MemberId  # the sender; NOBODY: a client
    target: MemberId  # who should be at the other end; NOBODY: whoever it is
    boot: int  # the sender's boot number; 0 for clients
    identity: str  # of a client, for operators and for authorise(); empty for members
    build: str = ""  # the sender's version, only shown
    contacts: tuple[tuple[MemberId, str], ...] = ()  # of a member: where each member can be reached, as host:port
    token: str = ""  # of a client: proves which user it is, where no certificate does, or another one
    behalf: tuple[str, str] | None = None  # of a client that is a member by its certificate: (user, place) of whoever asks it over HTTP
    follows: bool = False  # of a client: understands a hello at any time, and wants one whenever contacts have changed


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Said before the connection is closed: nothing on it was or will be carried out from here on."""

    code: int  # of errors.BY_CODE
    sentence: str


_encode = {MSGPACK: msgspec.msgpack.Encoder().encode, JSON: msgspec.json.Encoder().encode}
_decode_hello = {MSGPACK: msgspec.msgpack.Decoder(Hello).decode, JSON: msgspec.json.Decoder(Hello).decode}
_decode_refusal = {MSGPACK: msgspec.msgpack.Decoder(Refusal).decode, JSON: msgspec.json.Decoder(Refusal).decode}


def encode_hello(hello: Hello, body_format: int) -> bytes:
    return frame(HELLO, body_format, _encode[body_format](hello))


def encode_refusal(error: CoordError, body_format: int) -> bytes:
    return frame(REFUSAL, body_format, _encode[body_format](Refusal(error.code, error.sentence)))


def decode_hello(received: Frame) -> Hello:
    if received.kind == REFUSAL:
        raise decode_refusal(received)
    if received.kind != HELLO:
        raise FrameError(f"the first frame must be a hello, not kind {received.kind}")
    try:
        hello = _decode_hello[received.format](received.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a hello cannot be decoded: {error}") from None
    if len(hello.identity) > IDENTITY_BYTES_MAX or len(hello.build) > IDENTITY_BYTES_MAX:
        raise FrameError(f"a hello names its sender in more than {IDENTITY_BYTES_MAX} characters")
    if max(len(hello.token), *map(len, hello.behalf or ("",))) > TOKEN_LETTERS_MAX:
        raise FrameError(f"a hello shows a token, or says on whose behalf it is, in more than {TOKEN_LETTERS_MAX} characters")
    if len(hello.contacts) > CONTACTS_MAX:
        raise FrameError(f"a hello has more than {CONTACTS_MAX} contacts")
    if min(hello.cluster, hello.member, hello.target, hello.boot) < 0:
        raise FrameError("a hello names something with a negative number")
    return hello


def decode_refusal(received: Frame) -> CoordError:
    """The error that the other side refused with; to be raised or shown."""
    assert received.kind == REFUSAL
    try:
        refusal = _decode_refusal[received.format](received.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return FrameError(f"a refusal cannot be decoded: {error}")
    return BY_CODE.get(refusal.code, Unknown)(refusal.sentence)


def check_hello(hello: Hello, our_cluster: ClusterId, our_member: MemberId, replaced: Sequence[int] = ()) -> None:
    """Refuses by name whoever is not meant to speak to this member. `replaced`: whose place our cluster took."""
    if hello.member == NOBODY and hello.cluster in replaced:
        raise ClusterReplaced(
            f"cluster {hello.cluster} was replaced by {our_cluster}, which was restored from a backup of it: sessions, leases and whatever "
            "was written after that backup are gone; connect anew, and take nothing for known"
        )
    if hello.cluster != our_cluster and (hello.cluster != ANY_CLUSTER or hello.member != NOBODY):
        raise WrongCluster(f"this is cluster {our_cluster}, not {hello.cluster}: check the address and the cluster's name")
    if hello.target not in (NOBODY, our_member):
        raise WrongMember(f"this is member {our_member}, not {hello.target}: check which address belongs to which member")
    if hello.member == our_member and our_member != NOBODY:
        raise WrongMember(f"another process says that it is member {our_member}: a copied folder is running somewhere")
