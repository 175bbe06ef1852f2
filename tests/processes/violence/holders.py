"""Clients that hold a session with a key bound to it, write down for how long they believe in it, and then close or desert it.

All processes of a campaign share the machine's clock, so that beliefs and ends can be compared.
"""

import random
import threading
from contextlib import suppress

from coordnode.client.clock import now_ms
from coordnode.client.lease import SessionState
from coordnode.client.sync import Cluster, Session, connect
from coordnode.errors import CoordError
from tests.processes.violence.paper import Paper, write_event

TTL_S = 2.0
HOLD_S_MAX = 5.0
LOOK_S = 0.05
PREFIX = b"s/"


class Holder:
    def __init__(self, endpoints: str, paper: Paper, number: int, rng: random.Random) -> None:
        self._endpoints = endpoints
        self._paper = paper
        self._number = number
        self._rng = rng
        self._count = 0

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            with connect(self._endpoints) as cluster:  # leaving it deserts a session that is open
                self._live(cluster, stopping)

    def _live(self, cluster: Cluster, stopping: threading.Event) -> None:
        try:
            session = cluster.session(TTL_S, timeout=20)
        except CoordError:
            return
        self._bind(session)
        over_ms = now_ms() + self._rng.uniform(0, HOLD_S_MAX) * 1_000
        while now_ms() < over_ms and session.state is not SessionState.LOST:
            at_ms = now_ms()  # before the look: never later than what it says
            self._paper.write({"session": session.id, "at": at_ms, "believed_until": at_ms + session.remaining_ms})
            stopping.wait(LOOK_S)
        if self._rng.random() < 0.5:
            self._paper.write({"session": session.id, "at": now_ms(), "closing": True})
            with suppress(CoordError):  # it is over already, or will be
                session.close()

    def _bind(self, session: Session) -> None:
        self._count += 1
        value = b"%d-%d" % (self._number, self._count)
        key = PREFIX + value
        write_event(self._paper, self._number, "invoke", "put", (key, value, int(session.id)))
        try:
            revision = session.kv.put(key, value, bound=True)
        except CoordError as error:
            write_event(self._paper, self._number, "fail" if error.definite else "info", "put", None)
        else:
            write_event(self._paper, self._number, "ok", "put", int(revision))
