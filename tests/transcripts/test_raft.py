"""What raft does, as stories: each file under raft/ says first what it proves."""

from pathlib import Path

import pytest

from coordnode.raft import progress, replication
from tests.transcripts.raft_scene import RaftScene
from tests.transcripts.scene import check, play

STORIES = sorted((Path(__file__).parent / "raft").glob("*.txt"))


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INFLIGHT_APPENDS_MAX", 4)
    monkeypatch.setattr(replication, "APPEND_BYTES_MAX", 16)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    check(path, RaftScene().perform)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 16


def test_what_a_command_brings_about_replaces_what_stood_there() -> None:
    story = "# Proves nothing.\n\n> say a\n  old\n\n# Then\n> say b\n"
    assert play(story, lambda command: [command.upper(), "!"]) == (
        "# Proves nothing.\n\n> say a\n  SAY A\n  !\n\n# Then\n> say b\n  SAY B\n  !\n"
    )
