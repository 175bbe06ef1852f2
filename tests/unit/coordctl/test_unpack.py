"""What runs on hosts to unpack a build: also where another does the same, for a coordctl that was killed meanwhile."""

import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from coordctl.facts.hosts import program
from coordctl.onhost import unpack

VERSION = "1.0-abc"
FILES = {"lib/coordnode/__init__.py": b"", "lib/coordnode/node/__init__.py": b"", "lib/coordnode/node/command.py": b"STARTS = True\n"}


def packed(files: dict[str, bytes]) -> bytes:
    manifest = {"files": {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}, "modules": ["json"]}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for path, content in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


class Host:
    def __init__(self, base: Path) -> None:
        self.versions = base / "versions"
        self.versions.mkdir()
        self.archive = base / "sent.tar.gz"
        self.place = self.versions / VERSION

    def send(self, files: dict[str, bytes] = FILES) -> dict[str, object]:
        content = packed(files)
        self.archive.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return {"base": str(self.versions.parent), "version": VERSION, "archive": str(self.archive), "sha256": digest}

    def unpack(self, said: dict[str, object]) -> "subprocess.Popen[str]":
        """As a host does it: in a process of its own."""
        script = program(unpack, dict(said))
        return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def done(running: "subprocess.Popen[str]") -> tuple[int, str]:
    said = running.communicate(timeout=300)[1]
    return running.returncode, said


def test_it_is_there_as_a_whole_and_what_was_sent_is_gone(host: Host) -> None:
    assert done(host.unpack(host.send())) == (0, "")
    assert {str(path.relative_to(host.place)) for path in host.place.rglob("*.py")} == set(FILES)
    assert not host.archive.exists()
    assert os.listdir(host.versions) == [VERSION]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({**FILES, "lib/coordnode/__init__.py": b"#"}, "the build has lib/coordnode/__init__.py damaged: make it again"),
        ({"lib/coordnode/__init__.py": b""}, "the build lacks lib/coordnode/node/__init__.py: make it again"),
    ],
)
def test_what_is_not_as_it_was_built_is_refused_by_name(host: Host, files: dict[str, bytes], sentence: str) -> None:
    code, said = done(host.unpack(host.send(files)))
    assert code == 1
    assert sentence in said
    assert not host.place.exists()


def test_one_that_comes_too_late_leaves_alone_what_may_be_in_use(host: Host) -> None:
    said = host.send()
    assert done(host.unpack(said)) == (0, "")
    made = host.place.stat().st_ino
    assert done(host.unpack(said)) == (0, "")  # what was sent is gone with the first
    assert done(host.unpack(host.send())) == (0, "")
    assert host.place.stat().st_ino == made
    assert not host.archive.exists()


def test_what_is_damaged_there_is_made_anew(host: Host) -> None:
    assert done(host.unpack(host.send())) == (0, "")
    (host.place / "lib/coordnode/node/command.py").write_bytes(b"")
    assert done(host.unpack(host.send())) == (0, "")
    assert (host.place / "lib/coordnode/node/command.py").read_bytes() == FILES["lib/coordnode/node/command.py"]


def test_one_at_a_time(host: Host) -> None:
    folder = os.open(host.versions, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        running = host.unpack(host.send())
        while not is_waited_for(host.versions):
            assert running.poll() is None, "it did not wait"
            time.sleep(0.01)
        assert os.listdir(host.versions) == []
    finally:
        os.close(folder)
    assert done(running) == (0, "")
    assert host.place.exists()


def is_waited_for(folder: Path) -> bool:
    inode = f":{folder.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_it_needs_nothing_but_python() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", "-c", Path(unpack.__file__).read_text()], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
