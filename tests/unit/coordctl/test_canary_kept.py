"""What keeps a canary running is told what it is meant to be told, and whoever asks it is answered while it runs."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from coordctl.canary.judgement import Series, Tally
from coordctl.canary.samples import OK, WRITE, Round, Sample
from coordctl.commands import canary
from coordctl.operations.canary_metrics import Exposed, exposition
from coordctl.operations.canary_service import unit
from tests.processes.members import free_port


def asked(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_metrics_are_told_whatever_is_asked_beside_the_path() -> None:
    port = free_port("127.0.0.1")
    exposed = Exposed(f"127.0.0.1:{port}", lambda: "x 1\n")
    try:
        assert [asked(port, path) for path in ("/metrics", "/metrics?x=1", "/metric")] == [200, 200, 404]
    finally:
        exposed.close()


class Shown(str):
    """A member's name; while it is told, the run meets another member."""

    tally: Tally

    def __format__(self, said: str) -> str:
        self.tally.series[(WRITE, f"met {len(self.tally.series)}")] = Series()
        return str(self)


def test_a_run_that_goes_on_meanwhile_is_told_of() -> None:
    tally = Shown.tally = Tally()
    tally.add(Round((Sample(WRITE, Shown("n1"), OK, 1.0), Sample(WRITE, "n2", OK, 1.0)), ()), 1)
    assert 'coordctl_canary_samples_total{probe="write",member="n2"} 1\n' in exposition(tally)


def test_a_unit_says_what_was_typed_and_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORD_CLUSTER", '50%n "x" \\ $HOME')
    text = unit("c", ["--endpoints", "10.0.0.1:7101,10.0.0.2:7101", "--fail-on", "1%", "--name", 'a b"$x'], of_root=True)
    assert 'Environment="COORD_CLUSTER=50%%n \\"x\\" \\\\ $HOME"\n' in text
    assert '--endpoints 10.0.0.1:7101,10.0.0.2:7101 --fail-on "1%%" --name "a b\\"$$x" --quiet\n' in text


def test_a_report_that_cannot_be_written_is_told_before_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    where = tmp_path / "none" / "report.xml"
    assert canary.main(["run", "--endpoints", "127.0.0.1:1", "--count", "1", "--timeout", "1s", "--junit", str(where)]) == 64
    assert f"--junit {where} cannot be written" in capfd.readouterr().err
