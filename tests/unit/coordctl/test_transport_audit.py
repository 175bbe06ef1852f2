"""What was done on hosts is written down, whatever it is called."""

import json
from pathlib import Path

from coordctl.transport.audit import Audit


def test_a_reason_that_is_no_text_is_written_down_too(tmp_path: Path) -> None:
    Audit(str(tmp_path), "prod", "deploy", "for grüße \udcff").note("n1", "run")
    (line,) = (tmp_path / "prod.jsonl").read_bytes().splitlines()
    assert json.loads(line)["reason"] == "for grüße \udcff"
    assert "grüße".encode() in line, "for a person, too"
