"""What arrives over HTTP: heads, and whole requests up to the command that they would become."""

from collections.abc import Callable

from coordnode.api.answers import shown_error
from coordnode.api.asking import ask, envelope_of
from coordnode.api.route import Renew, Wait, Watch
from coordnode.api.table import TABLE
from coordnode.api.watches import last_event
from coordnode.errors import CoordError, FrameError
from coordnode.ids import Revision
from coordnode.net.http import HttpRefused, Request, parse_head
from coordnode.services.commands import encode
from coordnode.services.dialogue import WatchAsk
from coordnode.wire.bodies import encode_asks
from coordnode.wire.frames import MSGPACK
from tests.processes.hostile.inputs import REQUESTS


def head_of(data: bytes) -> Request:
    try:
        return parse_head(data)
    except HttpRefused as error:  # HTTP's own: it has a status and a sentence, and no place in the tree of errors
        raise FrameError(error.sentence) from None


def whole(data: bytes) -> object:
    """As far as the bytes that a member would be asked with; what is refused can be said."""
    head, _, body = data.partition(b"\r\n\r\n")
    request = head_of(head)
    try:
        route, path = TABLE.find(request.method, request.path)
        asked = ask(route, path, request.query, request.headers, body, b"fresh")
        work = route.build(asked)
        envelope = envelope_of(request.headers)
        if isinstance(work, Watch):
            return encode_asks([WatchAsk(1, work.start, work.end, Revision(last_event(request.headers) + 1), work.space)], MSGPACK)
    except CoordError as error:
        assert shown_error(error).body
        raise
    work = work.line.first if isinstance(work, Wait) else work
    return encode((work.session if isinstance(work, Renew) else work.operation, envelope))


def is_whole(data: bytes) -> bool:
    try:
        whole(data)
    except Exception:
        return False
    return True


HEADS = [data.partition(b"\r\n\r\n")[0] for data in REQUESTS]
HTTP: dict[str, tuple[list[bytes], Callable[[bytes], object]]] = {
    "http-heads": ([head for head in HEADS if b"chunked" not in head], head_of),
    "http-requests": ([data for data in REQUESTS if is_whole(data)], whole),
}
assert len(HTTP["http-requests"][0]) > 3
