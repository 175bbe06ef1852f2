"""What is done to the members. Every act is drawn from a seed, written down, and undone before the next one begins."""

import random
import signal
import time
from collections.abc import Callable, Sequence

from tests.processes.members import Cluster, Process
from tests.processes.networks import Networks
from tests.processes.violence.power import Lost, Power

Act = Callable[[], None]

PAUSE_S_MAX = 3.0  # longer than any election
DOWN_S_MAX = 2.0


class Nemesis:
    def __init__(
        self, cluster: Cluster, rng: random.Random, flags: Sequence[str], powers: dict[int, Power], networks: Networks | None
    ) -> None:
        """`powers`: of members whose disk forgets, when they are killed, what was not synced. `networks`: of all, to be cut."""
        self._cluster = cluster
        self._rng = rng
        self._flags = flags
        self._powers = powers
        self._networks = networks
        self._cut: list[int] = []
        self._acts: list[tuple[Act, int]] = [
            (self._kill_leader, 3),
            (self._kill_any, 3),
            (self._kill_all, 2),
            (self._pause_leader, 2),
            (self._pause_any, 2),
            (self._restart, 2),
            (self._pause_one_and_kill_another, 1),
            (self._kill_again_and_again, 1),
        ]
        if networks is not None:
            self._acts += [(self._cut_leader, 3), (self._cut_any, 3), (self._cut_one_and_kill_another, 1)]
        self.told: list[str] = []
        self.lost = Lost(0, 0)

    def act(self, wanted: Act | None = None) -> None:
        """One that is drawn, unless one is wanted. Everybody runs when it is over."""
        acts, weights = zip(*self._acts, strict=True)
        act = wanted or self._rng.choices(acts, weights)[0]
        self.told.append(act.__name__.strip("_"))
        act()
        self.heal()

    def all_of_them(self) -> list[Act]:
        return [act for act, _ in self._acts]

    def heal(self) -> None:
        while self._cut:
            assert self._networks is not None
            self._networks.heal(self._cut.pop())
        for one in self._cluster.members.values():
            if one.running is None:
                self._start(one)
            else:
                one.signal(signal.SIGCONT)

    # --- acts ------------------------------------------------------------------------------------------------------

    def _kill_leader(self) -> None:
        self._kill(self._leader())
        self._wait(DOWN_S_MAX)

    def _kill_any(self) -> None:
        self._kill(self._any())
        self._wait(DOWN_S_MAX)

    def _kill_all(self) -> None:
        self._kill(*self._cluster.members.values())

    def _pause_leader(self) -> None:
        self._leader().signal(signal.SIGSTOP)
        self._wait(PAUSE_S_MAX)

    def _pause_any(self) -> None:
        self._any().signal(signal.SIGSTOP)
        self._wait(PAUSE_S_MAX)

    def _restart(self) -> None:
        one = self._any()
        one.signal(signal.SIGTERM)
        assert one.wait() in (0, -signal.SIGTERM), one.said()[-2_000:]  # the latter while Python still starts

    def _pause_one_and_kill_another(self) -> None:
        """No majority is left until the one goes on."""
        one, other = self._rng.sample(list(self._cluster.members.values()), 2)
        one.signal(signal.SIGSTOP)
        self._kill(other)
        self._wait(PAUSE_S_MAX)

    def _kill_again_and_again(self) -> None:
        """Also while it is still opening its folder."""
        one = self._any()
        for _ in range(4):
            self._kill(one)
            self._start(one)
            self._wait(1.0)

    def _cut_leader(self) -> None:
        self._cut_off(self._leader())
        self._wait(PAUSE_S_MAX)

    def _cut_any(self) -> None:
        self._cut_off(self._any())
        self._wait(PAUSE_S_MAX)

    def _cut_one_and_kill_another(self) -> None:
        """What was acknowledged with the help of the one that is cut off must be there when it is back."""
        one, other = self._rng.sample(list(self._cluster.members.values()), 2)
        self._cut_off(one)
        self._kill(other)
        self._wait(PAUSE_S_MAX)

    # --- means -----------------------------------------------------------------------------------------------------

    def _kill(self, *members: Process) -> None:
        for one in members:
            one.signal(signal.SIGKILL)
        for one in members:
            assert one.wait() == -signal.SIGKILL, one.said()[-2_000:]
            power = self._powers.get(one.member)
            if power is not None:
                lost = power.lose(self._rng)
                self.lost = Lost(self.lost.writes + lost.writes, self.lost.names + lost.names)

    def _cut_off(self, one: Process) -> None:
        assert self._networks is not None
        self._cut.append(one.member)
        self._networks.cut(one.member)

    def _start(self, one: Process) -> None:
        power = self._powers.get(one.member)
        one.start(*self._flags, environment=power.environment if power is not None else {})

    def _wait(self, seconds_max: float) -> None:
        """What is done to a member lasts so long: this is the fault itself, not a condition that is waited for."""
        time.sleep(self._rng.uniform(0, seconds_max))

    def _any(self) -> Process:
        return self._rng.choice(list(self._cluster.members.values()))

    def _leader(self) -> Process:
        return self._cluster.leader()
