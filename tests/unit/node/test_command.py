"""`coordnode init` and what `coordnode run` says before anything runs."""

import json
import os
import random
from pathlib import Path

import pytest

from coordnode.config import NodeConfig
from coordnode.errors import FolderRefused
from coordnode.ids import MemberId
from coordnode.node.bootstrap import genesis
from coordnode.node.command import main
from coordnode.node.founding import init
from coordnode.node.recovery import close, open_member

SMALL = ("--segment", "1MiB")


def open_small(folder: Path, **settings: int) -> tuple[int, int, int, tuple[int, ...]]:
    """Cluster, member, boot and voters of a folder."""
    config = NodeConfig(folder=str(folder), segment_bytes=1024 * 1024, free_bytes_min=1, **settings)  # type: ignore[arg-type]
    opened = open_member(config, random.Random(1))
    close(opened.disk, opened.recovered)
    return opened.identity.cluster, opened.identity.member, opened.replica.raft.boot, opened.replica.raft.config.voters


def test_founders_folders_are_made_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contacts = [f"--contact={number}=127.0.0.1:{7000 + number}" for number in (1, 2)]
    makes = [f"--make={number}={tmp_path}/n{number}" for number in (1, 2)]
    assert init([*makes, *contacts, "--created", "1700000000", *SMALL]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [one["member"] for one in made["members"]] == [1, 2]
    for number in (1, 2):
        assert open_small(tmp_path / f"n{number}") == (made["cluster"], number, 1, (1, 2))
        assert open_small(tmp_path / f"n{number}")[2] == 2  # each start has a boot number of its own
    # The same again changes nothing; another cluster's members are refused.
    again = [*makes, *contacts, "--created", "1700000000", "--cluster", str(made["cluster"]), *SMALL]
    assert init(again) == 0
    assert init([*makes, *contacts, "--cluster", "5", *SMALL]) == 76
    assert "belongs to member 1" in capsys.readouterr().err


def test_a_joiners_folder_has_no_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(["--join", f"--make=0={tmp_path}/n4", "--cluster", "77", *SMALL]) == 0
    member = json.loads(capsys.readouterr().out)["members"][0]["member"]
    assert open_small(tmp_path / "n4") == (77, member, 1, ())


def test_founders_begin_with_the_same_state() -> None:
    contacts = {MemberId(2): "h2:1", MemberId(1): "h1:1"}
    assert genesis(7, 1_700_000_000, contacts) == genesis(7, 1_700_000_000, dict(sorted(contacts.items())))  # type: ignore[arg-type]
    assert genesis(7, 1_700_000_001, contacts) != genesis(7, 1_700_000_000, contacts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no folder is named"),
        (["--make", "1"], "give ID=DIR"),
        (["--make", "x=/d"], "not a whole number"),
        (["--make", "1=/d", "--make", "1=/e"], "member 1 is named twice"),
        (["--make", "1=/d"], "--contact 1=HOST:PORT is missing"),
        (["--make", "1=/d", "--contact", "1=nowhere"], "not host:port"),
        (["--make", "0=/d", "--make", "1=/e"], "only be drawn for one"),
        (["--join", "--make", "1=/d"], "--join needs --cluster"),
        (["--join", "--cluster", "3", "--make", "1=/d", "--contact", "1=h:1"], "takes no contacts"),
        (["--fold", "/d"], "there is no option '--fold'"),
        (["--make"], "a value is missing"),
        (["--segment", "16"], "give a number with a unit"),
    ],
)
def test_a_wrong_plan_makes_nothing_and_says_why(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(arguments) == 64
    assert sentence in capsys.readouterr().err
    assert not os.path.exists("/d")


def test_help_names_every_setting_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "--election-ticks-min TICKS" in said
    assert "76 the folder is refused" in said
    assert all(len(line) <= 132 for line in said.splitlines())
    assert init(["--help"]) == 0


def test_a_folder_that_was_never_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FolderRefused, match="must be made first"):
        open_small(tmp_path)
    with pytest.raises(FolderRefused):
        open_small(tmp_path, cluster=1, member=1)
    assert main(["--folder", str(tmp_path), "--log-file", "/nonexistent/x"]) == 64
    assert "cannot write /nonexistent/x" in capsys.readouterr().err
