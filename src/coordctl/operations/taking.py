"""Waiting in a queue's line for as long as it takes, or as long as was said."""

from typing import NamedTuple

from coordnode.client.sync import connect

TTL_SECONDS = 10.0


class Taken(NamedTuple):
    task: int
    token: int
    payload: bytes
    attempts: int
    priority: int


def take(
    endpoints: list[str], queue: bytes, count: int, wait_seconds: float, lease_ms: int, timeout_seconds: float
) -> tuple[list[Taken], int]:
    """(tasks, the length of their leases). They outlive the session that waited: only their leases end them."""
    with connect(endpoints, timeout=timeout_seconds) as cluster, cluster.session(TTL_SECONDS) as session:
        found = session.queue(queue).take(count, wait=wait_seconds, lease=lease_ms / 1000 or None, detached=True)
        tasks = [Taken(task.id, task.token, task.payload, task.attempts, task.priority) for task in found]
        return tasks, found[0].hold.lease_ms if found else 0
