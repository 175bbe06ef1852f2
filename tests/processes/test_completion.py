"""What a shell completes: verbs, then names of clusters, hosts, locks and playbooks, as they are at that moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import coordctl.__main__ as coordctl
from coordctl.inventory.template import template
from coordctl.operations.completing import verbs_within
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


def test_bash_itself_completes(furnished: Home, tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "coordctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m coordctl "$@"\n')
    program.chmod(0o755)
    script = (
        "source <(coordctl completion bash)\nCOMP_WORDS=(coordctl -c payments inventory trust n)\nCOMP_CWORD=5\n"
        '_coordctl\necho "${COMPREPLY[@]}"\n'
    )
    environment = {**furnished.environment, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=furnished.folder, check=True)
    assert done.stdout == "n1 n2\n", done.stderr
