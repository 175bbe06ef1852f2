"""An inventory of members that somebody else deployed: -c NAME serves every verb that --endpoints does, what changes hosts is refused."""

import json
from collections.abc import Callable, Iterator

import pytest

from coordctl.local import foreign
from tests.door import IS_LONG
from tests.processes.conftest import OTHERS, is_here
from tests.processes.local import Home
from tests.processes.test_commands import valid

REFUSED = (
    *("deploy", "restart", "destroy", "backup create", "restore", "recover", "config push"),
    *("upgrade status", "ca show", "member ls", "down", "risk ls"),
)


@pytest.fixture(scope="module", params=OTHERS)
def listed(request: pytest.FixtureRequest, of_engine: Callable[[str], Home], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Another user, who has an inventory of these members and nothing else."""
    engine = request.param
    if not is_here(engine):
        pytest.skip(foreign.REMEDIES[engine])
    members = of_engine(engine).members()
    home = Home(tmp_path_factory.mktemp("user"), engine)
    hosts = [
        f'[hosts.m{number}]\naddress = "127.0.0.1"\nport = {str(one["address"]).rpartition(":")[2]}\n'
        for number, one in enumerate(members, 1)
    ]
    (home.folder / "keys.toml").write_text(f'name = "keys"\nenvironment = "dev"\nengine = "{engine}"\n{"".join(hosts)}')
    yield home
    home.close()


def test_every_verb_that_knows_endpoints_knows_it_by_its_name(listed: Home) -> None:
    found = listed.json("status", "-c", "keys")
    assert (found["cluster"], [one["name"] for one in found["members"]]) == ("keys", ["m1", "m2", "m3"])  # type: ignore[attr-defined]
    assert listed.json("health", "-c", "keys")["members_well"] == 3
    assert listed.ctl("wait", "-c", "keys", "--for", "healthy", "--timeout", "30s").startswith("healthy")
    listed.ctl("kv", "put", "listed/a", "1", "-c", "keys.toml")
    assert listed.ctl("kv", "get", "listed/a", COORD_CLUSTER="keys") == "1"
    assert listed.ctl("lock", "run", "listed", "--", "echo", "held") == "held\n", "and it is the only cluster that is known here"
    assert listed.ctl("elect", "run", "listed", "-c", "keys", "--", "echo", "leads") == "leads\n"
    doctor = valid(listed.ctl("doctor", "-q", "-o", "json", "-c", "keys", code=None))
    assert (doctor["about"], doctor["answered"], doctor["members"]) == ("keys", 3, 3)
    rounds = listed.ctl("canary", "run", "--count", "1", "-c", "keys", "-o", "json", "--timeout", "20s").splitlines()
    assert json.loads(rounds[-1])["cluster"] == "keys"
    load = ("bench", "put", "--rate", "50/s", "--for", "1s", "--connections", "1", "-q", "-c", "keys", "-o", "json")
    assert json.loads(listed.ctl(*load))["cluster"] == "keys"
    assert b"source and target are the same cluster" in listed.run("copy", "listed/", "-c", "keys", "--to", "keys").stderr
    listed.ctl("kv", "del", "listed/a", "-c", "keys")


def test_what_changes_hosts_or_members_is_refused_in_one_sentence(listed: Home) -> None:
    for line in REFUSED if listed.engine == "etcd" or IS_LONG else REFUSED[:1]:
        done = listed.run(*line.split(), "-c", "keys")
        assert done.returncode == 64, (line, done)
        said = done.stderr.decode()
        assert said.count("\n") == 1, (line, said)
        assert f"has members of {listed.engine}, which somebody else" in said or "members only" in said or "whoever deployed it" in said, (
            said
        )


def test_what_is_said_of_hosts_is_checked_and_shown(listed: Home) -> None:
    found = listed.json("inventory", "validate", code=1)
    assert found["remarks"] == ["it is not said what starts m1, m2, m3, so chaos kills nothing there: give unit or start in [run]"]
    shown = listed.json("inventory", "show", "-c", "keys")
    assert (shown["engine"], shown["tls"]) == (listed.engine, False)
    assert {one["run"]["peer-ports"] for one in shown["hosts"]} == {"2380" if listed.engine == "etcd" else "2888, 3888"}  # type: ignore[attr-defined]
    listed.ctl("inventory", "init", "others", "10.0.0.1", "--engine", listed.engine)
    assert listed.json("inventory", "show", "-c", "others")["engine"] == listed.engine
    (listed.folder / "others.toml").unlink()
