"""A token and private keys, known by their letters, are looked for wherever they must not be: files, arguments, output, traces, bundles."""

import gzip
import os
import shutil
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordctl.authority.files import Authority
from tests.processes.local import Home
from tests.processes.members import Cluster, Process, wait_until
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


KEY_FILES = ("ca.key", "key.pem")


@pytest.fixture
def secured(home: Home) -> Iterator[tuple[Process, Authority]]:
    """A member with a certificate, and who made that."""
    authority = Authority(str(home.folder / "ca"))
    authority.init("test")
    authority.member("n1", 1, 1)
    cluster = Cluster(home.folder, count=1)
    cluster.members[1].start("--tls", str(home.folder / "ca" / "members" / "n1"))
    try:
        yield cluster.members[1], authority
    finally:
        cluster.end()


def letters_of(key: bytes) -> list[bytes]:
    """Each line of it that nothing else would say."""
    found = [line for line in key.splitlines() if len(line) > 20 and not line.startswith(b"-")]
    assert found
    return found


def test_a_private_key_is_nowhere_but_in_its_file(home: Home, secured: tuple[Process, Authority]) -> None:
    """Also when it is used wrongly: cut off, of another certificate, or taken for something else."""
    member, authority = secured
    ours, other = Path(authority.client("ops", 1)), Path(authority.client("other", 1))
    whole = (ours / "key.pem").read_bytes()
    keys = [whole, *(path.read_bytes() for path in (other / "key.pem", Path(authority.folder, "members", "n1", "key.pem")))]
    keys.append(Path(authority.folder, "ca.key").read_bytes())
    asked = ("--debug", "--endpoints", "{}:{}".format(*member.address))
    mine = {"COORD_TLS": str(ours)}
    wait_until(
        lambda: home.run(*asked, "--timeout", "5s", "kv", "put", "a", "1", **mine).returncode == 0, "it serves who has a certificate"
    )

    said = [home.run(*asked, *words, **mine) for words in (("kv", "cas", "a", "2", "--revision", "99999"), ("status",), ("audit", "ls"))]
    said += [home.run(*asked, "status", "-o", "json", **mine), home.run("lock", "run", *asked, "l", "--", "env", **mine)]
    said.append(home.run(*asked, "--timeout", "1s", "kv", "get", "a"))  # has none
    wrong = shutil.copytree(ours, home.folder / "wrong")
    for name, content in (("key.pem", whole[: len(whole) // 2]), ("key.pem", keys[1]), ("ca.pem", whole), ("certificate.pem", whole)):
        (wrong / name).write_bytes(content)
        refused = home.run(*asked, "kv", "get", "a", COORD_TLS=str(wrong))
        assert refused.returncode != 0
        said.append(refused)
        shutil.copy(ours / name, wrong / name)
    shutil.rmtree(wrong)

    shown = Path(authority.folder, "members", "n1")
    for number, (name, content) in enumerate((("key.pem", whole), ("key.pem", keys[2][:100]), ("revoked.txt", keys[2])), 1):
        kept = (shown / name).read_bytes() if (shown / name).exists() else b""
        (shown / name).write_bytes(content)
        member.signal(signal.SIGHUP)
        wait_until(lambda number=number: len(member.events("not_reloaded")) == number, f"{name} is refused")  # type: ignore[misc]
        (shown / name).write_bytes(kept)
    said.append(home.run("bundle", str(home.folder / "n1"), str(home.folder / "n1.log"), **mine))
    assert member.running is not None
    running = Path(f"/proc/{member.running.pid}/cmdline").read_bytes() + Path(f"/proc/{member.running.pid}/environ").read_bytes()

    files = {name: data for name, data in everything_in(home.folder).items() if os.path.basename(name) not in KEY_FILES}
    assert any(".tar" in name for name in files), "there is no bundle"
    for line in [line for key in keys for line in letters_of(key)]:
        assert [name for name, data in files.items() if line in data] == []
        assert line not in running
        for done in said:
            assert line not in done.stdout + done.stderr, done.args
    assert any(b"Traceback" in done.stderr for done in said), "nothing was traced: nothing was shown"
    for path in [path for path in home.folder.rglob("*") if path.name in KEY_FILES]:
        assert os.stat(path).st_mode & 0o077 == 0, path
