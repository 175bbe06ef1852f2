"""What the commands that must start fast load: modules are most of their time. Anything more makes every script that uses them slower."""

import subprocess
import sys

import pytest

from tests.processes.local import SOURCE, Home

PROGRAM = str(SOURCE.parent / "bin" / "coordctl")
ANY = {"coordctl", "coordctl.__main__", "coordctl.flags", "coordnode", "coordnode.errors", "coordnode.light"}
VERB = {
    *ANY,
    *(
        "coordctl.commands",
        "coordctl.commands.fast",
    ),
    *("coordctl.local", "coordctl.local.clusters"),
    *("coordctl.report", "coordctl.report.exits", "coordctl.report.plain"),
}
SPEAKS = {
    *("coordctl.hot", "coordctl.hot.bare", "coordctl.hot.frames", "coordctl.hot.msgpack"),
    *("coordnode.client", "coordnode.client.identity"),
}
ASKS = {*VERB, *SPEAKS, "coordctl.hot.asking"}
KV = {*ASKS, "coordctl.commands.asked", "coordctl.commands.kv", "coordctl.hot.kv", "coordnode.ranges"}
CHECKS = {*ASKS, "coordctl.commands.lock", "coordctl.commands.lock_verbs", "coordctl.hot.locks"}
QUEUE = {*ASKS, "coordctl.commands.asked", "coordctl.commands.queue", "coordctl.hot.queues"}
CLAIMS = {
    *VERB,
    *SPEAKS,
    *("coordctl.commands.lock", "coordctl.commands.lock_run", "coordctl.hot.line", "coordctl.hot.locks", "coordctl.hot.talk"),
    *("coordctl.runner", *(f"coordctl.runner.{name}" for name in ("claim", "command", "ending", "held", "outcome", "source"))),
    *("coordnode.ids", "coordnode.limits", *(f"coordnode.client.{name}" for name in ("addresses", "clock", "renewal", "route"))),
}
KEEPS = {*CLAIMS, "coordctl.commands.lock_acquire", "coordctl.runner.keeper"}
GUARDS = ("cgroup", "family", "guard", "job", "kernel", "rules", "run", "terminal", "warden", "words")
RUNS = {*CLAIMS, *(f"coordctl.runner.{name}" for name in GUARDS)}
WORKS = {*QUEUE, *RUNS, "coordctl.commands.queue_run", "coordctl.runner.task"} - {"coordctl.commands.lock", "coordctl.hot.line"}
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

    def loaded(*arguments: str, code: int = 0) -> set[str]:
        command = [sys.executable, "-X", "importtime", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=shared.environment, check=False)
        assert done.returncode == code, done.stderr
        return {words.rpartition("|")[2].strip() for words in done.stderr.splitlines() if words.startswith("import time:")}

    names = loaded(PROGRAM, *line.split(), code=code) - loaded("-c", "pass")
    assert {name for name in names if name.startswith("coord")} == ours
    assert {name for name in names if not name.startswith("coord")} <= others
