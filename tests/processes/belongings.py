"""Something of everything that users have in a cluster; and whether a cluster that was made anew from a backup has all of it."""

import pytest

from coordnode.client.queues import Task
from coordnode.client.sync import Cluster
from coordnode.errors import NotHeld
from coordnode.services.commands import EQUAL, TOKEN, Compare, Put, TakenTask

RECORDS = [b"record %d %s" % (number, b"." * 1_000) for number in range(800)]  # more than a piece of a journal


class Belongings:
    def __init__(self, client: Cluster) -> None:
        for number in range(150):
            client.kv.put(f"key/{number}", b"value %d" % number)
        client.journal("audit").append(RECORDS[:100])
        client.counters.add("visits", 7)
        mail = client.queue("mail")
        for number in range(3):
            mail.put(b"letter %d" % number)
        (self._by_nobody,) = mail.take(1, lease=600)
        session = client.session(ttl=600)
        (in_session,) = session.queue("mail").take(1)
        session.kv.put("bound", "goes", bound=True)
        self._held = client.lock("job", ttl=600).acquire()
        leading = client.election("first", ttl=600).campaign().win()
        self._of_tasks = [self._by_nobody.token, in_session.token]
        self._of_locks = [self._held.token, leading.token]
        self._kept = kept(client)

    def go_on(self) -> None:
        """After the backup: what is granted now is to be refused, too."""
        self._held.release()
        self._held.acquire()
        self._of_locks.append(self._held.token)

    @property
    def newest(self) -> int:
        return max(*self._of_tasks, *self._of_locks)

    def must_be_in(self, client: Cluster, first_token: int) -> int:
        """And nobody holds anything of it, by no token of old. The first one that is granted now."""
        assert kept(client) == self._kept
        assert client.kv.get("bound") is None
        assert client.locks.view("job").holders == []
        assert client.election("first").view().election is None
        for name, tokens in ((b"mail", self._of_tasks), (b"job", self._of_locks)):
            for token in tokens:
                live = Compare(name, TOKEN, EQUAL, token)
                assert not client.kv.transaction([live], [Put(b"by", b"an old token")]).succeeded
        taken = TakenTask(self._by_nobody.id, self._by_nobody.token, b"", 1, 0)
        with pytest.raises(NotHeld):
            Task(client.queue("mail"), taken, b"", 600_000, 0).ack()
        with client.lock("job") as new:
            token = new.token
        assert token > self.newest
        assert token >= first_token
        assert b"letter 2" in [task.payload for task in client.queue("mail").take(3)]
        return token


def kept(client: Cluster) -> dict[str, object]:
    """What users put there, and no session's end takes along."""
    return {
        "keys": [(item.key, item.value, item.mod_revision) for item in client.kv.range("key/")],
        "journal": [record.data for record in client.journal("audit").records()],
        "counters": [(info.name, info.value) for info in client.counters.list()],
        "tasks": sorted(task.task for state in ("ready", "delayed", "taken", "dead") for task in client.queue("mail").tasks(state)),
        "assignments": [info.name for info in client.assignments.list()],
    }
