"""Logs of members that somebody else runs on hosts: from the journal of a unit, or from a file; by every verb that reads logs."""

import itertools
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.door import IS_LONG
from tests.hosts import engines
from tests.hosts.operator import Operator
from tests.processes.members import wait_until
from tests.processes.test_logs import but_stalls, explained

UNIT, FILE = 1, 3  # hosts, by where their member's log is


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with engines.operated(tmp_path_factory.mktemp("logs")) as operator:
        yield operator


def told(operator: Operator, *arguments: str) -> list[tuple[str, list[str]]]:
    return explained(operator, "-c", "fleet", *arguments)


def now() -> str:
    return time.strftime("%H:%M:%S", time.gmtime())


def test_who_is_killed_is_told_from_the_journal_and_from_a_bundle_of_it(staging: Operator) -> None:
    def is_quiet() -> bool:
        begun = now()
        wait_until(lambda: now() > begun, "a second is over")
        return told(staging, "--from", begun) == []

    wait_until(is_quiet, "of healthy members there is nothing to be told", 120)
    since = now()
    staging.hosts.run(UNIT, "systemctl", "kill", "--signal=KILL", "etcd")
    staging.hosts.run(UNIT, "systemctl", "stop", "etcd")  # or it would be started again
    wait_until(lambda: but_stalls(told(staging, "--from", since))[:1] == [("member killed", ["n1"])], "n1 is missed", 120)
    hypotheses = json.loads(staging.ctl("logs", "explain", "-c", "fleet", "--from", since, "-o", "json", code=1))["hypotheses"]
    first = next(one for one in hypotheses if (one["cause"], one["members"]) == ("member killed", ["n1"]))
    assert {one["member"] for one in first["evidence"]} >= {"n2", "n3"}, "plain lines of a journal, and JSON of a file"

    def bundled() -> Path | None:
        """Once who runs has answered: a machine that stands still lets nobody."""
        path = staging.folder / f"{next(numbers)}.tar.gz"
        made = json.loads(staging.ctl("bundle", "-c", "fleet", "--from", since, "--file", str(path), "-o", "json", code=None))
        return path if made["running"] == {"n1": False, "n2": True, "n3": True} else None

    numbers = itertools.count()
    bundle = wait_until(bundled, "n1 does not run, and the others do", 120)
    with tarfile.open(bundle) as archive:
        names = set(archive.getnames())
    assert {"n1/output.log", "n2/output.log", "n3/output.log", "n2/status.json", "n2/metrics.txt", "n1-host/unit.txt"} <= names
    assert but_stalls(explained(staging, str(bundle)))[:1] == [("member killed", ["n1"])]
    staging.hosts.run(UNIT, "systemctl", "start", "etcd")
    staging.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


@pytest.mark.skipif(not IS_LONG, reason="half a minute: COORD_LONG=1")
def test_who_is_killed_is_told_from_a_file_by_every_verb(staging: Operator) -> None:
    time.sleep(6)  # what is near belongs together
    since = now()
    staging.hosts.run(FILE, "pkill", "-KILL", "-x", "etcd")
    wait_until(lambda: told(staging, "--from", since)[:1] == [("member killed", ["n3"])], "n3 is missed", 120)
    lines = [json.loads(one) for one in staging.ctl("logs", "search", ".", "-c", "fleet", "--from", since, "-o", "json").splitlines()]
    assert {"n1", "n2"} <= {one["member"] for one in lines}
    assert staging.json("logs", "diff", "-c", "fleet", "--from", since, code=1)["outcome"] == "different"
    last = staging.ctl("logs", "tail", "-n", "20", "-c", "fleet", "--level", "warning", "-o", "json").splitlines()
    assert {json.loads(one)["level"] for one in last} <= {"warning", "error"}
    stream = [json.loads(one) for one in staging.ctl("timeline", "-c", "fleet", "--from", since, "-o", "json").splitlines()]
    assert ("restart", "n3") in [(one["sort"], one["member"]) for one in stream]
    refused = staging.run("wal", "verify", "-c", "fleet")
    assert (refused.returncode, b"members only, and not with etcd" in refused.stderr) == (64, True)
