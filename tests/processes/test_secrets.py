"""A token that is known by its letters is looked for wherever it must not be: files, arguments, output, tracebacks, bundles."""

import gzip
import os
import tarfile
from pathlib import Path

from tests.processes.local import Home
from tests.processes.test_auth import http, token_of


def everything_in(folder: Path) -> dict[str, bytes]:
    """All files, those in bundles unpacked."""
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        found[str(path)] = path.read_bytes()
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as bundle:
                for one in bundle.getmembers():
                    file = bundle.extractfile(one) if one.isfile() else None
                    if file is not None:
                        data = file.read()
                        found[f"{path}:{one.name}"] = gzip.decompress(data) if one.name.endswith(".gz") else data
    return found


def test_a_token_is_nowhere_but_in_its_file(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    address = str(home.members()[0]["address"])
    home.ctl("auth", "user", "add", "root", "--role", "admin")
    path = token_of(home, "root")
    secret = Path(path).read_text().strip()
    assert len(secret) > 20
    mine = {"COORD_AUTH_TOKEN_FILE": path}
    home.ctl("auth", "role", "add", "app", "kv:use:app/", **mine)
    said = [
        home.run("--debug", "kv", "put", "app/a", "1", **mine),
        home.run("--debug", "kv", "cas", "app/a", "2", "--revision", "99999", **mine),
        home.run("--debug", "--endpoints", "127.0.0.1:1", "--timeout", "1s", "kv", "get", "app/a", **mine),
        home.run("lock", "run", "app/l", "--", "env", **mine),
        home.run("auth", "token", "ls", "root", **mine),
        home.run("audit", "ls", **mine),
        home.run("bundle", **mine),
    ]
    assert http(address, "/v1/kv/app/a", secret) == 200
    assert http(address, "/v1/nothing", secret) == 404
    assert http(address, "/v1/kv/app/a", secret + "x") in (401, 403)
    running = Path(f"/proc/{home.pid('n1')}/cmdline").read_bytes() + Path(f"/proc/{home.pid('n1')}/environ").read_bytes()
    files = everything_in(home.folder)
    assert any(name.endswith((".tgz", ".tar.gz", ".tar")) or ".tar" in name for name in files), "there is no bundle"
    assert any("flight.log" in name for name in files)
    assert [name for name, data in files.items() if secret.encode() in data] == [path]
    assert secret.encode() not in running
    for done in said:
        assert secret.encode() not in done.stdout + done.stderr, done.args
    assert b"Traceback" in said[2].stderr, "nothing was traced: nothing was shown"
    assert b"COORD_AUTH_TOKEN_FILE" not in said[3].stdout
    assert os.stat(path).st_mode & 0o077 == 0
