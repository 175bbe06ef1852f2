"""Who belongs to the cluster, who leads it, and its feature level, to await: `cluster.members` of aio."""

from collections.abc import Collection, Mapping

from coordnode.client.durations import Seconds, in_ms
from coordnode.client.membership import change_ask
from coordnode.client.tasks import Tasks
from coordnode.ids import MemberId
from coordnode.services.dialogue import LevelAsk, TransferAsk


class AsyncMembers:
    """What membership.Members does, to await."""

    def __init__(self, tasks: Tasks, timeout_ms: int) -> None:
        self._tasks = tasks
        self._timeout_ms = timeout_ms

    async def change(
        self, voters: Collection[int], learners: Collection[int], contacts: Mapping[int, str], *, timeout: Seconds | None = None
    ) -> None:
        await self._tasks.administer(change_ask(voters, learners, contacts), self._limit(timeout))

    async def lead(self, member: int, *, timeout: Seconds | None = None) -> None:
        await self._tasks.administer(TransferAsk(0, MemberId(member)), self._limit(timeout))

    async def raise_level(self, level: int, *, timeout: Seconds | None = None) -> None:
        await self._tasks.administer(LevelAsk(0, level), self._limit(timeout))

    def _limit(self, timeout: Seconds | None) -> int:
        return self._timeout_ms if timeout is None else in_ms(timeout, "timeout")
