"""The resource's side: `fence admit`, and each recipe of docs/fencing.md as it stands there."""

import http.client
import os
import re
import sqlite3
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coordctl.operations import fencing
from coordnode.errors import CoordError
from tests.processes.local import Home
from tests.processes.test_commands import valid

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "fencing.md").read_text(encoding="utf-8")
OLD, NEW = 1_882_436_359_159_831, 1_882_436_359_159_832


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_a_stale_token_is_refused(home: Home) -> None:
    path = home.folder / "fence"
    for token, code in ((OLD, 0), (OLD, 0), (NEW, 0), (OLD, 76), (NEW, 0)):
        done = home.run("fence", "admit", "--file", str(path), str(token))
        assert (done.returncode, done.stdout) == (code, b"")
        assert (b"stale" in done.stderr) == (code == 76)
    assert path.read_text() == f"{NEW}\n"
    found = valid(home.ctl("fence", "admit", "--file", str(path), str(OLD), "-o", "json", code=76))
    assert (found["outcome"], found["highest"]) == ("stale", NEW)
    assert sorted(os.listdir(home.folder)) == ["fence"], "nothing litters"


def test_what_cannot_be_decided_is_not_admitted(home: Home) -> None:
    path = home.folder / "fence"
    for content in (b"", b"12", b"twelve\n", b"-5\n", b"0\n", b"9" * 80, b"99999999999999999999\n"):
        path.write_bytes(content)
        assert home.run("fence", "admit", "--file", str(path), str(NEW)).returncode == 1, content
        assert path.read_bytes() == content
    for token in ("0", "-1", "x", "", str(2**53)):
        assert home.run("fence", "admit", "--file", str(home.folder / "new"), "--", token).returncode == 64, token
    assert home.run("fence", "admit", "--file", str(home.folder / "no" / "fence"), str(NEW)).returncode == 1
    assert home.run("fence", "admit", str(NEW)).returncode == 64
    assert not (home.folder / "new").exists()


def test_it_is_on_the_disk_before_it_is_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, then its name, then the folder that has the name."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name.split('.')[0]}")
        sync(descriptor)

    def replaced(source: str, target: str) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    fencing.admit(str(tmp_path / "fence"), NEW)
    assert done == ["sync fence", "replace", f"sync {tmp_path.name}"]


def test_a_failed_sync_is_no_admission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CoordError, match="nobody is admitted"):
        fencing.admit(str(tmp_path / "fence"), NEW)
    assert os.listdir(tmp_path) == []


def test_many_at_once_leave_the_highest(tmp_path: Path) -> None:
    path = str(tmp_path / "fence")
    threads = [threading.Thread(target=fencing.admit, args=(path, token)) for token in range(1, 65)]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert Path(path).read_text() == "64\n"


def test_the_line_for_scripts(home: Home) -> None:
    (line, _) = blocks("sh")
    path = home.folder / "fence"
    script = line.replace("/srv/report/fence", str(path)).replace("coordctl", f'"{sys.executable}" -m coordctl') + "echo wrote"
    for token, code, said in ((NEW, 0, b"wrote\n"), (OLD, 76, b"")):
        environment = {**home.environment, "COORD_TOKEN": str(token)}
        done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (code, said)


def test_the_sql(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[0], "fencing.md", "exec"), names)
    database = sqlite3.connect(tmp_path / "database", isolation_level=None)
    try:
        for _ in range(2):
            database.executescript(blocks("sql")[0])
        database.execute("CREATE TABLE report (line TEXT)")

        def work(text: str) -> Any:
            return lambda within: within.execute("INSERT INTO report VALUES (?)", (text,))

        assert names["guarded"](database, OLD, work("old"))
        assert names["guarded"](database, NEW, work("new"))
        assert not names["guarded"](database, OLD, work("stale"))
        with pytest.raises(sqlite3.OperationalError):
            names["guarded"](database, NEW + 1, lambda within: within.execute("INSERT INTO nowhere VALUES (1)"))
        assert names["guarded"](database, NEW, work("again")), "what failed was not admitted either"
        assert [line for (line,) in database.execute("SELECT line FROM report")] == ["old", "new", "again"]
    finally:
        database.close()


def test_the_http_server() -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks("python")[1], "fencing.md", "exec"), names)
    fenced = names["Fenced"]
    with ThreadingHTTPServer(("127.0.0.1", 0), fenced) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for token, code in ((str(OLD), 204), (str(NEW), 204), (str(OLD), 412), (None, 428), ("x", 428), (str(NEW), 204)):
                connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
                connection.request("PUT", "/report", str(token).encode(), {} if token is None else {"Coord-Token": token})
                assert connection.getresponse().status == code, token
                connection.close()
            assert fenced.content == str(NEW).encode()
        finally:
            server.shutdown()
            thread.join()
