"""What the real disk makes of a system that says no: a named error with a remedy; and what cannot be read is tried once more."""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordnode.errors import DiskFailed, DiskFull
from coordnode.storage.disk import RealDisk
from coordnode.storage.freeing import FREED_BYTES_MAX, FREED_PAUSE_SECONDS, FREEING_FILES_MAX


def failing(code: int) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture
def disk(tmp_path: Path) -> RealDisk:
    made = RealDisk(str(tmp_path))
    file = made.create("a")
    file.write(0, b"content")
    file.close()
    return made


@pytest.mark.parametrize(
    ("broken", "ask"),
    [
        ("stat", lambda disk: disk.exists("a")),
        ("stat", lambda disk: disk.size("a")),
        ("stat", lambda disk: disk.fingerprint("a")),
        ("statvfs", lambda disk: disk.free_bytes()),
        ("statvfs", lambda disk: disk.free_files()),
        ("fstat", lambda disk: disk.open("a").size()),
        ("pread", lambda disk: disk.open("a").read(0, 3)),
        ("pwrite", lambda disk: disk.open("a").write(0, b"x")),
        ("fdatasync", lambda disk: disk.open("a").datasync()),
        ("open", lambda disk: disk.create("b")),
        ("rename", lambda disk: disk.rename("a", "b")),
        ("unlink", lambda disk: disk.unlink("a")),
        ("open", lambda disk: disk.discard("a")),
        ("unlink", lambda disk: disk.discard("a")),
        ("fstat", lambda disk: disk.discard("a")),
        ("fsync", lambda disk: disk.sync_folder("")),
        ("listdir", lambda disk: disk.list("")),
        ("makedirs", lambda disk: disk.make_folder("b")),
    ],
)
def test_whatever_the_system_refuses_is_a_named_error(
    broken: str, ask: Callable[[RealDisk], object], disk: RealDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "coordnode.storage.disk._datasync" if broken == "fdatasync" else f"os.{broken}"
    with monkeypatch.context() as broken_system, pytest.raises(DiskFailed, match="Input/output error; look at the kernel log"):
        broken_system.setattr(target, failing(errno.EIO))
        ask(disk)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.EMFILE, "LimitNOFILE="), (errno.EROFS, "read-only"), (errno.EACCES, "the user that the member runs as")],
)
def test_each_refusal_has_its_own_remedy(code: int, remedy: str, disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.open", failing(code))
    with pytest.raises(DiskFailed, match=remedy):
        disk.create("b")


def test_no_space_is_another_thing_than_a_failure(disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.pwrite", failing(errno.ENOSPC))
    with pytest.raises(DiskFull):
        disk.open("a").write(0, b"x")


@pytest.mark.parametrize("past_cache", [False, True])
def test_what_cannot_be_read_is_tried_once_more(disk: RealDisk, past_cache: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes bytes for lost gives them up: a snapshot is set aside, entries are to be regained."""
    file = disk.open("a", past_cache=past_cache)
    for name in ("pread", "preadv"):
        real = getattr(os, name)
        said = [errno.EIO]

        def call(*arguments: Any, real: Any = real, said: list[int] = said) -> Any:
            if said:
                raise OSError(said.pop(), "not now")
            return real(*arguments)

        monkeypatch.setattr(f"os.{name}", call)
    assert file.read(0, 7) == b"content"
    file.close()


def test_a_full_disk_keeps_nobody_from_locking_a_folder(disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.lock("lock")
    disk.unlock()
    monkeypatch.setattr("os.pwrite", failing(errno.ENOSPC))
    disk.lock("lock")
    assert disk.exists("lock")
    disk.unlock()


def large(disk: RealDisk, size: int) -> None:
    file = disk.create("large")
    file.write(size - 1, b"x")
    file.close()


def open_files(folder: Path) -> list[str]:
    """Of this process, below it: what else it has open is of no concern, and comes and goes."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the list itself, and what is closed meanwhile
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path.startswith(str(folder))]


def freed() -> None:
    for thread in threading.enumerate():
        if thread.name == "discard":
            thread.join()


def test_what_is_discarded_gives_its_room_back_bit_by_bit(disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    large(disk, 5 * FREED_BYTES_MAX + 1)
    steps: list[float] = []
    truncate = os.ftruncate

    def shorten(file: int, size: int) -> None:
        steps.append(size)
        truncate(file, size)

    monkeypatch.setattr("os.ftruncate", shorten)
    monkeypatch.setattr("coordnode.storage.freeing.time", SimpleNamespace(sleep=steps.append))
    still_read = disk.open("large")
    disk.discard("large")
    assert not disk.exists("large")
    freed()
    assert steps[::2] == [size * FREED_BYTES_MAX + 1 for size in (4, 3, 2, 1, 0)]
    assert steps[1::2] == [FREED_PAUSE_SECONDS] * 5
    assert still_read.size() == 1
    still_read.close()


def test_what_has_another_name_is_not_shortened(disk: RealDisk, tmp_path: Path) -> None:
    large(disk, 2 * FREED_BYTES_MAX)
    os.link(tmp_path / "large", tmp_path / "kept by somebody")
    disk.discard("large")
    freed()
    assert disk.list("") == ["a", "kept by somebody"]
    assert disk.size("kept by somebody") == 2 * FREED_BYTES_MAX


def test_what_is_discarded_leaves_nothing_open(disk: RealDisk, tmp_path: Path) -> None:
    for size in (1, FREED_BYTES_MAX, FREED_BYTES_MAX + 1):
        large(disk, size)
        disk.discard("large")
    with pytest.raises(FileNotFoundError):
        disk.discard("large")
    freed()
    assert open_files(tmp_path) == []


def test_too_many_at_once_do_not_keep_files_open(disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    monkeypatch.setattr("coordnode.storage.freeing.time", SimpleNamespace(sleep=lambda seconds: going_on.wait()))
    for _ in range(FREEING_FILES_MAX + 20):
        large(disk, FREED_BYTES_MAX + 1)
        disk.discard("large")
    kept_open = len(open_files(tmp_path))
    going_on.set()
    assert kept_open <= FREEING_FILES_MAX + 2, "and one that is shortened, and its folder"
    freed()
    assert open_files(tmp_path) == []


def test_what_may_come_back_is_not_shortened(disk: RealDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its folder cannot be synced, a power loss may bring its name back."""
    large(disk, 3 * FREED_BYTES_MAX)
    still_read = disk.open("large")
    with monkeypatch.context() as broken_system:
        broken_system.setattr("os.fsync", failing(errno.EIO))
        disk.discard("large")
        freed()
    assert still_read.size() == 3 * FREED_BYTES_MAX
    still_read.close()


def test_where_no_thread_is_to_be_had_the_room_comes_back_at_once(disk: RealDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    large(disk, 2 * FREED_BYTES_MAX)
    with monkeypatch.context() as short_of_threads:
        short_of_threads.setattr("threading.Thread.start", refuse)
        disk.discard("large")
    assert open_files(tmp_path) == []
    large(disk, 2 * FREED_BYTES_MAX)
    disk.discard("large")
    freed()
    assert open_files(tmp_path) == []
