"""One question to another engine, by a process that has just started: tries again where that is safe, and knows what it does not know."""

from __future__ import annotations

import os
import time

from coordctl.engines import lines
from coordctl.engines.lines import Gone, There
from coordctl.hot import frames, locks
from coordctl.hot.bare import socket
from coordctl.local.clusters import host_and_port
from coordnode.errors import BadRequest, Disconnected, FrameError, NotReady, SessionExpired, TimedOut, Unknown, Unreachable
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    Asks = Generator[Any, Any, Any]

ATTEMPT_SECONDS = 2.0  # after so much silence a question that may be asked twice goes to another member
CONNECT_SECONDS = 0.6
REFUSED_SECONDS = 1.0  # when every member has refused connections for so long, none runs
PAUSE_SECONDS = 0.05
LISTEN_SECONDS = 1.0
CLOSE_TAG = 11


class Asking:
    """Implements hot.cluster.Cluster."""

    title: str

    def __init__(self, addresses: Sequence[str], timeout_ms: int, say: Callable[[str], None] = lambda _sentence: None) -> None:
        self.answered_by = ""
        self.cluster = 0
        self._addresses = list(addresses)
        self._say = say
        self._troubles: dict[str, str] = {}
        self.connection: socket.socket | None = None
        self.stays = False  # the connection, from one question to the next
        self.begin(timeout_ms)

    def begin(self, timeout_ms: int) -> None:
        """What is asked next has so much time."""
        self._timeout_ms = timeout_ms
        self._begun = time.monotonic()
        self.until = self._begun + timeout_ms / 1000
        self._troubles.clear()

    # --- each engine's own -----------------------------------------------------------------------------------------

    def read(self, operation: Sequence[Any], *, stale: bool) -> Asks:
        raise NotImplementedError

    def write(self, command: Sequence[Any]) -> Asks:
        raise NotImplementedError

    def renew(self, session: int) -> Asks:
        raise NotImplementedError

    def why(self, space: bytes, name: bytes, token: int) -> Asks:
        """Which reasons that were left for holders nobody has read yet."""
        raise NotImplementedError

    def changes(self, asked: Any) -> bool:
        raise NotImplementedError

    def exchange(self, asked: Any, address: str, patience: float) -> Any:
        """What was answered, as the engine has it. Raises what a connection can do."""
        raise NotImplementedError

    def result(self, answer: Any) -> Any:
        raise NotImplementedError

    # --- what is asked ---------------------------------------------------------------------------------------------

    def ask(self, tag: int, *fields: Any, is_safe_twice: bool) -> Any:
        if tag == frames.READ:
            operation, stale, min_revision = fields
            found = self._try(lambda: self.read(operation, stale=bool(stale)), is_write=False)
            if found[1] < min_revision:
                raise NotReady(f"the revision is {found[1]}, and not {min_revision} yet")
            return found
        if tag == frames.KEEP_ALIVE:
            return self._try(lambda: self.renew(fields[0][0]), is_write=False)
        command = fields[0]
        return self._try(lambda: self.write(command), is_write=command[4][0] != CLOSE_TAG)

    def take_away(self, operation: list[object], _sessions: Sequence[int]) -> int | None:
        """Whoever is told takes away what says why."""
        name: Any = operation[1]
        token: Any = operation[2]
        space = lines.LOCKS if operation[0] == locks.BREAK_TAG else lines.ELECTIONS
        begun = time.monotonic()
        self.stays = True
        try:
            self._try(lambda: self.write([0, 0, 0, "", operation]), is_write=True)
            while time.monotonic() < begun + LISTEN_SECONDS:
                if not self._try(lambda: self.why(space, name, token), is_write=False):
                    return round((time.monotonic() - begun) * 1000)
                time.sleep(0.002)
            return None
        finally:
            self.stays = False
            self.hang_up()

    # --- one word --------------------------------------------------------------------------------------------------

    def _try(self, begin: Callable[[], Asks], *, is_write: bool) -> Any:
        place = int.from_bytes(os.urandom(4))
        while True:
            address = self.answered_by if self.connection is not None else self._addresses[place % len(self._addresses)]
            try:
                found = self._carry_out(begin(), address, is_write=is_write)
                self._say(f"{address} answered after {(time.monotonic() - self._begun) * 1000:.1f} ms")
                if not self.stays:
                    self.hang_up()
                return found
            except (Unreachable, Disconnected, TimedOut, NotReady, FrameError) as error:
                self.break_off()
                self._troubles[address] = error.sentence
                self._say(f"{address}: {error.sentence}")
            except BaseException:
                self.hang_up()
                raise
            place += 1
            self._pause_or_give_up()

    def _carry_out(self, word: Asks, address: str, *, is_write: bool) -> Any:
        """A write is sent once: what it may have done already is not known when its answer does not come."""
        try:
            asked = next(word)
            while True:
                try:
                    asked = word.send(self._ask(asked, address, is_write=is_write))
                except (Gone, There) as error:
                    asked = word.throw(error)
        except StopIteration as over:
            return over.value
        except Gone:
            raise SessionExpired("its session is over") from None
        except There:
            raise BadRequest("it is there already") from None

    def _ask(self, asked: Any, address: str, *, is_write: bool) -> Any:
        changes = is_write and self.changes(asked)
        try:
            if self.connection is None or self.answered_by != address:
                self.break_off()
                self.connection = self._connect(address)
                self.answered_by = address
                self.greet()
        except TimeoutError:
            raise TimedOut("fell silent") from None
        except OSError as error:
            raise Disconnected((error.strerror or str(error)).lower()) from None
        doubt = ""
        try:
            patience = self.until if changes else min(self.until, time.monotonic() + ATTEMPT_SECONDS)
            return self.result(self.exchange(asked, address, patience))
        except TimeoutError:
            doubt = "fell silent before it answered"
        except OSError as error:
            doubt = f"{(error.strerror or str(error)).lower()} before it answered"
        except NotReady as error:
            if not changes:
                raise
            doubt = f"says: {error.sentence}"
        if changes:
            raise Unknown(f"{address} {doubt}; it may have happened or not")
        raise Disconnected(doubt)

    def greet(self) -> None:
        """On a connection that has just been made."""

    def receive(self, patience: float) -> bytes:
        assert self.connection is not None
        self.connection.settimeout(max(0.01, patience - time.monotonic()))
        part = self.connection.recv(1 << 18)
        if not part:
            raise OSError(0, "hung up")
        return part

    def _connect(self, address: str) -> socket.socket:
        try:
            host, port = host_and_port(address)
            found = socket.getaddrinfo(host.encode() if host.isascii() else host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unreachable(f"cannot be resolved: {error.strerror}") from None
        trouble = ""
        for family, kind, protocol, _, name in found:
            connection = socket.socket(family, kind, protocol)
            connection.settimeout(max(0.01, min(self.until - time.monotonic(), CONNECT_SECONDS)))
            try:
                connection.connect(name)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError as error:
                connection.close()
                trouble = "fell silent" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        raise Unreachable(trouble)

    def break_off(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def hang_up(self) -> None:
        """In peace."""
        self.break_off()

    def once(self, asked: Any, address: str) -> Any:
        """Of this very member, whatever it is."""
        try:
            return self._ask(asked, address, is_write=False)
        except (Gone, There) as error:
            raise BadRequest(str(error)) from None
        finally:
            self.hang_up()

    def _pause_or_give_up(self) -> None:
        now = time.monotonic()
        all_refused = len(self._troubles) >= len(self._addresses) and set(self._troubles.values()) == {"connection refused"}
        if now + PAUSE_SECONDS < self.until and not (all_refused and now - self._begun > REFUSED_SECONDS):
            time.sleep(PAUSE_SECONDS)
            return
        troubles = "; ".join(f"{address}: {trouble}" for address, trouble in self._troubles.items())
        if all_refused:
            raise Unreachable(f"no member can be reached ({troubles}): does {self.title} run there?")
        raise Unreachable(f"no member answered within {self._timeout_ms} ms ({troubles}): see `coordctl status`")
