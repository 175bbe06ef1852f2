"""What confirms a cause, and what is done about it, where members are of another engine: their own tools. Pure.

Runbooks speak of coordnode's members, so here a sentence says it.
"""

from typing import NamedTuple


class Remedy(NamedTuple):
    confirm: str  # the command that confirms or refutes it
    sentence: str  # "": nothing is to be done


LOOK = {"etcd": "etcdctl endpoint status --cluster -w table", "zookeeper": "echo srvr | nc HOST 2181"}
HEALTH = {"etcd": "etcdctl endpoint health --cluster", "zookeeper": "echo srvr | nc HOST 2181"}
SYNCS = {"etcd": "curl -s HOST:2379/metrics | grep wal_fsync", "zookeeper": "echo mntr | nc HOST 2181 | grep fsync"}
START = "start it again on its own folder; it gets from the others what it missed"

# Cause -> (what confirms it, what to do); of one engine where they differ.
ALIKE: dict[str, tuple[dict[str, str], str]] = {
    "member killed": (LOOK, START),
    "out of memory": (LOOK, f"give it more memory, or others less; then {START}"),
    "member paused": (
        HEALTH,
        "if it is stopped, kill -CONT its process; look at what stops it: a debugger, a frozen group, a suspended machine",
    ),
    "member failed": (LOOK, "its last lines say why; mend that before it is started again"),
    "rotten record": (LOOK, "remove its data, and let it join anew: the others have it all"),
    "disk full": ({"etcd": "df -h FOLDER", "zookeeper": "df -h FOLDER"}, "make room on that disk, then start it again if it ended"),
    "slow disk": (SYNCS, "find what else writes to that disk; its log belongs on one of its own, which is fast"),
    "cut link": (HEALTH, "look at the network between these hosts: cables, routes, firewalls, in both directions"),
    "clock": ({"etcd": "timedatectl", "zookeeper": "timedatectl"}, "let the host follow a time server again"),
    "version mismatch": (LOOK, "finish the upgrade, or undo it: all members are to run the same version"),
    "connections full": (
        {"etcd": "ls /proc/PID/fd | wc -l", "zookeeper": "echo cons | nc HOST 2181"},
        "let clients share connections, or allow more of one address (maxClientCnxns) and more open files",
    ),
    "certificate": (
        {"etcd": "openssl x509 -in CERTIFICATE -noout -enddate", "zookeeper": "openssl x509 -in CERTIFICATE -noout -enddate"},
        "renew the certificate, of the authority that all members believe",
    ),
    "name resolution": (
        {"etcd": "getent hosts NAME", "zookeeper": "getent hosts NAME"},
        "mend the name, on the hosts that do not find it",
    ),
    "states differ": (
        {"etcd": "etcdctl endpoint hashkv --cluster", "zookeeper": "echo hash | nc HOST 2181"},
        "stop writing, keep a copy of each member's data, remove the member that differs and let it join anew",
    ),
    "election storm": (LOOK, "members lose their leader again and again: look for a slow disk, few cores or a bad network under it"),
    "no leader": (LOOK, "bring back members until more than half run and reach each other"),
    "database full": (
        {"etcd": "etcdctl alarm list", "zookeeper": LOOK["zookeeper"]},
        "compact old revisions, etcdctl defrag each member, then etcdctl alarm disarm; raise --quota-backend-bytes if that is not enough",
    ),
    "sessions expired": (
        {"etcd": "etcdctl lease list", "zookeeper": "echo cons | nc HOST 2181"},
        "look at these clients: did they end, stand still, or lose the way to the members?",
    ),
}
OTHERWISE = (LOOK, "")


def remedy(engine: str, cause: str) -> Remedy:
    confirms, sentence = ALIKE.get(cause, OTHERWISE)
    return Remedy(confirms[engine], sentence)
