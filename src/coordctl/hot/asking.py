"""One question to the cluster's leader: finds it, follows it, tries again where that is safe, and knows what it does not know."""

from __future__ import annotations

import os
import time

from coordctl.hot import frames
from coordctl.hot.bare import secured
from coordctl.hot.dialling import connect, in_words
from coordctl.local.clusters import Endpoint, led_last, note_led
from coordnode import __version__
from coordnode.client.identity import token_here, who
from coordnode.errors import (
    CoordError,
    Disconnected,
    NoSpace,
    NotLeader,
    NotPermitted,
    NotReady,
    Overloaded,
    Refused,
    TimedOut,
    Unknown,
    Unreachable,
    WrongCluster,
)
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from coordctl.hot.bare import socket
    from coordnode.client.tls import Secured

ATTEMPT_SECONDS = 0.6  # after so much silence a question that may be asked twice goes to another member
REFUSED_SECONDS = 1.0  # when every member has refused connections for so long, none runs
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.015, 0.12
LAST_SECONDS_MAX, LAST_PART = 0.25, 0.1  # of the time: with less left nothing is asked anew, since silence would make a doubt of a refusal
RETRIED = (NotReady, Overloaded, NoSpace)


def of(endpoints: list[Endpoint], timeout_ms: int, say: Callable[[str], None]) -> Asking:
    """With what is remembered here of who leads."""
    return Asking(endpoints, timeout_ms, say, led_last(endpoints), lambda address: note_led(endpoints, address))


