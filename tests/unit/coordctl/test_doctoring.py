"""doctor, of some hosts and of some checks only."""

import pytest

from coordctl.operations.doctoring import narrowed
from coordctl.results.doctor import Diagnosed
from coordctl.results.status import Finding


def found(host: str, check: str, sentence: str, level: str = "warning") -> Finding:
    return Finding(level=level, sentence=sentence, remedy="see to it", host=host, check=check)


EVERYTHING = Diagnosed(
    outcome="critical",
    exit_code=2,
    cluster="payments",
    about="payments",
    findings=[
        found("", "quorum", "only 1 of 3 voters are well", "critical"),
        found("n1", "ways", "n1 does not reach n3 at its member's port"),
        found("n2", "disk", "n2 has 12 MiB of disk left"),
        found("n3", "drain", "n3 is drained by ops@web1", "ok"),
        found("n33", "disk", "n33 has 12 MiB of disk left"),
    ],
    answered=1,
    members=3,
    examined=3,
    hosts=4,
    names=["n1", "n2", "n3", "n33"],
    elapsed_ms=7,
)


@pytest.mark.parametrize(
    ("hosts", "checks", "kept", "code", "about"),
    [
        ((), (), ["quorum", "ways", "disk", "drain", "disk"], 2, "payments"),
        (("n3",), (), ["ways", "drain"], 1, "n3 of payments"),
        (("n2", "n33"), (), ["disk", "disk"], 1, "n2, n33 of payments"),
        ((), ("quorum", "ways"), ["quorum", "ways"], 2, "payments"),
        (("n3",), ("drain",), ["drain"], 0, "n3 of payments"),
        (("n2",), ("clock",), [], 0, "n2 of payments"),
    ],
)
def test_only_what_was_asked_for_is_told_and_judged(
    hosts: tuple[str, ...], checks: tuple[str, ...], kept: list[str], code: int, about: str
) -> None:
    told = narrowed(EVERYTHING, hosts, checks)
    assert ([one.check for one in told.findings], told.exit_code, told.about) == (kept, code, about)
