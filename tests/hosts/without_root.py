"""What a fleet's operator does, on hosts that are had without root. Run by test_without_root, which is somebody else if it is root."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordnode.client.sync import connect
from tests.hosts.neighbours import Neighbours
from tests.processes.belongings import Belongings
from tests.processes.members import wait_until

WELL_SECONDS = 120.0


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    assert os.geteuid() != 0
    made = Neighbours(tmp_path_factory.mktemp("neighbours"))
    try:
        made.ctl("inventory", "trust", "--yes")
        assert made.json("deploy", "--reason", "first")["outcome"] == "done"
        yield made
    finally:
        made.close()


def endpoints(operator: Neighbours) -> str:
    return ",".join(operator.endpoint(number) for number in (1, 2, 3))


def found_by_doctor(operator: Neighbours) -> list[tuple[str, str]]:
    found: Any = operator.json("doctor", "-c", "fleet", code=None)["findings"]
    return [(one["host"], one["check"]) for one in found]


def test_a_second_run_changes_nothing_and_a_doctor_finds_nothing(operator: Neighbours) -> None:
    before = [operator.members(number) for number in (1, 2, 3)]
    assert [len(pids) for pids in before] == [1, 1, 1]
    again = operator.json("deploy")
    assert [again["outcome"], *[host["steps"] for host in again["hosts"]]] == ["unchanged", [], [], []]  # type: ignore[attr-defined]
    assert [operator.members(number) for number in (1, 2, 3)] == before
    wait_until(lambda: found_by_doctor(operator) == [], "nothing to be found", WELL_SECONDS)


def test_who_is_killed_and_whose_host_was_rebooted_runs_again(operator: Neighbours) -> None:
    (before,) = operator.members(1)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: operator.members(1) not in ([], [before]), "it is started again", WELL_SECONDS)
    operator.reboot(2)
    operator.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def test_a_host_that_cannot_be_reached_is_named_and_nothing_is_begun(operator: Neighbours) -> None:
    operator.shut(3)
    try:
        failed = str(operator.json("deploy", code=69)["sentence"])
        wait_until(lambda: found_by_doctor(operator) == [("n3", "ssh")], "that to be found, and nothing else", WELL_SECONDS)
    finally:
        operator.open(3)
    assert failed.startswith("1 of 3 hosts failed: n3: ")
    assert failed.endswith("; nothing was changed")
    assert operator.json("deploy")["outcome"] == "unchanged"


def test_members_change_one_after_the_other(operator: Neighbours) -> None:
    before = [operator.members(number) for number in (1, 2, 3)]
    operator.ctl("restart", "--rolling")
    assert not {*map(tuple, before)} & {tuple(operator.members(number)) for number in (1, 2, 3)}
    other = next(name for name in ("n1", "n2") if name != operator.json("member", "ls")["leader"])
    operator.ctl("member", "lead", other)
    assert wait_until(lambda: operator.json("member", "ls")["leader"], "one leads") == other


def test_what_was_backed_up_is_there_again_after_everything_was_destroyed(operator: Neighbours, tmp_path: Path) -> None:
    tls = str(operator.folder / "fleet.ca/clients/operator")
    with connect(endpoints(operator), tls=tls) as client:
        belongings = Belongings(client)
        path = str(operator.json("backup", "create", "--to", str(tmp_path))["backup"]["path"])  # type: ignore[index]
        belongings.go_on()
    operator.ctl("destroy", "--purge", "--yes")
    for number in (1, 2, 3):
        assert (operator.members(number), (operator.host(number) / "base").exists()) == ([], False)
        assert (operator.host(number) / "crontab").read_text() == ""
    done = operator.json("restore", path, "-c", "fleet", "--yes")
    assert done["outcome"] == "done"
    with connect(endpoints(operator), tls=tls) as client:
        belongings.must_be_in(client, done["state"]["first_token"])  # type: ignore[index]
