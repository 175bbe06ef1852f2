"""Waiting in a queue's line for as long as it takes, or as long as was said, or until a signal comes: then it is left."""

from typing import NamedTuple

from coordctl.operations.interrupts import Interrupts
from coordnode.client.sync import connect

TTL_SECONDS = 10.0


class Taken(NamedTuple):
    task: int
    token: int
    payload: bytes
    attempts: int
    priority: int


def take(
    endpoints: list[str], queue: bytes, count: int, wait_ms: int, lease_ms: int, timeout_seconds: float, interrupts: Interrupts
) -> tuple[list[Taken], int]:
    """(tasks, the length of their leases). They outlive the session that waited: only their leases end them.

    From the question on a signal is only noted, and ends the wait: whoever called looks at `interrupts`, and gives back what came.
    """
    with connect(endpoints, timeout=timeout_seconds) as cluster, cluster.session(TTL_SECONDS) as session:
        interrupts.defer()
        found = session.queue(queue).take_unless(lambda: interrupts.is_asked, count, lease_ms, wait_ms)
        tasks = [Taken(task.id, task.token, task.payload, task.attempts, task.priority) for task in found]
        return tasks, found[0].hold.lease_ms if found else 0
