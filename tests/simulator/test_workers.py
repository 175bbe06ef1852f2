"""Seeds in several processes end with the one that asked for them, however that ends."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from tests.processes.runner.jobs import children, is_alive, until
from tests.simulator.test_seeds import SOURCE

# A seed of ten hours: no worker is done before it is ended.
COMMAND = [sys.executable, "-m", "coordnode", "simulate", "--seeds", "1-8", "--seconds", "36000", "--jobs", "2", "--shrink", "0"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_workers_end_with_the_parent_that_alone_was_ended(number: signal.Signals, code: int) -> None:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as parent:
        workers: list[int] = []
        try:
            workers = until(lambda: found if len(found := children(parent.pid)) == 2 else None, "it has no two workers")
            parent.send_signal(number)
            assert parent.wait(timeout=300) == code
            assert b"Traceback" not in parent.communicate(timeout=300)[1]
            until(lambda: not any(is_alive(worker) for worker in workers), "its workers live on")
        finally:
            parent.kill()
            for worker in filter(is_alive, workers):
                os.kill(worker, signal.SIGKILL)


def test_who_is_interrupted_while_the_first_seed_is_given_out_ends_its_workers() -> None:
    """They exist by then, and nobody has heard yet that they have work."""
    script = (
        "import concurrent.futures as pools, sys\n"
        "submit = pools.ProcessPoolExecutor.submit\n"
        "def interrupted(*given):\n"
        "    submit(*given)\n"
        "    raise KeyboardInterrupt\n"
        "pools.ProcessPoolExecutor.submit = interrupted\n"
        "from coordnode.__main__ import main\n"
        f"sys.argv[1:] = {COMMAND[3:]!r}\n"
        "sys.exit(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, process_group=0) as parent:
        try:
            assert parent.wait(timeout=300) == 130
        finally:
            with suppress(ProcessLookupError):
                os.killpg(parent.pid, signal.SIGKILL)


def test_workers_tell_the_same_as_one_process() -> None:
    command = [sys.executable, "-m", "coordnode", "simulate", "--seeds", "3-4", "--seconds", "2", "--trace-hash", "--shrink", "0"]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    told = [subprocess.run([*command, "--jobs", jobs], env=environment, capture_output=True, text=True, check=True) for jobs in ("1", "2")]
    traces = [[line for line in one.stdout.splitlines() if line.startswith("trace ")] for one in told]
    assert len(traces[0]) == 2
    assert traces[0] == traces[1]
