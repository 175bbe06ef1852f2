"""What a running member answers is what its OpenAPI document says, for requests drawn from that document.

COORD_LONG=1 draws a thousand for each operation instead of a few.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from coordnode.api.table import ROUTES
from tests.door import IS_LONG
from tests.processes.members import Cluster

HERE = Path(__file__).resolve().parent

installed = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="schemathesis is not installed (pip install 'coordctl[dev]'): requests drawn from the document are left out",
)


@installed
def test_answers_are_as_the_document_says(single: Cluster, tmp_path: Path) -> None:
    single.start()
    single.wait_ready()
    one = single.members[1]
    command = [
        sys.executable,
        "-c",
        "from schemathesis.cli import schemathesis; schemathesis()",
        "--config-file",
        str(HERE / "schemathesis.toml"),
        "--no-color",
        "run",
    ]
    command += [f"http://{one.address[0]}:{one.address[1]}/v1/openapi.json", "--phases", "coverage,fuzzing"]
    command += ["--max-examples", "1000" if IS_LONG else "5", "--continue-on-failure", "--seed", "1"]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3600 if IS_LONG else 300, check=False
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[:8000]
    assert said.count(f"{len(ROUTES)} passed") == 2, "both phases reach every route"
    assert not one.events("bug")
