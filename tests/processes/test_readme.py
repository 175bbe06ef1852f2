"""README's first page, typed word for word into a shell with a home of its own; only the figures may differ."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordnode.client.sync import connect
from tests.processes.local import Home
from tests.processes.runner.jobs import until
from tests.processes.runner.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SET_UP = "pip install . && "


def blocks(language: str) -> list[str]:
    found = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    return [text for named, text in found if named == language]


def steps(page: str) -> Iterator[tuple[str, str]]:
    """(command, what the page says it prints)"""
    for part in re.split(r"^\$ ", page, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command.partition("  #")[0].rstrip(), output


def masked(text: str) -> str:
    """Figures, which member leads, and the spaces that make columns of them."""
    text = re.sub(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"\bops@[\w.-]+", "ops@HOST", text)
    text = re.sub(r"\bn[123] leads", "N leads", re.sub(r"leader n[123]", "leader N", text))
    rows = [re.sub(r"^n[123] +(voter|leader) +ok +\d+ .*$", "MEMBER", line) for line in text.splitlines()]
    # Of exit codes each digit counts.
    text = re.sub(r"(?<![\d.])(?<![Ee]xit )\d+(\.\d+)? ?(ms|GiB|MiB|s|m|h|d)?\b", "N", "\n".join(rows))
    return re.sub(r" +", " ", text)


def test_masking_leaves_the_words() -> None:
    assert masked("n2 leads, p99 commit 1.9 ms at index 5") == masked("n3 leads, p99 commit 12.0 ms at index 7")
    assert masked("3 members ready") != masked("3 members stopped")
    assert masked("exit 75") != masked("exit 76")
    assert masked("[1]+  Exit 79   coordctl") != masked("[1]+  Exit 1   coordctl")


def lines(text: str, command: str) -> list[str]:
    """Where a command ends another, either may speak first."""
    found = masked(text).splitlines()
    return sorted(found) if command.endswith("; wait") else found


def test_the_first_page_holds(home: Home) -> None:
    programs = home.folder / "bin"
    programs.mkdir()
    for program in ("coordctl", "coordnode"):
        path = programs / program
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {program} "$@"\n')
        path.chmod(0o755)
    del home.environment["XDG_STATE_HOME"]
    typed = list(steps(blocks("")[0]))
    assert typed[0][0] == SET_UP + "coordctl up"
    shell = Shell(home, PATH=f"{programs}:{os.environ['PATH']}")
    try:
        for command, expected in typed:
            shell.type(command.removeprefix(SET_UP))
            said = shell.prompt()
            assert lines(said, command) == lines(expected, command), command
            if command.endswith("&"):  # a person types the next line later than it has the lock
                until(lambda: home.run("lock", "show", "demo").returncode == 0)
    finally:
        shell.close()
    assert "coordctl down" in typed[-1][0]


def test_the_python_on_the_first_page_runs(shared: Home) -> None:
    text, users_test = blocks("python")
    shared.ctl("kv", "del", "color")
    address = str(shared.members()[0]["address"])
    exec(compile(text.replace("127.0.0.1:7001", address), "README.md", "exec"), {})
    assert shared.ctl("kv", "get", "color") == "blue"
    assert shared.ctl("kv", "ls", "workers/", code=1) == ""
    made: dict[str, Any] = {}
    exec(compile(users_test, "README.md", "exec"), made)
    with connect(address) as cluster:
        made["test_visits"](cluster)
