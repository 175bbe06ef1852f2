"""Who may do what, end to end: from nobody having to say who it is to roles and back, over every interface of real members."""

import json
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from coordnode.client.sync import connect
from coordnode.errors import NotPermitted
from tests.processes.local import Home


def token_of(home: Home, user: str, **environment: str) -> str:
    """The file with a new token of that user."""
    path = Path(home.folder / f"{user}.token")
    path.write_text(home.ctl("auth", "token", "add", user, "--note", "test", **environment))
    path.chmod(0o600)
    return str(path)


def http(address: str, path: str, token: str = "", method: str = "GET") -> int:
    request = urllib.request.Request(f"http://{address}{path}", method=method, data=b"1" if method == "PUT" else None)
    if token:
        request.add_header("Authorization", f"Bearer {Path(token).read_text().strip() if token.startswith('/') else token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_from_nobody_to_roles_and_back(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    address = home.members()[0]["address"]
    assert isinstance(address, str)
    home.ctl("kv", "put", "secret/a", "1")
    assert "nobody could change this again" in home.run("auth", "role", "add", "app", "kv:use:app/").stderr.decode()
    home.ctl("auth", "role", "add", "app", "kv:use:app/", code=76)

    home.ctl("auth", "user", "add", "root", "--role", "admin")
    root = token_of(home, "root")
    home.ctl("auth", "role", "add", "app", "kv:use:app/,lock:use:app/", COORD_AUTH_TOKEN_FILE=root)
    as_root = {"COORD_AUTH_TOKEN_FILE": root}
    home.ctl("auth", "user", "add", "ann", "--role", "app", **as_root)
    ann = token_of(home, "ann", **as_root)
    as_ann = {"COORD_AUTH_TOKEN_FILE": ann}

    home.ctl("kv", "put", "app/a", "1", code=77)
    home.ctl("kv", "put", "app/a", "1", **as_ann)
    for hidden in (("kv", "get", "secret/a"), ("kv", "get", "secret/none"), ("kv", "ls"), ("auth", "role", "ls"), ("session", "ls")):
        home.ctl(*hidden, code=77, **as_ann)
    assert home.ctl("kv", "get", "secret/a", **as_root) == "1"
    assert home.ctl("lock", "run", "app/l", "--", "echo", "mine", **as_ann) == "mine\n"
    home.ctl("lock", "run", "other", "--", "echo", "mine", code=77, **as_ann)

    assert [http(address, path) for path in ("/livez", "/readyz", "/status", "/metrics", "/v1/kv/app/a")] == [200, 200, 403, 403, 403]
    assert [http(address, path, ann) for path in ("/status", "/v1/kv/app/a", "/v1/kv/app/a?stale=true")] == [403, 200, 200]
    assert [http(address, path, ann) for path in ("/v1/kv/secret/a", "/v1/kv/secret/none", "/v1/kv?stale=true")] == [403, 403, 403]
    assert [http(address, path, ann, "PUT") for path in ("/v1/kv/app/b", "/v1/kv/secret/b")] == [200, 403]
    assert [http(address, path, root) for path in ("/status", "/metrics", "/v1/kv/secret/a")] == [200, 200, 200]
    assert http(address, "/v1/kv/app/a", "not-a-token") == 403
    assert json.loads(home.ctl("status", "-o", "json", **as_root))["outcome"]

    with connect(address, token=Path(ann).read_text().strip()) as cluster:
        assert cluster.kv.put("app/c", "1")
        identity = next(
            row for row in map(json.loads, home.ctl("auth", "token", "ls", "-o", "json", **as_root).splitlines()) if row["user"] == "ann"
        )
        home.ctl("auth", "token", "remove", identity["id"], **as_root)
        with pytest.raises(NotPermitted, match="not known here"):
            cluster.kv.put("app/c", "2")
    logged = [line for path in home.state.rglob("*.log") for line in path.read_text(errors="replace").splitlines()]
    assert [line for line in logged if '"event":"denied"' in line]
    assert not [line for line in logged if Path(ann).read_text().strip() in line], "no token is ever written down"

    home.ctl("auth", "user", "add", "ann", **as_root)
    home.ctl("audit", "ls", code=77, **as_ann)
    changes = [json.loads(line) for line in home.ctl("audit", "ls", "-o", "json", **as_root).splitlines()]
    assert [change["number"] for change in changes] == list(range(1, len(changes) + 1))
    assert (changes[0]["by"].split(":")[0], changes[-1]["by"]) == ("unproven", "token:root")
    assert (changes[-1]["what"], changes[-1]["before"], changes[-1]["after"]) == ("user ann", "app", "no role")
    assert home.json("audit", "verify", **as_root)["outcome"] == "whole"
    assert home.json("audit", "verify", **as_root)["seen"]
    forged = home.json("audit", "verify", "--head", f"1:{'ab' * 32}", code=2, **as_root)
    assert forged["faults"] == ["record 1 is another one than was seen there before"]
    home.ctl("auth", "role", "remove", "app", code=76, **as_root)
    home.ctl("auth", "role", "remove", "app", "--accept", "no-roles", "--reason", "end of test", **as_root)
    assert home.ctl("kv", "get", "secret/a") == "1"
