"""What the commands that must start fast load: modules are most of their time. Anything more makes every script that uses them slower."""

import subprocess
import sys

import pytest

from coordctl.local import foreign
from tests.processes.conftest import is_here
from tests.processes.local import SOURCE, Home

PROGRAM = str(SOURCE.parent / "bin" / "coordctl")
ANY = {"coordctl", "coordctl.__main__", "coordctl.flags", "coordnode", "coordnode.errors", "coordnode.light", "coordnode.streams"}
VERB = {
    *ANY,
    *(
        "coordctl.commands",
        "coordctl.commands.fast",
    ),
    *("coordctl.local", "coordctl.local.clusters", "coordctl.local.notes"),
    *("coordctl.report", "coordctl.report.exits", "coordctl.report.plain"),
}
SPEAKS = {
    *("coordctl.hot", "coordctl.hot.bare", "coordctl.hot.dialling", "coordctl.hot.frames", "coordctl.hot.msgpack"),
    *("coordnode.client", "coordnode.client.identity"),
}
ASKS = {*VERB, *SPEAKS, "coordctl.hot.asking"}
KV = {*ASKS, "coordctl.commands.asked", "coordctl.commands.kv", "coordctl.hot.kv", "coordnode.ranges"}
CHECKS = {*ASKS, "coordctl.commands.lock", "coordctl.commands.lock_verbs", "coordctl.hot.locks"}
QUEUE = {*ASKS, "coordctl.commands.asked", "coordctl.commands.queue", "coordctl.hot.queues"}
LINES = {"coordctl.hot.line", "coordctl.hot.wire", "coordnode.client.lookups"}
CLAIMS = {
    *VERB,
    *SPEAKS,
    *("coordctl.commands.lock", "coordctl.commands.lock_run", "coordctl.hot.locks", "coordctl.hot.talk"),
    *LINES,
    *("coordctl.runner", *(f"coordctl.runner.{name}" for name in ("claim", "command", "ending", "held", "outcome", "source"))),
    *(f"coordnode.{name}" for name in ("address", "ids", "limits")),
    *(f"coordnode.client.{name}" for name in ("addresses", "clock", "renewal", "route")),
}
KEEPS = {*CLAIMS, "coordctl.commands.lock_acquire", "coordctl.runner.keeper"}
GUARDS = ("cgroup", "family", "guard", "job", "kernel", "rules", "run", "terminal", "warden", "words")
RUNS = {*CLAIMS, *(f"coordctl.runner.{name}" for name in GUARDS)}
WORKS = {*QUEUE, *RUNS, "coordctl.commands.queue_run", "coordctl.runner.task"} - {"coordctl.commands.lock", *LINES}
# Of others: of C, but for __future__. Neither typing, re, enum, json, socket, signal nor contextlib.
OTHERS = {"__future__", "gc", "_json", "_operator", "_socket", "zlib"}
OTHERS_OF_RUNS = {*OTHERS, "_ctypes", "errno", "select"}


@pytest.mark.parametrize(
    ("line", "code", "ours", "others"),
    [
        ("--help", 0, ANY, OTHERS),
        ("kv get nothing -q", 1, KV, OTHERS),
        ("kv put started fast", 0, KV, OTHERS),
        ("lock check nothing 1 -q", 1, CHECKS, OTHERS),
        ("queue put started fast", 0, QUEUE, OTHERS),
        ("queue take started", 0, QUEUE, OTHERS),
        ("queue put started again", 0, QUEUE, OTHERS),
        ("queue run started -- true", 0, WORKS, {*OTHERS_OF_RUNS, "_queue"}),
        ("lock run started -- true", 0, RUNS, OTHERS_OF_RUNS),
        ("lock acquire acquired --ttl 1s", 0, KEEPS, OTHERS_OF_RUNS),
    ],
)
def test_they_load_little(shared: Home, line: str, code: int, ours: set[str], others: set[str]) -> None:
    """In every process that there is until the end, a guard too."""
    names = loaded(shared, line, code)
    assert {name for name in names if name.startswith("coord")} == ours
    assert {name for name in names if not name.startswith("coord")} <= others


@pytest.mark.parametrize(("engine", "another"), [("etcd", "zookeeper"), ("zookeeper", "etcd")])
def test_another_engine_loads_as_little_of_others(home: Home, engine: str, another: str) -> None:
    """The cluster of coordnode above loads nothing of engines at all."""
    if not is_here(engine):
        pytest.skip(foreign.REMEDIES[engine])
    home.engine = engine
    home.up(1)
    port = str(home.members()[0]["address"]).rpartition(":")[2]
    told = f'name = "keys"\nenvironment = "dev"\nengine = "{engine}"\n[hosts.n1]\naddress = "127.0.0.1"\nport = {port}\n'
    (home.folder / "keys.toml").write_text(told)
    home.ctl("kv", "get", "nothing", "-q", "-c", "keys", code=1)  # the inventory is read, and then known wherever one is
    lines = (("kv get nothing -q -c local", 1, OTHERS), ("kv get nothing -q -c keys", 1, OTHERS))
    for line, code, others in (*lines, ("lock run started -c local -- true", 0, OTHERS_OF_RUNS)):
        names = loaded(home, line, code)
        assert {name for name in names if not name.startswith("coord")} <= {*others, "binascii"}
        assert f"coordctl.engines.{engine}.words" in names
        assert not {name for name in names if name.startswith(f"coordctl.engines.{another}")}


def loaded(home: Home, line: str, code: int) -> set[str]:
    """Besides what Python itself does."""

    def names(*arguments: str, code: int = 0) -> set[str]:
        command = [sys.executable, "-X", "importtime", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=home.environment, check=False)
        assert done.returncode == code, done.stderr
        return {words.rpartition("|")[2].strip() for words in done.stderr.splitlines() if words.startswith("import time:")}

    return names(PROGRAM, *line.split(), code=code) - names("-c", "pass")
