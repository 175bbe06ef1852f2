"""What arrives over HTTP: heads, and whole requests up to the command that they would become."""

from collections.abc import Callable

from coordnode.api.asking import ask, envelope_of
from coordnode.api.table import TABLE
from coordnode.errors import FrameError
from coordnode.net.http import HttpRefused, Request, parse_head
from tests.processes.hostile.inputs import REQUESTS


def head_of(data: bytes) -> Request:
    try:
        return parse_head(data)
    except HttpRefused as error:  # HTTP's own: it has a status and a sentence, and no place in the tree of errors
        raise FrameError(error.sentence) from None


def whole(data: bytes) -> object:
    head, _, body = data.partition(b"\r\n\r\n")
    request = head_of(head)
    route, path = TABLE.find(request.method, request.path)
    asked = ask(route, path, request.query, request.headers, body, b"fresh")
    return route.build(asked), envelope_of(request.headers)


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
