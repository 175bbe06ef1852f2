"""What the core says, in frames: a keep-alive waits for nothing else that is asked in the same breath."""

import random

from coordnode.client.addresses import Address
from coordnode.client.link import Dial, Link, Transmit, WatchFailed
from coordnode.errors import WrongCluster
from coordnode.ids import NOBODY, ClusterId, MemberId, Revision, SessionId
from coordnode.services.commands import Get, Put, SessionOpened, encode
from coordnode.services.dialogue import Ask, KeepAliveAsk, ReadAsk, Reply, WriteAsk
from coordnode.wire.bodies import decode_asks, encode_answers
from coordnode.wire.frames import MSGPACK, FrameReader
from coordnode.wire.hello import Hello, encode_hello, encode_refusal

TTL_MS = 9_000


class Talk:
    """The member's end of a link that is connected."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.link = Link([Address("127.0.0.1", 7001)], random.Random(1), identity="tests")
        self.number = self.link.core.open_session(self.now_ms, deadline_ms=self.now_ms + 5_000, ttl_ms=TTL_MS)
        self.link.poll(self.now_ms)
        self.link.on_dialled()
        self.link.poll(self.now_ms)
        self.link.on_bytes(encode_hello(Hello(ClusterId(1), MemberId(1), MemberId(0), 1, "", "fake"), MSGPACK), self.now_ms)

    def frames(self) -> list[list[Ask]]:
        """The asks of each frame."""
        steps = self.link.poll(self.now_ms)
        sent = b"".join([bytes(step.data) for step in steps if isinstance(step, Transmit)])
        return [decode_asks(frame)[0] for frame in FrameReader().feed(sent)]

    def answer(self, reply: Reply) -> None:
        self.link.on_bytes(b"".join(encode_answers([reply], MSGPACK)), self.now_ms)


def test_a_keep_alive_is_alone_in_its_frame_whatever_is_asked_with_it() -> None:
    talk = Talk()
    ((opening,),) = talk.frames()
    talk.answer(Reply(opening.request, 1, 0, encode(SessionOpened(SessionId(77), TTL_MS, Revision(1)))))
    talk.frames()
    talk.now_ms += TTL_MS // 3
    for operation in (Get(b"a"), Put(b"a", b"1"), Get(b"b")):
        talk.link.core.call(operation, talk.now_ms, deadline_ms=talk.now_ms + 5_000)
    frames = talk.frames()
    assert [[type(ask) for ask in asks] for asks in frames] == [[KeepAliveAsk], [ReadAsk, WriteAsk, ReadAsk]]


def test_a_watch_ends_where_members_refuse_it_and_the_rest_of_them_are_gone() -> None:
    rebuilt, gone = Address("127.0.0.1", 7001), Address("127.0.0.1", 7002)
    link = Link([rebuilt], random.Random(1), identity="tests")
    watch = link.core.watch(b"a", b"b", 0, 0)
    link.poll(0)
    link.on_dialled()
    hello = Hello(ClusterId(1), MemberId(1), NOBODY, 1, "", "fake", [(MemberId(2), str(gone))])
    link.on_bytes(encode_hello(hello, MSGPACK), 0)
    link.poll(0)
    link.on_hung_up("it ended", 0)
    told: list[object] = []
    for now_ms in range(0, 10_000, 10):
        steps = link.poll(now_ms)
        told += [step for step in steps if isinstance(step, WatchFailed)]
        if Dial(rebuilt) in steps:
            link.on_dialled()
            link.poll(now_ms)
            link.on_bytes(encode_refusal(WrongCluster("this is cluster 2, not 1"), MSGPACK), now_ms)
        elif Dial(gone) in steps:
            link.on_hung_up("connection refused", now_ms)
    (failed,) = told
    assert isinstance(failed, WatchFailed)
    assert (failed.watch, type(failed.error)) == (watch, WrongCluster)