class Asking:
    """`ask` is one ask of docs/protocol.md, without its request number. Implements hot.cluster.Cluster."""

    remembers = True

    def __init__(
        self,
        endpoints: list[Endpoint],
        timeout_ms: int,
        say: Callable[[str], None] = lambda _sentence: None,
        led: str = "",
        on_led: Callable[[str], None] = lambda _address: None,
        cluster: int = frames.ANY_CLUSTER,
    ) -> None:
        """`led`: where a leader was before, who is asked first; `on_led` is told when it is elsewhere. `cluster`: no other is asked."""
        assert endpoints
        self._led = led
        self._on_led = on_led
        self._addresses = [endpoint.address for endpoint in endpoints]
        self._address_of = {endpoint.member: endpoint.address for endpoint in endpoints if endpoint.member}
        self._begun = time.monotonic()
        self._until = self._begun + timeout_ms / 1000
        self._timeout_ms = timeout_ms
        self._say = say  # told what each member did
        self._troubles: dict[str, str] = {}  # address -> what it did last
        self._shut_out: dict[str, str] = {}  # address -> why there is no understanding about certificates
        self.answered_by = ""  # the leader, then
        self.cluster = cluster  # which one answered first: what is meant for it is no other's to hear
        self._doubt: CoordError | None = None  # an attempt of a write may have taken effect

    def ask(self, tag: int, *fields: object, is_safe_twice: bool) -> Any:
        """The result of a Reply (None for a barrier), the lists of a KeepAliveReply, or a CoordError.

        Writes that may not be sent twice wait for their one answer.
        """
        tried = 0
        is_for_leader = not (tag == frames.READ and fields[1])  # what may be stale, anybody can say
        address = self._addresses[_chance(len(self._addresses))]
        if is_for_leader and self._led in self._addresses:
            address = self._led
        refusal: CoordError | None = None  # the last of a leader
        while True:
            try:
                result = self._attempt(address, [tag, 1, *fields], tag == frames.WRITE, is_safe_twice)
                self.answered_by = address
                if is_for_leader and address != self._led:
                    self._led = address
                    self._on_led(address)
                self._say(f"{address} answered after {(time.monotonic() - self._begun) * 1000:.1f} ms")
                return result
            except NotLeader as error:
                leader = self._address_of.get(error.leader)
                self._on_trouble(address, "does not lead")
                if leader is not None and leader != address and tried < 2 * len(self._addresses):
                    tried += 1
                    address = leader
                    continue
            except RETRIED as error:
                refusal = error
                self._on_trouble(address, error.sentence)
            except (Unreachable, WrongCluster) as error:
                self._on_trouble(address, error.sentence)
            except (Disconnected, TimedOut) as error:
                self._on_trouble(address, error.sentence)
                if tag == frames.WRITE:
                    self._doubt = error
                    if not is_safe_twice:
                        raise Unknown(f"{address} {error.sentence} before it answered; it may have happened or not") from None
            tried += 1
            address = self._next(address)
            self._pause_or_give_up(tried, refusal)

    def take_away(self, operation: list[object], sessions: Sequence[int]) -> int | None:
        from coordctl.hot.overhearing import told_after_ms  # for an operator's verbs only

        return told_after_ms(self, operation, sessions)

    def _on_trouble(self, address: str, trouble: str) -> None:
        self._troubles[address] = trouble
        self._say(f"{address}: {trouble}")

    def _next(self, address: str) -> str:
        place = self._addresses.index(address) if address in self._addresses else -1
        return self._addresses[(place + 1) % len(self._addresses)]

    def _pause_or_give_up(self, tried: int, refusal: CoordError | None) -> None:
        now = time.monotonic()
        longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2 ** min(tried, 6))
        pause = longest * (500 + _chance(500)) / 1000
        all_refused = len(self._troubles) >= len(self._addresses) and set(self._troubles.values()) == {"connection refused"}
        all_shut_out = len(self._shut_out) >= len(self._addresses)
        least = min(LAST_SECONDS_MAX, self._timeout_ms / 1000 * LAST_PART) if refusal is not None else 0.0
        if now + pause + least < self._until and not all_shut_out and not (all_refused and now - self._begun > REFUSED_SECONDS):
            time.sleep(pause)
            return
        troubles = "; ".join(f"{address}: {trouble}" for address, trouble in self._troubles.items())
        within = f"within {self._timeout_ms} ms" if not all_refused else "for a while"
        if self._doubt is not None:
            raise TimedOut(f"no answer came {within} ({troubles}); it may have happened or not")
        if all_shut_out:
            raise NotPermitted(f"no member lets this client in ({troubles})")
        if all_refused:
            raise Unreachable(f"no member can be reached ({troubles}): is it running? `coordctl up` starts a local cluster")
        if refusal is not None:
            raise refusal
        raise Unreachable(f"no leader answered {within} ({troubles}): see `coordctl status`")

    # --- one attempt -----------------------------------------------------------------------------------------------

    def _attempt(self, address: str, ask: list[object], is_write: bool, is_safe_twice: bool) -> Any:
        patience = self._until if is_write and not is_safe_twice else min(self._until, time.monotonic() + ATTEMPT_SECONDS)
        connection = self._connect(address)
        was_sent = is_heard = False
        try:
            hello = frames.hello(who(), __version__, token_here(), self.cluster)
            patience_ms = max(1, int((self._until - time.monotonic()) * 1000))
            asks = frames.asks([ask], patience_ms)
            waits_for_hello = len(asks) > frames.FIRST_BYTES_MAX
            was_sent = not waits_for_hello
            connection.sendall(hello if waits_for_hello else hello + asks)
            while True:
                kind, content = frames.receive(connection, patience)
                is_heard = True
                if kind == frames.HELLO:
                    self._on_hello(content)
                    if waits_for_hello:
                        was_sent = True
                        connection.sendall(asks)
                elif kind == frames.REFUSAL:
                    raise frames.error_of(content[0], content[1])
                elif kind == frames.ANSWERS:
                    return self._answer(content[0])
        except TimeoutError:
            raise TimedOut("fell silent") from None
        except OSError as error:
            if not is_heard and self._is_shut_out(error, address):
                raise Unreachable(self._shut_out[address]) from None
            reason = in_words(error)
            raise (Disconnected(reason) if was_sent else Unreachable(reason)) from None
        except (IndexError, TypeError, KeyError) as error:
            raise Disconnected(f"answered with something else ({error!r})") from None
        finally:
            connection.close()

    def _is_shut_out(self, error: OSError, address: str) -> bool:
        """One member with another authority keeps nobody out: the others are asked."""
        from coordctl.hot.secrecy import shut_out  # for troubles only

        why = shut_out(error, "" if self.cluster else address)
        if why:
            self._shut_out[address] = why
        else:
            self._shut_out.pop(address, None)
        return bool(why)

    def _connect(self, address: str) -> socket.socket | Secured:
        connection = connect(address, min(self._until - time.monotonic(), ATTEMPT_SECONDS))
        try:
            return secured(connection)
        except OSError as error:
            connection.close()
            raise Unreachable(in_words(error)) from None

    def _on_hello(self, hello: list[Any]) -> None:
        self.cluster = frames.cluster_of(hello, self.cluster)
        contacts = hello[6] if len(hello) > 6 else []
        for member, address in contacts:
            self._address_of.setdefault(member, address)
            if self._address_of[member] not in self._addresses:
                self._addresses.append(self._address_of[member])

    def _answer(self, answer: list[Any]) -> Any:
        if answer[0] == frames.ALIVE:
            return answer[2:]
        if answer[0] == frames.REPLY:
            result = answer[4]
            if result is not None and result[0] == frames.FAILURE:
                raise frames.error_of(result[1], result[2])
            return result
        _, _, code, sentence, definite, *rest = answer
        error = frames.error_of(code, sentence)
        if isinstance(error, NotLeader) and len(rest) > 1:
            error.leader = rest[1]
        if not definite:
            raise Disconnected(f"said: {sentence}")
        raise error if error.definite else Refused(sentence)


def _chance(count: int) -> int:
    """0 .. count - 1; the module random would cost more than all of this."""
    return int.from_bytes(os.urandom(4)) % count
