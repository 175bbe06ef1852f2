"""What a shell completes: verbs, then names of clusters, hosts, locks and playbooks, as they are at that moment."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import coordctl.__main__ as coordctl
from coordctl.inventory.template import template
from coordctl.operations.completing import verbs_within
from coordnode.client.sync import connect
from tests.processes.local import Home


@pytest.fixture(scope="module")
def furnished(three_members: Home) -> Home:
    (three_members.folder / "payments.toml").write_text(template("payments", "dev", ["10.0.0.1", "10.0.0.2"]))
    return three_members


def words(home: Home, *line: str) -> list[str]:
    return home.ctl("completion", "words", "--", *line).split()


def test_verbs_and_the_verbs_within_them(furnished: Home) -> None:
    assert set(words(furnished, "")) == set(coordctl.VERBS)
    assert words(furnished, "inv") == ["inventory"]
    assert words(furnished, "-c", "payments", "inventory", "t") == ["trust"]
    assert words(furnished, "wal", "d")[-1] == "dump"
    assert words(furnished, "up", "") == []
    assert verbs_within(coordctl.VERBS["queue"])[-1] == "redrive"


def test_clusters_hosts_and_playbooks(furnished: Home) -> None:
    assert words(furnished, "status", "-c", "") == ["local", "payments"]
    assert words(furnished, "inventory", "trust", "-c", "payments", "") == ["n1", "n2"]
    assert words(furnished, "inventory", "trust", "-c", "nothing", "") == []
    assert words(furnished, "member", "re") == ["remove", "replace"]
    assert words(furnished, "member", "replace", "-c", "payments", "") == ["n1", "n2"]
    listed = [line.split()[0] for line in furnished.ctl("chaos", "ls").splitlines() if line and not line.startswith(" ")]
    assert set(words(furnished, "chaos", "show", "")) == set(listed)


def test_locks_that_are_held_now_and_none_when_nobody_answers(furnished: Home) -> None:
    script = f"{sys.executable} -m coordctl completion words -- lock show -c local deploy"
    assert furnished.ctl("lock", "run", "deploy-web", "-c", "local", "--", "sh", "-c", script).split() == ["deploy-web"]
    environment = {"COORD_ENDPOINTS": "127.0.0.1:1"}
    assert furnished.ctl("completion", "words", "--", "lock", "show", "", **environment) == ""


@pytest.fixture
def in_bash(furnished: Home, tmp_path: Path) -> Callable[[str], list[str]]:
    """What bash would put behind a line, as it would stand there."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "coordctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m coordctl "$@"\n')
    program.chmod(0o755)
    environment = {**furnished.environment, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    script = 'source <(coordctl completion bash)\nCOMP_LINE=$1\nCOMP_POINT=${#1}\n_coordctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n'

    def complete(line: str) -> list[str]:
        words = ["bash", "-c", script, "bash", line]
        done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=furnished.folder, check=True)
        return done.stdout.split("\n")[:-1]

    return complete


def test_bash_itself_completes(in_bash: Callable[[str], list[str]]) -> None:
    assert in_bash("coordctl -c payments inventory trust n") == ["n1", "n2"]
    assert in_bash("coordctl -c payments inventory trust ") == ["n1", "n2"]
    assert in_bash("coordctl wal d") == ["diff", "dump"]


def test_names_of_locks_are_typed_by_bash_and_never_run(furnished: Home, in_bash: Callable[[str], list[str]]) -> None:
    names = ["x$(touch pwned)", "x*", "x y", "job:1", "job:2"]
    with connect([str(one["address"]) for one in furnished.members()]) as cluster, ExitStack() as held:
        for name in [*names, b"x\xff"]:
            held.enter_context(cluster.lock(name))
        assert in_bash("coordctl -c local lock show x") == ["x\\ y", "x\\$\\(touch\\ pwned\\)", "x\\*"]
        assert in_bash("coordctl -c local lock show job:") == ["1", "2"]
