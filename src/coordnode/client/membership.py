"""Who belongs to the cluster, who leads it, and its feature level, blocking: `cluster.members`; and the asks that its twin makes, too."""

from collections.abc import Collection, Mapping

from coordnode.client.durations import Seconds, in_ms
from coordnode.client.pump import Pump
from coordnode.ids import MemberId
from coordnode.raft.entry import Config
from coordnode.services.dialogue import ConfigAsk, LevelAsk, TransferAsk


def change_ask(voters: Collection[int], learners: Collection[int], contacts: Mapping[int, str]) -> ConfigAsk:
    members = sorted({*voters, *learners})
    config = Config(
        voters=tuple(MemberId(member) for member in sorted(voters)),
        learners=tuple(MemberId(member) for member in sorted(learners)),
        contacts=tuple((MemberId(member), contacts[member]) for member in members if member in contacts),
    )
    return ConfigAsk(0, config)


class Members:
    """Each call is answered once what was asked for is so. One that is cut short (not `definite`) may still happen: look."""

    def __init__(self, pump: Pump, timeout_ms: int) -> None:
        self._pump = pump
        self._timeout_ms = timeout_ms

    def change(
        self, voters: Collection[int], learners: Collection[int], contacts: Mapping[int, str], *, timeout: Seconds | None = None
    ) -> None:
        """To exactly these members, in one step of joint consensus. `contacts`: where each can be reached. BadRequest: a majority of these
        voters does not belong to the cluster yet; take newcomers in as learners first, and make voters of them in a second step."""
        self._pump.administer(change_ask(voters, learners, contacts), self._limit(timeout))

    def lead(self, member: int, *, timeout: Seconds | None = None) -> None:
        """Hands the leadership to this voter."""
        self._pump.administer(TransferAsk(0, MemberId(member)), self._limit(timeout))

    def raise_level(self, level: int, *, timeout: Seconds | None = None) -> None:
        """Never goes back: from then on every member must know it."""
        self._pump.administer(LevelAsk(0, level), self._limit(timeout))

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
