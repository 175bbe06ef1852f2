"""What an archive is made of when logs are named, and what it may take the place of."""

import os
import tarfile
from pathlib import Path

import pytest

from coordctl.logs import files
from coordctl.operations import collecting
from coordctl.operations.windows import Asked
from coordctl.results.logs import Collected
from coordnode.errors import BadRequest
from tests.unit.coordctl.log_scene import Scene


def collected(place: Path, archive: Path, *, with_facts: bool = False) -> Collected:
    return collecting.collect([str(place)], None, Asked(), str(archive), with_facts=with_facts)


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as packed:
        return packed.getnames()


def test_a_bundle_of_a_bundle_has_its_logs(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    collected(Scene(3, 60).write(tmp_path / "logs"), first)
    made = collected(first, second)
    assert [one.name for one in made.files] == ["n1/n1.log", "n2/n2.log", "n3/n3.log"]
    assert made.files[0].source == f"{first}:n1/n1.log"
    assert names(second) == names(first)


def test_of_logs_that_came_from_elsewhere_this_machine_says_nothing(tmp_path: Path) -> None:
    made = collected(Scene(1, 60).write(tmp_path / "logs"), tmp_path / "b.tar.gz", with_facts=True)
    assert [one.name for one in made.files] == ["n1/n1.log"]
    assert made.missing == []


def test_what_is_no_archive_of_ours_is_not_overwritten(tmp_path: Path) -> None:
    place = Scene(1, 60).write(tmp_path / "logs")
    log = place / "n1.log"
    before = log.read_bytes()
    with pytest.raises(BadRequest, match="what is to be collected"):
        collected(log, log)
    with pytest.raises(BadRequest, match="no archive of ours"):
        collected(place, log)
    assert log.read_bytes() == before
    theirs = tmp_path / "theirs.tar.gz"
    with tarfile.open(theirs, "w:gz") as packed:
        packed.add(log, "n1.log")
    with pytest.raises(BadRequest, match="no archive of ours"):
        collected(place, theirs)


def test_an_archive_of_ours_is_replaced_and_nobody_else_reads_it(tmp_path: Path) -> None:
    place, archive = Scene(1, 60).write(tmp_path / "logs"), tmp_path / "b.tar.gz"
    archive.touch(0o644)
    for _ in range(2):
        collected(place, archive)
        assert archive.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) in (["logs", "b.tar.gz"], ["b.tar.gz", "logs"])


def test_no_name_of_a_log_leads_out_of_the_archive(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    place.mkdir()
    (place / "...log").write_bytes(b"2026-11-30T10:00:00.000Z INFO start\n")
    [source] = files.find([str(place)]).sources
    assert source.label == "...log"
    collected(place, tmp_path / "b.tar.gz")
    assert names(tmp_path / "b.tar.gz") == ["manifest.json", "...log/...log"]
