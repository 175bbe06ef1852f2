"""One question to etcd, by a process that has just started: tries again where that is safe, and knows what it does not know."""

from __future__ import annotations

import os
import time

from coordctl.engines import lines
from coordctl.engines.etcd import words
from coordctl.engines.etcd.gateway import Ask, Gone, Reader, There, request, result
from coordctl.hot import frames, kv, locks
from coordctl.hot.bare import socket
from coordctl.local.clusters import Endpoint, host_and_port
from coordnode.errors import BadRequest, Disconnected, FrameError, NotReady, SessionExpired, TimedOut, Unknown, Unreachable
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

ATTEMPT_SECONDS = 2.0  # after so much silence a question that may be asked twice goes to another member
CONNECT_SECONDS = 0.6
REFUSED_SECONDS = 1.0  # when every member has refused connections for so long, none runs
PAUSE_SECONDS = 0.05
LISTEN_SECONDS = 1.0


def of(endpoints: list[Endpoint], timeout_ms: int, say: Callable[[str], None]) -> Asking:
    return Asking([endpoint.address for endpoint in endpoints], timeout_ms, say)


class Asking:
    """Implements hot.cluster.Cluster."""

    def __init__(self, addresses: Sequence[str], timeout_ms: int, say: Callable[[str], None] = lambda _sentence: None) -> None:
        self.answered_by = ""
        self.cluster = 0
        self._addresses = list(addresses)
        self._timeout_ms = timeout_ms
        self._begun = time.monotonic()
        self._until = self._begun + timeout_ms / 1000
        self._say = say
        self._troubles: dict[str, str] = {}
        self._connection: socket.socket | None = None
        self._reader = Reader()

    def ask(self, tag: int, *fields: object, is_safe_twice: bool) -> Any:
        if tag == frames.READ:
            operation: Any = fields[0]
            unix_ms = time.time_ns() // 1_000_000
            found = self._try(lambda: words.read(unix_ms, bool(fields[1]), operation), is_write=False)
            if found[1] < fields[2]:
                raise NotReady(f"the revision is {found[1]}, and not {fields[2]} yet")
            return found
        if tag == frames.KEEP_ALIVE:
            session: int = fields[0][0]  # type: ignore[index]
            return self._try(lambda: words.keep_alive(session), is_write=False)
        command: Any = fields[0]
        is_write = command[4][0] not in words.CHANGE_NOTHING_TWICE
        return self._try(lambda: words.write(_id(), command), is_write=is_write)

    def take_away(self, operation: list[object], _sessions: Sequence[int]) -> int | None:
        """Whoever is told takes away the key that says why."""
        name: Any = operation[1]
        token = operation[2]
        space = lines.LOCKS if operation[0] == locks.BREAK_TAG else lines.ELECTIONS
        why = words.BROKEN + space + b"/" + lines.escaped(name) + b"/"
        before = [one[0] for one in self.ask(frames.READ, [kv.RANGE_TAG, why, why[:-1] + b"0"], False, 0, is_safe_twice=True)[2]]
        begun = time.monotonic()
        self.ask(frames.WRITE, [0, 0, 0, "", operation], is_safe_twice=False)
        while time.monotonic() < begun + LISTEN_SECONDS:
            found = self.ask(frames.READ, [kv.RANGE_TAG, why, why[:-1] + b"0"], False, 0, is_safe_twice=True)[2]
            if not [one for one in found if one[0] not in before and (not token or one[0] == why + str(token).encode())]:
                return round((time.monotonic() - begun) * 1000)
            time.sleep(0.002)
        return None

    # --- one word ----------------------------------------------------------------------------------------------------

    def _try(self, begin: Callable[[], words.Asks], *, is_write: bool) -> Any:
        place = _chance()
        while True:
            address = self._addresses[place % len(self._addresses)]
            try:
                found = self._carry_out(begin(), address, is_write=is_write)
                self.answered_by = address
                self._say(f"{address} answered after {(time.monotonic() - self._begun) * 1000:.1f} ms")
                return found
            except (Unreachable, Disconnected, TimedOut, NotReady, FrameError) as error:
                self._troubles[address] = error.sentence
                self._say(f"{address}: {error.sentence}")
            finally:
                self.hang_up()
            place += 1
            self._pause_or_give_up()

    def _carry_out(self, word: words.Asks, address: str, *, is_write: bool) -> Any:
        """A write is sent once: what it may have done already is not known when its answer does not come."""
        try:
            asked = next(word)
            while True:
                changes = is_write and asked.path not in ("kv/range", "lease/grant")
                try:
                    answer = self.exchange(asked, address, patient=changes)
                except (Disconnected, TimedOut) as error:
                    if changes:
                        raise Unknown(f"{address} {error.sentence} before it answered; it may have happened or not") from None
                    raise
                try:
                    found = result(answer)
                except NotReady as error:
                    if changes:  # a leader that changed, or a time that was over, may come before or after it was carried out
                        raise Unknown(f"{address} says: {error.sentence}; it may have happened or not") from None
                    raise
                except (Gone, There) as error:
                    asked = word.throw(error)
                    continue
                asked = word.send(found)
        except StopIteration as over:
            return over.value
        except Gone:
            raise SessionExpired("its session is over") from None
        except There:
            raise BadRequest("a session of this number is there already") from None

    def exchange(self, asked: Ask, address: str, *, patient: bool) -> Any:
        if self._connection is None or self.answered_by != address:
            self.hang_up()
            self._connection = self._connect(address)
            self.answered_by = address
        patience = self._until if patient else min(self._until, time.monotonic() + ATTEMPT_SECONDS)
        try:
            self._connection.settimeout(max(0.01, patience - time.monotonic()))
            self._connection.sendall(request(asked, address))
            while True:
                self._connection.settimeout(max(0.01, patience - time.monotonic()))
                part = self._connection.recv(1 << 18)
                if not part:
                    raise Disconnected("hung up")
                for answer in self._reader.feed(part):
                    return answer
        except TimeoutError:
            raise TimedOut("fell silent") from None
        except OSError as error:
            raise Disconnected((error.strerror or str(error)).lower()) from None

    def _connect(self, address: str) -> socket.socket:
        self._reader = Reader()
        try:
            host, port = host_and_port(address)
            found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unreachable(f"cannot be resolved: {error.strerror}") from None
        trouble = ""
        for family, kind, protocol, _, name in found:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(max(0.01, min(self._until - time.monotonic(), CONNECT_SECONDS)))
            try:
                connection.connect(name)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                connection.close()
                trouble = "fell silent" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise Unreachable(trouble)

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pause_or_give_up(self) -> None:
        now = time.monotonic()
        all_refused = len(self._troubles) >= len(self._addresses) and set(self._troubles.values()) == {"connection refused"}
        if now + PAUSE_SECONDS < self._until and not (all_refused and now - self._begun > REFUSED_SECONDS):
            time.sleep(PAUSE_SECONDS)
            return
        troubles = "; ".join(f"{address}: {trouble}" for address, trouble in self._troubles.items())
        if all_refused:
            raise Unreachable(f"no member can be reached ({troubles}): is etcd running there?")
        raise Unreachable(f"no member answered within {self._timeout_ms} ms ({troubles}): see etcdctl endpoint status")


def _id() -> int:
    return lines.session_id(os.urandom(8))


def _chance() -> int:
    return int.from_bytes(os.urandom(4))


def exchange_once(address: str, asked: Ask, seconds: float) -> Any:
    """Of this very member, whatever it is."""
    one = Asking([address], round(seconds * 1000))
    try:
        return result(one.exchange(asked, address, patient=True))
    except (Gone, There) as error:
        raise BadRequest(str(error)) from None
    finally:
        one.hang_up()
