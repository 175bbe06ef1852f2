"""The state that a cluster begins with which takes another's place: an archive's, under a new id, with no session, and with tokens above
all that the old one can have granted."""

from collections.abc import Iterator, Mapping

from coordnode.archives.replaying import Replayed, pieces
from coordnode.ids import NO_SESSION, NOBODY, ClusterId, Index, MemberId, Sequence, Term, Token
from coordnode.raft.blobs import BlobWrite
from coordnode.raft.entry import Config, SnapshotMeta
from coordnode.services.commands import Batch, Command, Expire, NackTask
from coordnode.services.commands.events import QUEUES
from coordnode.services.machine import TOKEN_SECONDS_SHIFT, Machine
from coordnode.storage.recovery import Genesis

RESTORED = "the cluster was restored from a backup"


def refounded(replayed: Replayed, cluster: ClusterId, created_unix_s: int, contacts: Mapping[MemberId, str]) -> Genesis:
    """Equal on every founder that is given the same. `created_unix_s`: now; whatever was granted after the archive was taken is below
    this second's tokens, since no cluster grants 2**20 of them in a second. The replayed machine is used up."""
    machine, about = replayed.machine, replayed.about
    scalars = machine.scalars
    scalars.cluster = cluster
    scalars.created_unix_s = created_unix_s
    scalars.token_next = Token(max(scalars.token_next, created_unix_s << TOKEN_SECONDS_SHIFT))
    _end_all_holding(machine, Term(about.term), created_unix_s)
    members = tuple(sorted(contacts))
    config = Config(voters=members, contacts=tuple((member, contacts[member]) for member in members))
    meta = SnapshotMeta(machine.applied, Term(about.term), NOBODY, about.chain, config, machine.applied)
    return Genesis(meta, list(machine.snapshot()), _Journals(replayed, {blob.id for blob in machine.blobs()}))


def _end_all_holding(machine: Machine, term: Term, created_unix_s: int) -> None:
    """By the machine's own rules, as if their leader had: sessions end uncleanly, so that locks go to nobody, tasks go back and keys that
    were bound go; tasks that were taken without a session go back, too. No token that was ever granted is live after it."""
    while sessions := [session for session, _ in machine.sessions()][: machine.settings.expire_sessions_max]:
        _apply(machine, term, created_unix_s, Expire(term, sessions))
        assert not machine.has_session(sessions[0]), "a session outlives its expiry"
    for token, live in list(machine.live_tokens()):
        if live.space == QUEUES:
            _apply(machine, term, created_unix_s, NackTask(live.name, token, note=RESTORED))
    left = [token for token, _ in machine.live_tokens()]
    assert not left, f"tokens are held by nobody: {left[:5]}"


def _apply(machine: Machine, term: Term, created_unix_s: int, operation: Expire | NackTask) -> None:
    command = Command(NO_SESSION, Sequence(0), Sequence(0), "", operation)
    machine.apply(Index(machine.applied + 1), term, Batch(machine.cluster_ms, created_unix_s * 1_000, [command]))


class _Journals:
    """What is to be written of journals, each time anew; those that were trimmed meanwhile are left out."""

    def __init__(self, replayed: Replayed, wanted: set[int]) -> None:
        self._replayed = replayed
        self._wanted = wanted

    def __iter__(self) -> Iterator[BlobWrite]:
        if self._wanted:
            yield from (write for write in pieces(self._replayed.path) if write.blob in self._wanted)
            yield from (write for write in self._replayed.written if write.blob in self._wanted)
