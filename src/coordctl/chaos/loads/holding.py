"""Sessions, and what ends with them: bound keys, members of groups, tasks that were taken."""

import time
from contextlib import suppress
from typing import Any, ClassVar

from coordctl.chaos.loads.clients import SessionClient
from coordnode.client.groups import Membership
from coordnode.client.queues import Task
from coordnode.client.sync import Cluster, Session
from coordnode.errors import Conflict, CoordError, NotHeld

KEYS, MEMBERS, PRIORITIES = 4, 4, 3
TASKS_MAX = 3  # in one client's hands
PUTS_SHARE = 0.25  # of the turns: few, so that order is soon seen, or checking would take for ever
LEASE_SECONDS = 1.5
STATES = ("taken", "delayed", "ready", "dead")  # in the order in which a task that nobody takes may go through them


class BoundKeysClient(SessionClient):
    pause_seconds_max: ClassVar[float] = 0.08

    def open(self) -> Session:
        opened: list[Session] = []

        def act() -> int:
            opened.append(self.cluster.session(self.ttl_seconds))
            return int(opened[0].id)

        self.ask("open", None, act)
        return opened[0]

    def held(self, session: Session) -> list[object]:
        return [int(session.id)]

    def close(self, session: Session) -> None:
        self.ask("close", int(session.id), lambda: _true(session.close))

    def closed(self, session: Session) -> None:
        pass  # the close itself says it

    def use(self, session: Session, turn: int) -> bool:
        key = f"{self.prefix}k{self.chance.randrange(KEYS)}"
        value = f"{self.number}-{turn}"
        draw = self.chance.random()
        if draw < 0.3:
            self.ask("bind", [int(session.id), [key, value]], lambda: _true(session.kv.put, key, value, bound=True))
        elif draw < 0.4:
            self.ask("put", [key, value], lambda: _true(session.kv.put, key, value))
        elif draw < 0.5:
            self.ask("delete", key, lambda: self.cluster.kv.delete(key))
        else:
            self._get(self.cluster, key)
        return draw < 0.4

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            for number in range(KEYS):
                self._get(cluster, f"{self.prefix}k{number}")

    def _get(self, cluster: Cluster, key: str) -> None:
        def act() -> str | None:
            item = cluster.kv.get(key)
            return item.value.decode() if item is not None else None

        self.ask("get", key, act)


class GroupClient(SessionClient):
    pause_seconds_max: ClassVar[float] = 0.08

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._group = f"{self.prefix}g"
        self._mine: dict[str, Membership] = {}

    def held(self, session: Session) -> list[object]:
        held: list[object] = [[self._group, name] for name in self._mine]
        self._mine = {}
        return held

    def use(self, session: Session, turn: int) -> bool:
        name = f"m{self.chance.randrange(MEMBERS)}"
        about = f"{self.number}-{turn}"
        draw = self.chance.random()
        if draw < 0.35:
            self._join(session, name, about)
        elif draw < 0.5 and name in self._mine:
            member = self._mine[name]
            self.ask("update", [self._group, [name, about]], lambda: self._update(member, about))
        elif draw < 0.65 and name in self._mine:
            self._leave(name)
        else:
            self._view(self.cluster)
            return False
        return True

    def _join(self, session: Session, name: str, about: str) -> None:
        def act() -> object:
            try:
                joined = session.group(self._group).join(name, data=about)
            except Conflict:
                return False
            self._mine[name] = joined
            return int(joined.view)

        began_ns = time.monotonic_ns()
        try:
            self.ask("join", [self._group, [name, about]], act)
        except CoordError:
            self.lost([self._group, name], began_ns)  # if it joined at all, it goes with the session
            raise

    def _update(self, member: Membership, about: str) -> int:
        member.update(data=about)
        return int(member.view)

    def _leave(self, name: str) -> None:
        member = self._mine.pop(name)

        def act() -> int:
            member.leave()
            return int(member.view)

        try:
            self.ask("leave", [self._group, name], act)
        except CoordError:
            self.lost([self._group, name], self.lived_ns)
            raise

    def _view(self, cluster: Cluster) -> None:
        def act() -> list[object]:
            view = cluster.group(self._group).view()
            return [int(view.number) if len(view) else 0, [[one.name.decode(), one.data.decode()] for one in view]]

        self.ask("read", [self._group, None], act)

    def finish(self) -> None:
        with self.with_patience() as cluster, suppress(CoordError):
            self._view(cluster)


class QueueClient(SessionClient):
    """Of the tasks that it takes it does most; some it returns, or keeps for too long, or takes along when it goes."""

    pause_seconds_max: ClassVar[float] = 0.06
    ends_share: ClassVar[float] = 0.03

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._queue = f"{self.prefix}tasks"
        self._tasks: list[Task] = []

    def held(self, session: Session) -> list[object]:
        """They may be anybody's again, which a queue allows at any time."""
        self._tasks = []
        return []

    def use(self, session: Session, turn: int) -> bool:
        draw = self.chance.random()
        if draw < PUTS_SHARE:
            value, priority = f"{self.number}-{turn}", self.chance.randrange(PRIORITIES)
            self.ask("put", [value, priority], lambda: _true(session.queue(self._queue).put, value, priority=priority))
        elif self._tasks and (draw < 0.6 or len(self._tasks) == TASKS_MAX):
            self._finish(self._tasks.pop(self.chance.randrange(len(self._tasks))))
        else:
            self.ask("take", None, lambda: self._take(session))
        return True

    def _take(self, session: Session) -> object:
        for task in session.queue(self._queue).take(lease=LEASE_SECONDS):
            self._tasks.append(task)
            return [task.payload.decode(), int(task.token)]
        return None

    def _finish(self, task: Task) -> None:
        is_done = self.chance.random() < 0.75

        def act() -> object:
            try:
                task.ack() if is_done else task.nack(delay=0.2)
            except NotHeld:
                return "stale"
            return True

        self.ask("ack" if is_done else "nack", int(task.token), act)

    def finish(self) -> None:
        """Nothing is lost: each task was done, or is there."""
        with self.with_patience() as cluster, suppress(CoordError):
            self.ask("read", None, lambda: self._all(cluster))

    def _all(self, cluster: Cluster) -> list[str]:
        queue = cluster.queue(self._queue)
        there = dict.fromkeys(one.task for state in STATES for one in queue.tasks(state))
        found = [queue.get(task) for task in there]
        return [one.payload.decode() for one in found if one is not None]


def _true(act: Any, *arguments: Any, **named: Any) -> bool:
    act(*arguments, **named)
    return True
