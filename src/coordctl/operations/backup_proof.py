"""A backup read to its end, and what it holds applied."""

import time

from coordctl.results.backup import BackupVerified
from coordnode.archives.replaying import Replayed, replay
from coordnode.errors import Damaged


def verify(path: str) -> BackupVerified:
    """Reads all of it, and applies what it holds."""
    began = time.monotonic()
    replayed: Replayed | None = None
    code, outcome = 0, "ok"
    try:
        replayed = replay(path)
        sentence = told(replayed)
        if replayed.seal is None:
            code, outcome = 1, "not sealed"
            sentence = f"whole, but never verified when it was made, and nobody said what its state must come to: {sentence}"
    except Damaged as error:
        code, outcome, sentence = 2, "damaged", error.sentence
    except OSError as error:
        code, outcome, sentence = 3, "unknown", f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
    return BackupVerified(
        outcome=outcome,  # type: ignore[arg-type]
        exit_code=code,  # type: ignore[arg-type]
        path=path,
        sentence=sentence,
        cluster=replayed.about.cluster_name if replayed is not None else "",
        index=replayed.about.index if replayed is not None else 0,
        digest=f"{replayed.machine.digest:016x}" if replayed is not None else "",
        parts=replayed.parts if replayed is not None else 0,
        elapsed_ms=int((time.monotonic() - began) * 1000),
    )


def told(replayed: Replayed) -> str:
    machine = replayed.machine
    sessions = sum(1 for _ in machine.sessions())
    journals = sum(blob.size for blob in machine.blobs())
    name = replayed.about.cluster_name or replayed.about.cluster
    return (
        f"{name} at index {machine.applied}: revision {machine.revision}, {sessions} sessions, "
        f"{machine.state_bytes} bytes of state, {journals} of journals"
    )
