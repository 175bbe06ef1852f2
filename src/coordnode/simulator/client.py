"""One client process: the real client core, its own clock, its connection, and what it does with a pause."""

from collections.abc import Callable, Sequence
from typing import Protocol

from coordnode.client.actions import (
    Action,
    Connect,
    Disconnect,
    Finished,
    Send,
    SessionChanged,
    WatchEvents,
    WatchFailed,
    WatchGapSeen,
)
from coordnode.client.core import ClientCore
from coordnode.client.lease import SessionState
from coordnode.ids import NO_SESSION, MemberId, SessionId
from coordnode.services.auth.service import OPERATOR
from coordnode.services.callers import Caller
from coordnode.services.commands import SessionOpened
from coordnode.services.dialogue import Answer, Ask, KeepAliveAsk, KeepAliveReply
from coordnode.simulator.clock import HostClock
from coordnode.simulator.connections import Connections
from coordnode.simulator.world import MILLISECOND, World


class Owner(Protocol):
    """Whoever uses this client hears what came of it."""

    def on_finished(self, client: "SimClient", finished: Finished) -> None: ...

    def on_session(self, client: "SimClient", changed: SessionChanged) -> None: ...

    def on_watch(self, client: "SimClient", seen: WatchEvents | WatchGapSeen | WatchFailed) -> None: ...

    def on_renewing(self, client: "SimClient", sessions: Sequence[SessionId]) -> None:
        """It asks to keep these."""
        ...

    def on_belief(self, client: "SimClient", session: SessionId, until_ms: int) -> None:
        """From now on it relies on this session until then, on its own clock, whether it says so or not."""
        ...


class SimClient:
    def __init__(
        self,
        world: World,
        connections: Connections,
        owner: Owner,
        *,
        number: int,
        name: str,
        members: Sequence[MemberId],
        rate_ppm: int,
        reads_anywhere: bool = False,
    ) -> None:
        self.number = number
        self.name = name
        self.caller = Caller(name, OPERATOR)  # may everything, also once there are roles
        self.core = ClientCore(members, world.stream(f"client core {name}"), identity=name, reads_anywhere=reads_anywhere)
        self.clock = HostClock(world, start_ms=1_000_000 * number, rate_ppm=rate_ppm, wall_ms=0)
        self.sessions: dict[int, SessionId] = {}  # by the core's number; of those that are open
        self._believed_until_ms: dict[int, int] = {}  # likewise
        self._world = world
        self._connections = connections
        self._owner = owner
        self.connection = 0  # 0: none
        self._member = MemberId(0)
        self._wake_ns = -1  # when the world will poll us; -1: not asked for
        self._silent = False
        self._gone = False
        self._missed: list[Callable[[], None]] = []  # what arrived while the process did not run

    # --- what the process does -------------------------------------------------------------------------------------

    def poll(self) -> None:
        """After anything was asked of the core."""
        if self._silent or self._gone:
            return
        core = self.core
        more = True
        while more:
            more = False  # unless something is carried out that may lead to more
            sends: list[Ask] = []
            for action in core.poll(self.clock.own_ms()):
                if isinstance(action, Send):
                    ask = action.ask
                    sends.append(ask)
                    if type(ask) is KeepAliveAsk:
                        self._owner.on_renewing(self, ask.sessions)
                    continue
                if sends:
                    self._connections.ask(self.connection, sends)
                    sends = []
                self._carry_out(action)
                more = True
            if sends:
                self._connections.ask(self.connection, sends)
        self._wake_later()

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Finished):
            if isinstance(action.result, SessionOpened):
                self.sessions[action.call] = action.result.session
            self._owner.on_finished(self, action)
        elif isinstance(action, Connect):
            assert not self.connection
            self._member = action.member
            self.connection = self._connections.open(self, action.member)
        elif isinstance(action, Disconnect):
            self._connections.hang_up(self.connection)
            self.connection = 0
        elif isinstance(action, SessionChanged):
            if action.state is SessionState.LOST:
                self.sessions.pop(action.session, None)
            elif action.session_id != NO_SESSION:
                self.sessions[action.session] = action.session_id
            self._owner.on_session(self, action)
        else:
            assert not isinstance(action, Send)
            self._owner.on_watch(self, action)

    def _wake_later(self) -> None:
        wake_ms = self.core.wake_at_ms()
        if wake_ms is None:
            self._wake_ns = -1
            return
        own_ns = self.clock.own_ns()
        wake_ns = self._world.now_ns + self.clock.world_ns(max(MILLISECOND // 4, wake_ms * MILLISECOND - own_ns))
        if self._wake_ns < self._world.now_ns or wake_ns < self._wake_ns:
            self._wake_ns = wake_ns
            self._world.at(wake_ns, self._wake, wake_ns)

    def _wake(self, asked_ns: int) -> None:
        """An earlier wake-up may have been asked for since, and made this one void."""
        if asked_ns == self._wake_ns:
            self._wake_ns = -1
            self.poll()

    def believes_in(self, session_id: SessionId) -> bool:
        """Whether this process, asked now, would rely on that session."""
        if self._gone:
            return False
        for number, known in self.sessions.items():
            if known == session_id:
                state = self.core.session_state(number, self.clock.own_ms())
                return state in (SessionState.HELD, SessionState.UNSURE)
        return False

    # --- pauses and the end ----------------------------------------------------------------------------------------

    def fall_silent(self) -> None:
        """The process does not run; what arrives waits in its sockets."""
        self._silent = True

    def is_silent(self) -> bool:
        return self._silent

    def is_gone(self) -> bool:
        return self._gone

    def go_on(self) -> None:
        if not self._silent:
            return
        self._silent = False
        missed, self._missed = self._missed, []
        for happened in missed:
            happened()
        self.poll()

    def go(self) -> None:
        """The process ends without a word."""
        self._gone = True
        if self.connection:
            self._connections.cut(self.connection)
            self.connection = 0

    # --- what its connection brings --------------------------------------------------------------------------------

    def on_opened(self, connection: int) -> None:
        if self._silent:
            self._missed.append(lambda: self.on_opened(connection))
        elif connection == self.connection and not self._gone:
            self.core.on_connected(self._member, self.clock.own_ms())
            self.poll()

    def on_answers(self, connection: int, answers: Sequence[Answer]) -> None:
        if self._silent:
            self._missed.append(lambda: self.on_answers(connection, answers))
        elif connection == self.connection and not self._gone:
            now_ms = self.clock.own_ms()
            renewed = False
            for answer in answers:
                self.core.on_answer(self._member, answer, now_ms)
                renewed = renewed or type(answer) is KeepAliveReply
            self.poll()
            if renewed:
                self._tell_beliefs()

    def _tell_beliefs(self) -> None:
        believed = self._believed_until_ms
        for number, session in self.sessions.items():
            until_ms = self.core.session_until_ms(number)
            if until_ms != believed.get(number, 0):
                believed[number] = until_ms
                self._owner.on_belief(self, session, until_ms)

    def on_cut(self, connection: int) -> None:
        if self._silent:
            self._missed.append(lambda: self.on_cut(connection))
        elif connection == self.connection and not self._gone:
            self.connection = 0
            self.core.on_disconnected(self._member, self.clock.own_ms())
            self.poll()
