"""Thousands of operations, as a few clients would record them of something that is right: many outcomes are unknown, and some of these
happen long after they were asked for."""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any

from coordnode.checking.history import FOREVER, OK, UNKNOWN, UNSEEN, Operation

UNKNOWN_SHARE = 0.04
TTL = 2_500.0  # milliseconds, as all times here


class World(ABC):
    """What is asked, and what is true."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.operations: list[Operation] = []
        self.last = 0  # number that was given
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._planned = 0

    @abstractmethod
    def ask(self, client: dict[str, Any], name: str, now: float) -> tuple[str, Any]: ...

    @abstractmethod
    def do(self, function: str, argument: Any, now: float) -> Any: ...

    def told(self, client: dict[str, Any], function: str, result: Any, asked: float) -> None:  # noqa: B027  # most need none
        """What the client makes of an answer."""

    def doubts(self, client: dict[str, Any], function: str, argument: Any, now: float) -> None:  # noqa: B027
        """And of none."""

    @abstractmethod
    def questions(self) -> list[tuple[str, Any]]:
        """Asked in the end."""

    def at(self, time: float, act: Callable[[float], None]) -> None:
        self._planned += 1
        heapq.heappush(self._due, (time, self._planned, act))

    def number(self) -> int:
        self.last += 1
        return self.last

    def lost(self, what: Any, since: float) -> None:
        self.note("lost", what, UNSEEN, since, FOREVER)

    def note(self, function: str, argument: Any, result: Any, asked: float, returned: float) -> None:
        kind = UNKNOWN if result is UNSEEN else OK
        end = FOREVER if result is UNSEEN else int(1000 * returned)
        self.operations.append(Operation(0, function, argument, result, int(1000 * asked), end, kind))

    def recorded(self, count: int, clients: int) -> list[Operation]:
        for number in range(clients):
            self.at(self.random.uniform(0, 50), self._turn({"name": number}, count))
        now = 0.0
        while self._due:
            now, _, act = heapq.heappop(self._due)
            act(now)
        for number, (function, argument) in enumerate(self.questions()):
            self.note(function, argument, self.do(function, argument, now), now + 2 * number + 1, now + 2 * number + 2)
        return sorted(self.operations, key=lambda one: one.invoked)

    def _turn(self, client: dict[str, Any], count: int) -> Callable[[float], None]:
        chance = self.random

        def turn(asked: float) -> None:
            if len(self.operations) >= count:
                return
            function, argument = self.ask(client, f"{client['name']}-{len(self.operations)}", asked)
            if chance.random() >= UNKNOWN_SHARE:
                self.at(asked + chance.expovariate(1 / 4), lambda now: happens(function, argument, asked, now))
                return
            if chance.random() < 0.5:
                self.at(asked + chance.uniform(0, chance.choice((50, 5_000))), lambda now: self.do(function, argument, now) and None)
            self.note(function, argument, UNSEEN, asked, FOREVER)
            self.doubts(client, function, argument, asked)
            self.at(asked + chance.choice((300, 5_000)), turn)

        def happens(function: str, argument: Any, asked: float, now: float) -> None:
            result = self.do(function, argument, now)
            self.at(now + chance.expovariate(1 / 4), lambda returned: returns(function, argument, result, asked, returned))

        def returns(function: str, argument: Any, result: Any, asked: float, returned: float) -> None:
            self.note(function, argument, result, asked, returned)
            self.told(client, function, result, asked)
            self.at(returned + chance.uniform(1, 80), turn)

        return turn


class Sessions(World):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.living: set[int] = set()
        self.keys: dict[str, tuple[str, int]] = {}

    def ask(self, client: dict[str, Any], name: str, now: float) -> tuple[str, Any]:
        session, key, draw = client.get("session"), self.random.choice("abcd"), self.random.random()
        if session is None:
            return "open", None
        if draw < 0.03:  # deserted
            self._ends(client, session, now)
            return "get", key
        if draw < 0.06:
            return "close", session
        asked = {0.3: ("bind", (session, (key, name))), 0.4: ("put", (key, name)), 0.5: ("delete", key)}
        return next((one for limit, one in asked.items() if draw < limit), ("get", key))

    def _ends(self, client: dict[str, Any], session: int, now: float) -> None:
        client["session"] = None
        self.lost(session, client["lived"])
        self.at(now + self.random.uniform(0, TTL), lambda now: self._end(session) and None)

    def _end(self, session: int) -> bool:
        was = session in self.living
        self.living.discard(session)
        self.keys = {key: one for key, one in self.keys.items() if one[1] != session}
        return was

    def do(self, function: str, argument: Any, now: float) -> Any:
        if function == "open":
            self.living.add(self.number())
            return self.last
        if function == "close":
            return self._end(argument)
        if function == "bind":
            session, (key, value) = argument
            if session in self.living:
                self.keys[key] = value, session
            return session in self.living
        if function == "put":
            self.keys[argument[0]] = argument[1], 0
            return True
        return self.keys.pop(argument, None) is not None if function == "delete" else self.keys.get(argument, (None,))[0]

    def told(self, client: dict[str, Any], function: str, result: Any, asked: float) -> None:
        if function in ("open", "bind", "close"):
            client["lived"] = asked
            client["session"] = None if function == "close" or result is False else result if function == "open" else client["session"]

    def doubts(self, client: dict[str, Any], function: str, argument: Any, now: float) -> None:
        if function == "close":
            self._ends(client, argument, now)

    def questions(self) -> list[tuple[str, Any]]:
        return [("get", key) for key in "abcd"]


class Queue(World):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.tasks: dict[str, tuple[tuple[int, int], int, float]] = {}  # its place, the token of whoever has it, and until when

    def ask(self, client: dict[str, Any], name: str, now: float) -> tuple[str, Any]:
        held, draw = client.setdefault("held", []), self.random.random()
        if draw < 0.27:
            return "put", (name, self.random.randrange(3))
        if held and (draw < 0.62 or len(held) == 3):
            return self.random.choice(("ack", "ack", "ack", "nack")), held.pop(self.random.randrange(len(held)))
        return "take", None

    def do(self, function: str, argument: Any, now: float) -> Any:
        if function == "put":
            self.tasks[argument[0]] = (-argument[1], self.number()), 0, 0.0
            return True
        if function == "read":
            return tuple(self.tasks)
        if function == "take":
            ready = [(place, value) for value, (place, _, until) in self.tasks.items() if until <= now]
            if not ready:
                return None
            place, value = min(ready)
            self.tasks[value] = place, self.number(), now + 1_500
            return value, self.last
        for value, (place, token, until) in self.tasks.items():
            if token == argument and until > now:
                self.tasks[value] = place, 0, now + 200
                if function == "ack":
                    del self.tasks[value]
                return True
        return "stale"

    def told(self, client: dict[str, Any], function: str, result: Any, asked: float) -> None:
        if function == "take" and result is not None:
            client["held"].append(result[1])

    def questions(self) -> list[tuple[str, Any]]:
        return [("read", None)]


class Groups(World):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.members: dict[str, tuple[str, str]] = {}  # what is said about them, and by whom they were joined

    def ask(self, client: dict[str, Any], name: str, now: float) -> tuple[str, Any]:
        mine, member, draw = client.setdefault("mine", {}), self.random.choice("klmn"), self.random.random()
        if draw < 0.35:
            return "join", ("g", (member, name))
        if member in mine and draw < 0.65:
            joined = mine[member]
            if draw < 0.5:
                return ("update", ("g", (member, name))) if self.members.get(member, ("", ""))[1] == joined else ("read", ("g", None))
            del mine[member]
            if draw < 0.55:  # deserted
                self._goes(member, joined, now)
            elif self.members.get(member, ("", ""))[1] == joined:
                return "leave", ("g", member)
        return "read", ("g", None)

    def _goes(self, member: str, joined: str, now: float) -> None:
        self.lost(("g", member), now)
        self.at(now + self.random.uniform(0, TTL), lambda now: self._gone(member, joined))

    def _gone(self, member: str, joined: str) -> None:
        if self.members.get(member, ("", ""))[1] == joined:
            del self.members[member]
            self.number()

    def do(self, function: str, argument: Any, now: float) -> Any:
        if function == "read":
            return (self.last if self.members else 0), tuple([(member, one[0]) for member, one in self.members.items()])
        member, about = argument[1] if function != "leave" else (argument[1], "")
        if (member in self.members) is (function == "join"):
            return False
        if function == "leave":
            del self.members[member]
        else:
            self.members[member] = about, about if function == "join" else self.members[member][1]
        return self.number()

    def told(self, client: dict[str, Any], function: str, result: Any, asked: float) -> None:
        for member, (_, joined) in self.members.items():
            if function == "join" and result is not False and joined.startswith(f"{client['name']}-"):
                client["mine"][member] = joined

    def doubts(self, client: dict[str, Any], function: str, argument: Any, now: float) -> None:
        if function == "join":
            self.lost(("g", argument[1][0]), now)
            self.at(now + 5_000 + TTL, lambda now: self._gone(*argument[1]))

    def questions(self) -> list[tuple[str, Any]]:
        return [("read", ("g", None))]


WORLDS: dict[str, type[World]] = {"session": Sessions, "queue": Queue, "group": Groups}
