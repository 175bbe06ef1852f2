"""One question to another engine, by a process that has just started: tries again where that is safe, and knows what it does not know."""

from __future__ import annotations

import os
import time

from coordctl.engines import lines
from coordctl.engines.lines import TOLD_TO_WORDS, Gone, There
from coordctl.engines.secrets import secured
from coordctl.hot import frames, locks
from coordctl.hot.dialling import connect, seconds_left
from coordctl.hot.secrecy import shut_out, trouble
from coordnode.errors import (
    BadRequest,
    CoordError,
    Disconnected,
    FrameError,
    NotPermitted,
    NotReady,
    SessionExpired,
    TimedOut,
    Unknown,
    Unreachable,
)
from coordnode.light import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    from coordctl.hot.bare import socket
    from coordnode.client.tls import Secured

    Asks = Generator[Any, Any, Any]

ATTEMPT_SECONDS = 2.0  # after so much silence a question that may be asked twice goes to another member
CONNECT_SECONDS = 0.6
REFUSED_SECONDS = 1.0  # when every member has refused connections for so long, none runs
PAUSE_SECONDS = 0.05
LISTEN_SECONDS = 1.0
CLOSE_TAG = 11
BEGUN_AGAIN = (Unreachable, Disconnected, TimedOut, NotReady, FrameError)  # the word, with another member


