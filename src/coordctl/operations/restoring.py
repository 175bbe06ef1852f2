"""`restore`: a cluster made anew from a backup. It is made first into a folder that is thrown away, and what that holds then is what
members must hold: only after that anything is touched.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

from coordctl.local import clusters, fleet
from coordctl.operations import local
from coordctl.results.backup import Restored, RestoredState
from coordctl.results.deploy import HostDone, Outcome
from coordnode.archives.format import About, Seal, read_about, read_seal
from coordnode.errors import BadRequest, LevelMissing, RecordError

REHEARSAL_SECONDS = 900.0
UNTOUCHED = "nothing was touched: "  # of a restore; who did something before it says what

Say = Callable[[str], None]


class InTheWay(LevelMissing):
    """Something is where the cluster is to be: nothing is overwritten."""


class Rehearsed(NamedTuple):
    """What members of this cluster hold that begin with this backup."""

    about: About
    seal: Seal
    digest: int
    applied: int
    revision: int
    token: int  # the first that will be granted


def rehearse(path: str, scratch: str, cluster: int, created_unix_s: int) -> Rehearsed:
    """Makes a member and throws it away. Raises RecordError and others when anything is not as the seal says."""
    seal = sealed_as(path)
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".rehearsal-") as folder:
        command = [sys.executable, "-P", "-m", "coordnode", "init", "--make", f"1={folder}/data", "--contact", "1=127.0.0.1:1"]
        command += ["--cluster", str(cluster), "--created", str(created_unix_s), "--from", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=REHEARSAL_SECONDS, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RecordError(f"{UNTOUCHED}{words.removeprefix('coordnode: ')}")
    made = json.loads(done.stdout)
    return Rehearsed(read_about(path), seal, made["digest"], made["index"], made["revision"], made["token"])


def sealed_as(path: str) -> Seal:
    try:
        found = read_seal(path)
    except OSError as error:
        raise BadRequest(f"{path}, with which the cluster is to begin, cannot be read: {error.strerror}: put it back") from None
    if found is None:
        raise RecordError(f"{path} has no seal: it was never verified, or is cut off; see `coordctl backup ls`")
    return found[0]


def restore_here(path: str, folder: str, nodes: int, *, dry_run: bool, timeout_seconds: float, say: Say) -> Restored:
    """A cluster of this machine."""
    began = time.monotonic()
    if not 1 <= nodes <= fleet.MEMBERS_MAX:
        raise BadRequest(f"--nodes {nodes}: give 1 to {fleet.MEMBERS_MAX}")
    known = clusters.read(folder)
    if known is not None:
        raise InTheWay(
            f"{UNTOUCHED}there is a cluster {known.name} in {folder}; restore under another name with -c, or remove that one "
            f"first: coordctl {'destroy' if known.inventory else 'down'} --purge -c {known.name}"
        )
    drawn = fleet.drawn(folder, local.name_of(folder), nodes)
    say(f"rehearsing with {os.path.basename(path)}")
    rehearsed = rehearse(path, os.path.dirname(folder), drawn.cluster, drawn.created)
    if not dry_run:
        say(f"making {nodes} members")
        with fleet.locked(folder, began + timeout_seconds):
            planned = drawn._replace(archive=path, replaces=(rehearsed.about.cluster,))
            clusters.write(planned)
            fleet.make(planned, digest=rehearsed.digest)
        local.up(folder, nodes, timeout_seconds)
    outcome: Outcome = "would change" if dry_run else "done"
    steps = ["make its state from the backup", "start it"]
    return Restored(
        outcome=outcome,
        exit_code=1 if dry_run else 0,
        cluster=drawn.name,
        sentence=told(rehearsed, drawn.cluster),
        hosts=[HostDone(name=member.name, outcome=outcome, steps=steps, trouble="") for member in drawn.members],
        noted=[],
        elapsed_ms=int((time.monotonic() - began) * 1000),
        backup=path,
        state=state_of(rehearsed, drawn.cluster),
    )


def told(rehearsed: Rehearsed, cluster: int) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(rehearsed.about.taken_unix_s))
    over = "1 session is over" if rehearsed.seal.sessions == 1 else f"{rehearsed.seal.sessions} sessions are over"
    return (
        f"the state of {when}, revision {rehearsed.revision}; {over}; the first token is {rehearsed.token}; "
        f"cluster {cluster} in place of {rehearsed.about.cluster}"
    )


def state_of(rehearsed: Rehearsed, cluster: int) -> RestoredState:
    return RestoredState(
        cluster_id=cluster,
        replaces=rehearsed.about.cluster,
        taken_unix_s=rehearsed.about.taken_unix_s,
        index=rehearsed.applied,
        revision=rehearsed.revision,
        digest=f"{rehearsed.digest:016x}",
        first_token=rehearsed.token,
        sessions_over=rehearsed.seal.sessions,
    )
