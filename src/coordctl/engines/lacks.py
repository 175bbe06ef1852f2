"""What an engine cannot do, and why, each in one sentence: said by verbs, and shown by docs/engines.md. Data only."""

from __future__ import annotations

from coordctl.local.clusters import ETCD, ZOOKEEPER

TITLES = {ETCD: "etcd", ZOOKEEPER: "ZooKeeper"}
FAMILIES = ((50, "groups"), (60, "queues"), (80, "shards"), (90, "barriers"), (95, "counters"), (100, "journals"), (120, "auth"))
LACKS = {
    "groups": "{} has no groups with numbered views: two who read them from its keys could see different members under one number",
    "queues": "{} has no queues: a task's lease, attempts and dead letters would be several keys that only a client keeps in step",
    "shards": "{} has no assignments: who owns what must be decided in one place, and clients are many",
    "barriers": "{} has no barriers: who enters and who leaves would be counted by clients that may die between two writes",
    "counters": "{} has no counters: an addition that is sent again would be counted twice",
    "journals": "{} has no journals",
    "auth": "{} has users and rights of its own, which its own tools change",
    "request ids": "{} does not know that a write was sent before: it would happen twice with --request-id, too",
    "transfer": "{} hands no leadership to a named candidate: resign, and who has stood for longest leads",
    "sessions": "{} does not list its sessions to its clients",
    "renew": "{} renews a session only for who opened it: hold it with lock run, or with lock acquire --pid",
    "outstanding": "{} is asked one question at a time on a connection: give more --connections instead of --outstanding",
    "watch": "{} tells that a key changed, and not to what: what it was in between would be left out",
    "compare": "{} compares versions, which begin anew with a node that was deleted: only --absent is safe",
}


def why_not(engine: str, what: str) -> str:
    return LACKS[what].format(TITLES[engine])


def of_tag(engine: str, tag: int) -> str:
    """Of a word of docs/protocol.md that it does not know."""
    below = [name for first, name in FAMILIES if first <= tag]
    return why_not(engine, below[-1]) if below else f"{TITLES[engine]} cannot do this; docs/engines.md says what it can"
