"""What ZooKeeper's lines say, in the words that the rules know. Pure.

Why something failed stands in the line behind it, which has no time: what waits for it is `_open`. A follower does not name its leader when
it loses it: whom it follows is remembered from the election.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from coordctl.logs.foreign import USUAL, Lexicon, Said, without
from coordctl.logs.lines import ZOOKEEPER, Line

LEADER = re.compile(r"n\.leader:(\d+)|(\d+) \(n\.leader\)")
FIRST_NUMBER = re.compile(r"\d+")
ZXID = re.compile(r"0x([0-9a-f]+)\s*$")
TOOK = re.compile(r"took (\d+)ms")
TOO_MANY = re.compile(r"Too many connections from (\S+) - max is (\d+)")
TIMED_OUT = re.compile(r"SocketTimeoutException|timed out|NoRouteToHost|unreachable")
TLS = re.compile(r"SSL|[Cc]ertificate")
VERSION = "environment:zookeeper.version="
NO_SPACE = b"No space left on device"
NOT_RUNNING = "ZooKeeperServer not running"
# Of what stands open.
FOLLOWED, LEARNT, MET, CLOSED, ENDED = "the leader", "a learner", "a member", "a client", "itself"


class ZooKeeper:
    engine = "zookeeper"

    def __init__(self) -> None:
        self.identity = ""
        self.facts: list[tuple[str, str]] = []
        self._lexicon = Lexicon(WORDS)
        self._voted = self._leader = ""
        self._learners: dict[str, str] = {}  # thread -> of which member
        self._failed: dict[str, str] = {}  # thread of a learner -> why it ended
        self._open: tuple[str, str, str] | None = None  # what, whose, in which words

    def speaks(self, found: Any) -> bool:
        return isinstance(found, re.Match) and found.re is ZOOKEEPER

    def said(self, line: Line, found: Any) -> Said | None:
        """`found`: the match of (myid, level, thread, message)."""
        self._open = None
        if not self.identity and found[1]:
            self.identity = found[1].decode()
        word = self._lexicon.word(line.kind)
        message, thread = found[4].decode(errors="replace"), found[3].decode(errors="replace").rpartition(":")[0]
        if word is not None:
            return word(self, message, thread)
        many = TOO_MANY.search(message)
        if many is not None:
            return Said("refused_client", {"address": many[1].lstrip("/"), "most": int(many[2]), "said": without(message)})
        if NOT_RUNNING in message:
            return Said("not_serving", {"said": without(message)})
        if VERSION in message:
            self.facts.append(("build", f"ZooKeeper {message.partition(VERSION)[2].partition('-')[0]}"))
        return None

    def more(self, raw: bytes) -> Said | None:
        if self._open is None:
            return Said("space_low", {"error": without(raw.decode(errors="replace"))}) if NO_SPACE in raw else None
        (what, whose, words), self._open = self._open, None
        error = without(raw.decode(errors="replace"))
        if what == CLOSED:
            return Said("not_serving", {"said": error}) if NOT_RUNNING in error else None
        if what == ENDED:
            return Said("failed", {"error": f"{words}: {error}"})
        if what == LEARNT:
            self._failed[whose] = error
            return None
        return self._missed(whose, words, error)

    def _missed(self, peer: str, words: str, error: str) -> Said | None:
        if not peer:
            return None
        fields = {"peer": peer, "said": words, "error": error}
        if TLS.search(error):
            return Said("peer_refused", {**fields, "reason": f"TLS: {error}"})
        if "UnknownHost" in error:
            return Said("peer_refused", {**fields, "reason": f"its name {error.rpartition(' ')[2]} is not found"})
        return Said("peer_silent" if TIMED_OUT.search(error) else "peer_lost", fields)

    # --- its words -------------------------------------------------------------------------------------------------

    def _started(self, _message: str, _thread: str) -> Said:
        self._voted = self._leader = ""
        return Said("started")

    def _notified(self, message: str, _thread: str) -> None:
        leader = LEADER.search(message)
        self._voted = leader[1] or leader[2] if leader is not None else self._voted

    def _follows(self, _message: str, _thread: str) -> Said:
        self._leader = self._voted
        return Said("leader_found", {"leader": self._leader})

    def _leads(self, message: str, _thread: str) -> Said:
        self._leader = self.identity
        zxid = ZXID.search(message)
        return Said("elected", {"term": int(zxid[1], 16) >> 32 if zxid is not None else 0})

    def _looks(self, _message: str, _thread: str) -> Said:
        leader, self._leader = self._leader, ""
        return Said("leader_lost", {"leader": leader}) if leader else Said(USUAL)

    def _lost_leader(self, message: str, _thread: str) -> None:
        self._open = (FOLLOWED, self._leader, without(message))

    def _lost_learner(self, message: str, thread: str) -> Said:
        self._open = (LEARNT, thread, without(message))
        return Said(USUAL)  # it is told when its member is named

    def _learner(self, message: str, thread: str) -> Said | None:
        peer = FIRST_NUMBER.search(message)
        if peer is None:
            return None
        self._learners[thread] = peer[0]
        return Said("peer_up", {"peer": peer[0]})

    def _learner_closed(self, message: str, thread: str) -> Said | None:
        peer = FIRST_NUMBER.search(message)
        return self._learner_gone(peer[0] if peer is not None else "", thread, message)

    def _goodbye(self, message: str, thread: str) -> Said | None:
        return self._learner_gone(self._learners.pop(thread, ""), thread, message)

    def _learner_gone(self, peer: str, thread: str, message: str) -> Said | None:
        error = self._failed.pop(thread, "")
        return (self._missed(peer, without(message), error) if error else None) or Said(USUAL)

    def _broken(self, message: str, _thread: str) -> None:
        peer = FIRST_NUMBER.search(message)
        self._open = (MET, peer[0] if peer is not None else "", without(message))

    def _closed_client(self, message: str, _thread: str) -> Said:
        self._open = (CLOSED, "", without(message))
        return Said("not_serving", {"said": without(message)}) if NOT_RUNNING in message else Said(USUAL)

    def _ends(self, message: str, _thread: str) -> None:
        self._open = (ENDED, "", without(message))

    def _slow_sync(self, message: str, _thread: str) -> Said | None:
        took = TOOK.search(message)
        return Said("slow_commit", {"fsync_ms": float(took[1]), "said": without(message)}) if took is not None else None

    def _expired(self, message: str, _thread: str) -> Said:
        return Said("session_expired", {"said": without(message)})

    def _installed(self, message: str, _thread: str) -> Said:
        return Said("installed", {"said": without(message)})

    def _rotten(self, message: str, _thread: str) -> Said:
        return Said("rotten", {"error": without(message)})

    def _usual(self, _message: str, _thread: str) -> Said:
        return Said(USUAL)


# By the beginning of a kind, numbers masked.
WORDS: Final[Mapping[str, Callable[[ZooKeeper, str, str], Said | None]]] = {
    "Reading configuration from:": ZooKeeper._started,
    "Notification: my state:": ZooKeeper._notified,
    "Notification: * (message format version)": ZooKeeper._notified,
    "FOLLOWING - LEADER ELECTION TOOK": ZooKeeper._follows,
    "Have quorum of supporters": ZooKeeper._leads,
    "LOOKING": ZooKeeper._looks,
    "Exception when following the leader": ZooKeeper._lost_leader,
    "Unexpected exception in LearnerHandler:": ZooKeeper._lost_learner,
    "Unexpected exception causing shutdown while sock still open": ZooKeeper._lost_learner,
    "Follower sid: *": ZooKeeper._learner,
    "Synchronously closing socket to learner": ZooKeeper._learner_closed,
    "******* GOODBYE": ZooKeeper._goodbye,
    "Connection broken for id *": ZooKeeper._broken,
    "Cannot open channel to * at election address": ZooKeeper._broken,
    "Close of session *": ZooKeeper._closed_client,
    "Exception causing close of session *": ZooKeeper._closed_client,
    "Severe unrecoverable error, from thread": ZooKeeper._ends,
    "Unexpected exception, exiting abnormally": ZooKeeper._ends,
    "Invalid config, exiting abnormally": ZooKeeper._ends,
    "fsync-ing the write ahead log": ZooKeeper._slow_sync,
    "Expiring session": ZooKeeper._expired,
    "Getting a snapshot from leader": ZooKeeper._installed,
    "Unable to load database on disk": ZooKeeper._rotten,
    "PeerState set to LOOKING": ZooKeeper._usual,
    "Interrupting SendWorker thread": ZooKeeper._usual,
    "Interrupted while waiting for message on queue": ZooKeeper._usual,
    "Send worker leaving thread": ZooKeeper._usual,
    "maxCnxns is not configured": ZooKeeper._usual,
    "Connection request from old client": ZooKeeper._usual,
    "Exception while shutting down acceptor": ZooKeeper._usual,
    "Exception while sending packets in LearnerHandler": ZooKeeper._usual,
    "Got zxid": ZooKeeper._usual,
    "Unexpected exception, tries": ZooKeeper._usual,
    "Unexpected exception\n": ZooKeeper._usual,  # of a client that hung up
}
