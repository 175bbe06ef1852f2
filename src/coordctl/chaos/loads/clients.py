"""What all loads share: the paper that they write on, and a client that asks one thing at a time until the run is over."""

import errno
import json
import os
import random
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from coordctl.chaos.loads.words import LOST, STALE
from coordctl.engines.clients import connect
from coordnode.client.sync import Cluster, Session
from coordnode.errors import CoordError, SessionExpired

TIMEOUT_SECONDS = 5.0
FINISH_SECONDS = 20.0  # for each of the questions that are asked in the very end


class Paper:
    """One file for all clients of a process, a line at a time."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._torn: OSError | None = None  # half a line is there: what is written behind it could not be read

    def write(self, process: int, kind: str, function: str, value: object, at_ns: int = 0) -> None:
        line = {"process": process, "type": kind, "f": function, "value": value, "time": at_ns or time.monotonic_ns()}
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if self._torn is not None:
            raise self._torn
        written = os.write(self._descriptor, content)
        if written != len(content):
            self._torn = OSError(errno.ENOSPC, f"only {written} of {len(content)} bytes of an event could be written")
            raise self._torn


class Client(threading.Thread, ABC):
    pause_seconds_max: ClassVar[float] = 0.03  # between two questions

    def __init__(self, number: int, endpoints: list[str], prefix: str, folder: str, paper: Paper, seed: int, reads: str) -> None:
        super().__init__(name=f"client {number}")
        self.number = number
        self.prefix = prefix
        self.folder = folder
        self.chance = random.Random(f"{seed}/{number}")
        self.is_over = threading.Event()
        self.trouble = ""  # of which it ended by itself: its history ends there, and is no whole one
        self.is_stale = reads == STALE
        self._endpoints = endpoints
        self._paper = paper
        self._losses = LOST * number
        self.cluster = self._connect(TIMEOUT_SECONDS)

    def _connect(self, seconds: float) -> Cluster:
        return connect(self._endpoints, identity=f"chaos load {self.number}", timeout=seconds)

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:  # whatever it is, the others go on, and the load says so in the end
            traceback.print_exc()
            self.trouble = f"{type(error).__name__}: {error}"

    def _work(self) -> None:
        turn = 0
        while not self.is_over.wait(self.chance.uniform(0, self.pause_seconds_max)):
            turn += 1
            with suppress(CoordError):  # it is written down
                self.turn(turn)
        with suppress(CoordError):
            self.leave()
        self.cluster.close()

    @abstractmethod
    def turn(self, turn: int) -> None:
        """One thing that a client does. Raises what the cluster answers, once it is written down."""

    def leave(self) -> None:
        """Gives back what it has."""

    def finish(self) -> None:
        """One client asks, when all have left and nothing is broken any more, what there is in the end."""

    def ask(self, function: str, argument: object, act: Callable[[], Any], *, doubts: bool = False) -> Any:
        """`doubts`: also what surely did not happen is not taken for sure, because giving up on it takes its time."""
        self._paper.write(self.number, "invoke", function, argument)
        try:
            value = act()
        except CoordError as error:
            self._paper.write(self.number, "fail" if error.definite and not doubts else "info", function, None)
            raise
        self._paper.write(self.number, "ok", function, value)
        return value

    def lost(self, what: object, since_ns: int, *, surely: bool = False) -> None:
        """It ended by itself at some time since then: perhaps, or surely by now."""
        self._losses += 1
        self._paper.write(self._losses, "invoke", "lost", what, since_ns)
        self._paper.write(self._losses, "ok" if surely else "info", "lost", None)

    def come_again(self) -> None:
        """As a new client, which may ask any member first. What the old one had is deserted."""
        self.cluster.close()
        self.cluster = self._connect(TIMEOUT_SECONDS)

    def with_patience(self) -> Cluster:
        return self._connect(FINISH_SECONDS)


class SessionClient(Client, ABC):
    """One with a session, which it closes or deserts now and then."""

    ttl_seconds: ClassVar[float] = 2.0
    ends_share: ClassVar[float] = 0.06  # of the turns

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.session: Session | None = None
        self.lived_ns = 0  # when it surely did: what is lost with it may have been so ever since

    @abstractmethod
    def use(self, session: Session, turn: int) -> bool:
        """Whether it asked through the session, so that this surely lives."""

    @abstractmethod
    def held(self, session: Session) -> list[object]:
        """What ends with the session, as `lost` names it."""

    def turn(self, turn: int) -> None:
        if self.session is None:
            began_ns = time.monotonic_ns()
            self.session = self.open()
            self.lived_ns = began_ns
        elif self.chance.random() < self.ends_share:
            self._end(self.session)
        else:
            self._use(self.session, turn)

    def _use(self, session: Session, turn: int) -> None:
        began_ns = time.monotonic_ns()
        try:
            if self.use(session, turn):
                self.lived_ns = began_ns
        except SessionExpired:
            self._may_be_over(session)
            raise

    def leave(self) -> None:
        if self.session is not None:
            self._close(self.session)

    def open(self) -> Session:
        return self.cluster.session(self.ttl_seconds)

    def close(self, session: Session) -> None:
        session.close()

    def closed(self, session: Session) -> None:
        for one in self.held(session):
            self.lost(one, self.lived_ns, surely=True)

    def _end(self, session: Session) -> None:
        if self.chance.random() < 0.5:
            self.come_again()
            self._may_be_over(session)
        else:
            self._close(session)

    def _close(self, session: Session) -> None:
        try:
            self.close(session)
        except CoordError:
            self._may_be_over(session)
            raise
        self.session = None
        self.closed(session)

    def _may_be_over(self, session: Session) -> None:
        self.session = None
        for one in self.held(session):
            self.lost(one, self.lived_ns)
