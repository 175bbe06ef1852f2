"""Which backups are the newest, and which go: no clock is believed about that, and what a run made stays."""

import os
import time
from pathlib import Path

import pytest

from coordctl.operations import backups
from coordnode.archives.format import About, Seal, Writer, add_seal

MINE, OTHER = 7, 8
DAY_S = 86_400


def archive(path: Path, *, index: int, taken: float, cluster: int = MINE, is_sealed: bool = True) -> str:
    about = About(cluster=cluster, cluster_name="c", member=1, base=0, index=index, term=1, chain=0, taken_unix_s=int(taken), version="1")
    writer = Writer(str(path), about)
    writer.end()
    if is_sealed:
        of = Seal(content="", digest=1, revision=index, token=1, sessions=0, state_bytes=0, journal_bytes=0, verified_unix_s=int(taken))
        add_seal(str(path), of, 2)
    return str(path)


def test_a_backup_of_a_clock_that_was_ahead_does_not_put_out_the_one_just_made(tmp_path: Path) -> None:
    ahead = archive(tmp_path / "ahead.backup", index=5, taken=time.time() + DAY_S)
    made = archive(tmp_path / "made.backup", index=9, taken=time.time())
    assert backups.keep(str(tmp_path), MINE, 1, made) == [ahead]
    assert os.listdir(tmp_path) == ["made.backup"]


def test_what_this_run_made_stays_though_another_one_has_come_further(tmp_path: Path) -> None:
    further = archive(tmp_path / "further.backup", index=12, taken=time.time())
    made = archive(tmp_path / "made.backup", index=9, taken=time.time())
    old = archive(tmp_path / "old.backup", index=2, taken=time.time() - DAY_S)
    assert backups.keep(str(tmp_path), MINE, 1, made) == [old]
    assert {one.path for one in backups.found_in(str(tmp_path))} == {further, made}


def test_the_newest_is_the_one_that_has_most_and_of_the_cluster_that_was_backed_up_last(tmp_path: Path) -> None:
    archive(tmp_path / "ahead.backup", index=5, taken=time.time() + DAY_S)
    newest = archive(tmp_path / "newest.backup", index=9, taken=time.time() - 60)
    archive(tmp_path / "other.backup", index=900, taken=time.time() - DAY_S, cluster=OTHER)
    found = backups.newest("c", folder=str(tmp_path))
    assert found is not None and found.path == newest
    listed = backups.listed("c", str(tmp_path))
    assert [os.path.basename(one.path) for one in listed.backups] == ["newest.backup", "ahead.backup", "other.backup"]
    (warning,) = listed.warnings
    assert "ahead.backup says that it was taken 24.0 h from now" in warning


def test_what_another_run_writes_stays_and_what_was_left_goes(tmp_path: Path) -> None:
    made = archive(tmp_path / "made.backup", index=9, taken=time.time())
    nobody = 2**22 + 1  # no process has that number
    archive(tmp_path / f"young.{nobody}.unverified", index=3, taken=time.time(), is_sealed=False)
    of_living = archive(tmp_path / f"living.{os.getpid()}.unverified", index=3, taken=time.time(), is_sealed=False)
    left = archive(tmp_path / f"left.{nobody}.unverified", index=3, taken=time.time(), is_sealed=False)
    for path in (of_living, left):
        os.utime(path, (time.time() - DAY_S, time.time() - DAY_S))
    assert backups.keep(str(tmp_path), MINE, 1, made) == [left]


def test_what_another_run_removed_meanwhile_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(tmp_path / "made.backup", index=9, taken=time.time())
    old = archive(tmp_path / "old.backup", index=2, taken=time.time())
    found = backups.found_in(str(tmp_path))
    os.unlink(old)
    monkeypatch.setattr(backups, "found_in", lambda _: found)
    assert backups.keep(str(tmp_path), MINE, 1, made) == [old]
