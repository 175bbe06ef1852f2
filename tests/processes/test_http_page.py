"""docs/http.md, typed word for word against a member; nothing may differ."""

import re
import shutil
import subprocess

import pytest

from tests.processes.members import Cluster
from tests.processes.test_readme import BLOCK, ROOT, steps

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl on PATH")


@curl
def test_every_command_prints_what_the_page_says(single: Cluster) -> None:
    single.start()
    single.wait_ready()
    address = single.members[1].address
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    typed = [step for _, text in BLOCK.findall(page) for step in steps(text)]
    assert len(typed) > 15
    for command, expected in typed:
        done = subprocess.run(
            ["bash", "-c", with_json(command)],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "MEMBER": f"{address[0]}:{address[1]}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert done.stdout.decode().strip() == expected.strip(), command


def with_json(command: str) -> str:
    """An older curl does not know --json yet."""
    return re.sub(r"--json ('[^']*')", r"-H 'Content-Type: application/json' --data-binary \1", command)
