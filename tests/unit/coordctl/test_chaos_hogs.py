"""What is seen of a process that is to wear a host out."""

import subprocess
import sys

import msgspec
import pytest

from coordctl.chaos import hogs, lives
from tests.unit.coordctl.test_chaos_ledger import entry


@pytest.mark.parametrize(
    ("cores", "does", "is_seen"),
    [
        ("1", "while True: pass", True),
        ("1", "time.sleep(600)", False),  # it is there, and nothing more
        ("2", "while True: pass", False),
    ],
)
def test_a_core_is_kept_busy_by_who_never_waits_however_little_of_it_he_gets(cores: str, does: str, is_seen: bool) -> None:
    asked = msgspec.structs.replace(entry("c0ffee11", "cpu"), by=cores)
    started = "import time\nprint(flush=True)\n"  # that keeps a core busy, too: for long, on a slow machine
    with subprocess.Popen([sys.executable, "-c", started + does, hogs.MODULE, asked.id], stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout is not None and worker.stdout.readline()
            trouble = lives.wait_until(lambda: hogs._keeps_busy(asked), 60.0 if is_seen else 1.5, "it is not kept busy")
            assert (not trouble) == is_seen
        finally:
            worker.kill()
