"""Bytes of etcd's JSON gateway: requests out, answers in. Pure. Does without json, re and base64, which take longer to load than to ask."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from coordctl.engines.lines import Gone, There, quoted
from coordctl.local.clusters import decoded
from coordnode.errors import BadRequest, Disconnected, FrameError, NoSpace, NotPermitted, NotReady
from coordnode.light import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from coordctl.engines.secrets import User
    from coordnode.errors import CoordError

HEAD_BYTES_MAX = 1 << 16
BODY_BYTES_MAX = 1 << 26
ACCEPT = "Accept: application/json\r\n"  # without it etcd takes whoever asks for the user that the gateway's own certificate names
NAMED = "CommonName of client"
NOT_ENABLED = "authentication is not enabled"
TOKEN_IS_OVER = ("invalid auth token", "revision of auth store is old")  # whoever gets another one is served
REDIRECTED, FAILED_THERE = 300, 500  # statuses: from the first to the second nothing was done
INVALID, NOT_FOUND, EXISTS, NO_RIGHT, EXHAUSTED, FAILED_BEFORE, OUT_OF_RANGE, UNAUTHENTICATED = 3, 5, 6, 7, 8, 9, 11, 16


class Ask(NamedTuple):
    path: str  # below /v3/
    body: dict[str, Any]


class Answer(NamedTuple):
    status: int
    body: Any


def encoded(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f'"{name}":{encoded(one)}' for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encoded, value)) + "]"
    if isinstance(value, bytes):
        return f'"{b2a_base64(value, newline=False).decode()}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else quoted(str(value))


def plain(text: str | None) -> bytes:
    """A key or a value of an answer, which leaves empty ones out."""
    return a2b_base64(text) if text else b""


def request(ask: Ask, address: str, token: str = "") -> bytes:
    body = encoded(ask.body).encode()
    who = f"Authorization: {token}\r\n" if token else ""
    return f"POST /v3/{ask.path} HTTP/1.1\r\nHost: {address}\r\n{ACCEPT}{who}Content-Length: {len(body)}\r\n\r\n".encode() + body


def authenticate(user: User) -> Ask:
    return Ask("auth/authenticate", {"name": user.name, "password": user.password})


def token_of(answer: Answer) -> str:
    """For the header of each request; "": nobody is asked there who he is."""
    if isinstance(answer.body, dict) and NOT_ENABLED in str(answer.body.get("error", "")):
        return ""
    return str(result(answer)["token"])


def result(answer: Answer) -> Any:
    """What was asked for; or raises why not."""
    body = answer.body
    if isinstance(body, dict) and "result" in body:  # of a stream
        body = body["result"]
    if answer.status == 200 and isinstance(body, dict) and "error" not in body:
        return body
    raise refusal(answer.status, body)


def is_of_no_token(answer: Answer) -> bool:
    """Whoever asks is to get another one."""
    return answer.status != 200 and any(part in str(answer.body) for part in TOKEN_IS_OVER)


def refusal(status: int, body: Any) -> Exception:
    if isinstance(body, dict) and isinstance(body.get("error"), dict):  # in a stream
        body = body["error"]
    if not isinstance(body, dict):
        if str(body).startswith(NAMED):
            return NotPermitted("etcd's gateway lets in no certificate with a common name once there are users: get one without")
        if REDIRECTED <= status < FAILED_THERE:
            return FrameError("what answers there is not etcd's JSON gateway: is it etcd 3.4 or later, and is --enable-grpc-gateway on?")
        return NotReady(f"something between us and etcd answers with HTTP status {status}")  # which may have passed on what was asked
    code = body.get("code", body.get("grpc_code", 0))
    sentence = str(body.get("message") or body.get("error") or "etcd refused it").removeprefix("etcdserver: ")
    if "lease not found" in sentence:
        return Gone(sentence)
    if "lease already exists" in sentence:
        return There(sentence)
    error: CoordError
    if any(part in sentence for part in TOKEN_IS_OVER):
        error = Disconnected(sentence)
    elif "user name is empty" in sentence:
        error = NotPermitted("etcd wants to know who asks: COORD_AUTH_TOKEN_FILE names a file with USER:PASSWORD in it")
    elif code in (NO_RIGHT, UNAUTHENTICATED) or "authentication failed" in sentence:
        error = NotPermitted(f"etcd permits it not: {sentence}")
    elif code == EXHAUSTED and "space" in sentence:
        error = NoSpace(f"etcd has no space left ({sentence}): see etcdctl alarm list")
    elif code in (INVALID, OUT_OF_RANGE, FAILED_BEFORE, EXISTS, NOT_FOUND):
        error = BadRequest(f"etcd refused it: {sentence}")
    else:
        error = NotReady(sentence)
    return error


class Reader:
    """Answers on one connection. `streams`: each line is one, as soon as it is there, and never the last."""

    def __init__(self, *, streams: bool = False) -> None:
        self._streams = streams
        self._in = bytearray()
        self._status = 0  # 0: at the start of an answer
        self._is_json = self._is_chunked = False
        self._left = 0  # of the body, or of this chunk
        self._in_trailer = False
        self._body = bytearray()

    def feed(self, data: bytes) -> list[Answer]:
        """Raises FrameError."""
        self._in += data
        found: list[Answer] = []
        try:
            while self._step(found):
                pass
        except (ValueError, IndexError) as error:
            raise FrameError(f"what answers there does not speak HTTP as etcd does ({error!r}): check the endpoint") from None
        return found

    def _step(self, found: list[Answer]) -> bool:
        if not self._status:
            return self._head()
        if self._is_chunked and not self._left:
            return self._chunk_size(found)
        part = self._in[: self._left]
        if not part and self._left:
            return False
        del self._in[: len(part)]
        self._left -= len(part)
        self._body += part
        if self._streams:
            *lines, self._body = self._body.split(b"\n")
            found += [self._answer(line) for line in lines if line]
        if len(self._body) > BODY_BYTES_MAX:
            raise ValueError("too many bytes")
        if not self._left and not self._is_chunked:
            self._end(found)
        return True

    def _head(self) -> bool:
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            if len(self._in) > HEAD_BYTES_MAX:
                raise ValueError("no end of its head")
            return False
        first, *lines = bytes(self._in[:end]).lower().split(b"\r\n")
        del self._in[: end + 4]
        fields = dict(line.split(b": ", 1) for line in lines if b": " in line)
        self._is_chunked = fields.get(b"transfer-encoding") == b"chunked"
        self._is_json = fields.get(b"content-type", b"").startswith(b"application/json")
        self._left = 0 if self._is_chunked else int(fields.get(b"content-length", b"0"))
        self._status = int(first.split()[1])
        return True

    def _chunk_size(self, found: list[Answer]) -> bool:
        """Its line, behind the end of the one before; or what is behind the last one."""
        end = self._in.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._in[:end])
        del self._in[: end + 2]
        if self._in_trailer:
            if not line:
                self._in_trailer = False
                self._end(found)
        elif line:
            self._left = int(line, 16)
            self._in_trailer = not self._left
        return True

    def _end(self, found: list[Answer]) -> None:
        found.append(self._answer(bytes(self._body)))
        self._status = 0
        self._body = bytearray()

    def _answer(self, body: bytes | bytearray) -> Answer:
        return Answer(self._status, decoded(body.decode()) if self._is_json and body.strip() else body.decode(errors="replace"))
