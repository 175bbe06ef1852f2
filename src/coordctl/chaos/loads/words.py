"""What a load can be, by the model that judges its history; and what a load and a run tell each other. Pure."""

KINDS: dict[str, str] = {
    "kv": "puts, compare-and-sets, gets, deletes",
    "watch": "puts, and watches that go on over other connections",
    "counter": "additions that must count once: through sessions, with request ids, and bare",
    "session": "sessions that are closed or deserted, and keys bound to them",
    "queue": "tasks of several priorities; taken, done, returned, deserted",
    "group": "members that join, change, leave and are deserted",
    "journal": "batches appended, read and trimmed",
    "election": "leaders that proclaim, resign and are deserted, and who observes them",
    "lock": "a lock that changes hands",
    "rwlock": "readers beside each other, and writers alone",
    "semaphore": "three permits, of which each takes one or two",
}

ELSEWHERE = ("kv", "lock")  # on other engines, too
LINEARIZABLE, STALE = READS = ("linearizable", "stale")
ALONE = ("lock",)  # whose clients have a process each: one may stand still while the others go on

KEEPER = "keeper"  # not a load: it clears up when all others have ended
ENDED = b"ended"  # what a keeper is told by a run that came to its end
ALIVE = "alive.lock"  # in the run's folder: shared by its loads while they run
LOST = 1_000  # processes of a history from here on: losses, noted when they are learnt