class Asking:
    """Implements hot.cluster.Cluster."""

    title: str
    remembers = False

    def __init__(self, addresses: Sequence[str], timeout_ms: int, say: Callable[[str], None] = lambda _sentence: None) -> None:
        self.answered_by = ""
        self.cluster = 0
        self._addresses = list(addresses)
        self._say = say
        self._troubles: dict[str, str] = {}
        self._shut_out: set[str] = set()  # who would not be understood by us, or we by them: that does not pass
        self.connection: socket.socket | Secured | None = None
        self._is_heard = False  # something was answered on it
        self._may_have_changed = False  # something, the word that is tried
        self.stays = False  # the connection, from one question to the next
        self.begin(timeout_ms)

    def begin(self, timeout_ms: int) -> None:
        """What is asked next has so much time."""
        self._timeout_ms = timeout_ms
        self._begun = time.monotonic()
        self.until = self._begun + timeout_ms / 1000
        self._troubles.clear()
        self._shut_out.clear()

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
        if command[4][0] == CLOSE_TAG:
            return self._close(command)
        return self._try(lambda: self.write(command), is_write=True)

    def _close(self, command: Sequence[Any]) -> Any:
        """Begun again it harms nobody, but finds nothing where it was done the first time."""
        try:
            return self._try(lambda: self.write(command), is_write=False)
        except SessionExpired as error:
            if not self._may_have_changed:
                raise
            raise Unknown(f"{error.sentence}: that may be this command's doing, whose first answer was lost") from None

    def take_away(self, operation: list[object], _sessions: Sequence[int]) -> int | None:
        begun = time.monotonic()
        self.stays = True
        try:
            self._try(lambda: self.write([0, 0, 0, "", operation]), is_write=True)
            return self._told_after_ms(operation, begun)
        finally:
            self.stays = False
            self.hang_up()

    def _told_after_ms(self, operation: list[object], begun: float) -> int | None:
        """Whoever is told takes away what says why. It is done already: what goes wrong now only leaves open when that was."""
        name: Any = operation[1]
        token: Any = operation[2]
        space = lines.LOCKS if operation[0] == locks.BREAK_TAG else lines.ELECTIONS
        with suppress(CoordError, OSError):
            while time.monotonic() < begun + LISTEN_SECONDS:
                if not self._try(lambda: self.why(space, name, token), is_write=False):
                    return round((time.monotonic() - begun) * 1000)
                time.sleep(0.002)
        return None

    # --- one word --------------------------------------------------------------------------------------------------

    def _try(self, begin: Callable[[], Asks], *, is_write: bool) -> Any:
        self._may_have_changed = False
        place = int.from_bytes(os.urandom(4))
        while True:
            address = self.answered_by if self.connection is not None else self._addresses[place % len(self._addresses)]
            try:
                found = self._carry_out(begin(), address, is_write=is_write)
                self._say(f"{address} answered after {(time.monotonic() - self._begun) * 1000:.1f} ms")
                if not self.stays:
                    self.hang_up()
                return found
            except BEGUN_AGAIN as error:
                self.break_off()
                self._troubles[address] = error.sentence
                self._say(f"{address}: {error.sentence}")
            except BaseException:
                self.hang_up()
                raise
            place += 1
            self._pause_or_give_up()

    def _carry_out(self, word: Asks, address: str, *, is_write: bool) -> Any:
        """A write is sent once: what it may have done already is not known when its answer does not come. Once it has done something, it is
        not begun again either, or it would find its own doing, or undo what another did since."""
        try:
            asked = next(word)
            while True:
                try:
                    found = self._ask(asked, address, is_write=is_write)
                except TOLD_TO_WORDS as error:
                    asked = word.throw(error)
                except (*BEGUN_AGAIN, Unknown) as error:
                    if not (is_write and self._may_have_changed):
                        raise
                    self.break_off()
                    asked = word.throw(self._half_done(address, error))
                else:
                    asked = word.send(found)
        except StopIteration as over:
            return over.value
        except BEGUN_AGAIN as error:
            if not (is_write and self._may_have_changed):
                raise
            raise self._half_done(address, error) from None
        except Gone:
            raise SessionExpired("its session is over") from None
        except There:
            raise BadRequest("it is there already") from None

    def _half_done(self, address: str, error: CoordError) -> Unknown:
        return Unknown(f"{address}: {error.sentence}, after a part of it was done; all of it may have happened or not")

    def _ask(self, asked: Any, address: str, *, is_write: bool) -> Any:
        changes = self.changes(asked)
        is_sent_once = is_write and changes
        if self.connection is None or self.answered_by != address:
            self.meet(address)
        try:
            patience = self.until if is_sent_once else min(self.until, time.monotonic() + ATTEMPT_SECONDS)
            answer = self.exchange(asked, address, patience)
        except TimeoutError:
            doubt = "fell silent before it answered"
        except OSError as error:
            if sentence := self._shut_out_by(address, error):
                raise Disconnected(sentence) from None
            doubt = f"{trouble(error)} before it answered"
        except FrameError as error:
            doubt = f"says something else: {error.sentence}"
        else:
            self._is_heard = True
            try:
                found = self.result(answer)
                self._may_have_changed |= changes
                return found
            except NotReady as error:
                if not changes:
                    raise
                doubt = f"says: {error.sentence}"
        if is_sent_once:
            raise Unknown(f"{address} {doubt}; it may have happened or not")
        self._may_have_changed |= changes
        raise Disconnected(doubt)

    def meet(self, address: str) -> None:
        """Connected, and known there. Raises Disconnected and TimedOut, which nothing was done before."""
        self.break_off()
        try:
            self.connection = secured(connect(address, min(self.until - time.monotonic(), CONNECT_SECONDS)), address)
            self.answered_by = address
            self._is_heard = False
            self.greet()
        except TimeoutError:
            raise TimedOut("fell silent") from None
        except OSError as error:
            raise Disconnected(self._shut_out_by(address, error) or trouble(error)) from None

    def _shut_out_by(self, address: str, error: OSError) -> str:
        """Why nothing that was sent was read; "": it may have been."""
        is_new = self.connection is not None and not self._is_heard
        sentence = shut_out(error, address if is_new else "")
        if sentence:
            self._shut_out.add(address)
        return sentence

    def greet(self) -> None:
        """On a connection that has just been made."""

    def receive(self, patience: float) -> bytes:
        assert self.connection is not None
        self.connection.settimeout(seconds_left(patience))
        part = self.connection.recv(1 << 18)
        if not part:
            raise OSError(0, "hung up")
        return part

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
        refused = {address for address, said in self._troubles.items() if said == "connection refused"}
        all_refused = len(refused) >= len(self._addresses)
        all_shut_out = len(self._shut_out) >= len(self._addresses)
        is_hopeless = len(refused | self._shut_out) >= len(self._addresses) and now - self._begun > REFUSED_SECONDS
        if now + PAUSE_SECONDS < self.until and not all_shut_out and not is_hopeless:
            time.sleep(PAUSE_SECONDS)
            return
        troubles = "; ".join(f"{address}: {said}" for address, said in self._troubles.items())
        if all_shut_out:
            raise NotPermitted(f"no member lets us in ({troubles})")
        if all_refused:
            raise Unreachable(f"no member can be reached ({troubles}): does {self.title} run there?")
        raise Unreachable(f"no member answered within {self._timeout_ms} ms ({troubles}): see `coordctl status`")
