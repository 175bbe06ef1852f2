"""How much a stranger, a client and all of them together may make a member hold."""

from typing import NamedTuple

from coordnode.limits import CLIENT_OUTSTANDING_MAX, COMMAND_BYTES_MAX, FRAME_BYTES_MAX, KIB, MIB, RANGE_BYTES_MAX


class Limits(NamedTuple):
    connections_max: int = 10_000  # of clients and HTTP; members and those who have not said who they are have bounds of their own
    strangers_max: int = 1_024  # connections that have not said who they are: a new one takes the place of the oldest
    pending_bytes_max: int = 64 * MIB  # of all clients: asked and not answered
    client_connections_max: int = 5_000  # of one identity, this and what follows; HTTP's connections included
    client_requests_max: int = 16_384  # asked and not answered: beyond it nothing more is read
    client_pending_bytes_max: int = 16 * MIB  # likewise
    client_watches_max: int = 16_384


MEMBERS_MAX = 64  # connections that said they are members: a new one takes the place of the oldest, no client ever does
MEMBER_LINKS_MAX = 2  # of one of them: its new one and the one that it may have lost without our noticing
HELLO_SECONDS_MAX = 5.0  # from being accepted to having said who one is
OUTSTANDING_MAX = 4 * CLIENT_OUTSTANDING_MAX  # asks of one connection; beyond it nothing more is read
LINK_PENDING_BYTES_MAX = 8 * MIB  # the same in bytes
EAGER_ASKS = 64  # of one connection at a time: who asks for more waits in a line, served in turns (node.eager)
EAGER_BYTES = 256 * KIB  # likewise
RENEWAL_BYTES = 128  # that each session in a keep-alive counts as: a byte on the wire asks for as much work as so many of a put
EAGER_SENT_BYTES = 1 * MIB  # likewise: answered, or looked at for it, since the last look at the connection
GUEST_EAGER_ASKS = 2_048  # of all connections of one identity: likewise for each of them
CALM_SWEEPS_MIN = 25  # with at most half of this under way, until it is one of the others again
PARTIAL_BYTES_ALL_MAX = 64 * MIB  # of frames whose end has not come, on all connections: beyond it the largest is cut off
PARTIAL_SECONDS_MAX = 30.0  # from a frame's first byte to its last
UNREAD_BYTES_PAUSE = 1 * MIB  # answers that a client has not read: beyond it nothing more is read from it
UNREAD_BYTES_MAX = 32 * MIB  # beyond it the client is cut off
UNREAD_BYTES_ALL_MAX = 256 * MIB  # of all that are slow: beyond it the slowest is cut off
PEER_UNSENT_BYTES_MAX = 32 * MIB  # messages to one member that its connection has not taken: beyond it they are dropped, raft sends again

HTTP_HEAD_BYTES_MAX = 16 * KIB
HTTP_BODY_BYTES_MAX = 4 * MIB  # as much as a frame from a client
HTTP_BODIES_BYTES_MAX = 64 * MIB  # of all connections: announced, or here and not answered
HTTP_AHEAD_BYTES_MAX = 64 * KIB  # pipelined behind a request that is not answered yet; beyond it nothing more is read
HTTP_SECONDS_MAX = 5.0  # from the first byte of a request to its last, and for a body as long as this takes besides:
HTTP_BYTES_PER_SECOND_MIN = 256 * KIB
HTTP_IDLE_SECONDS_MAX = 30.0  # between requests

assert EAGER_ASKS < OUTSTANDING_MAX
assert EAGER_BYTES < LINK_PENDING_BYTES_MAX
assert Limits().client_requests_max > GUEST_EAGER_ASKS
assert PARTIAL_BYTES_ALL_MAX > FRAME_BYTES_MAX
assert UNREAD_BYTES_PAUSE < UNREAD_BYTES_MAX < UNREAD_BYTES_ALL_MAX
assert UNREAD_BYTES_MAX > FRAME_BYTES_MAX + RANGE_BYTES_MAX
assert COMMAND_BYTES_MAX < HTTP_BODY_BYTES_MAX < HTTP_BODIES_BYTES_MAX
assert PEER_UNSENT_BYTES_MAX > FRAME_BYTES_MAX
