"""What is wrong with a cluster of another engine: each thing that its members may say, beside one with which nothing is wrong."""

from typing import Any

import pytest

from coordctl.facts.foreign import Said
from coordctl.facts.foreign_diagnosis import MIB, Member, Patient, findings
from coordctl.facts.judgement import CRITICAL, WARNING

NAMES = ("n1", "n2", "n3")
KNOWN = tuple(Member(name, f"{name}:2379", True) for name in NAMES)
WELL = {"tickTime": "2000", "minSessionTimeout": "4000"}


def patient(number: int, **changes: Any) -> Patient:
    name = NAMES[number]
    said = Said(name, leads=number == 0, applied=5_000, voters=3)
    sizes = (10 * MIB, 12 * MIB, 2_048 * MIB, 40, 20_000)
    return Patient(said, "etcd", "3.4.23", True, name, "7", KNOWN, (), *sizes, WELL, "", (3, 17))._replace(**changes)


def told(*changes: dict[str, Any]) -> list[tuple[int, str, str, str]]:
    patients = [patient(number, **(changes[number] if number < len(changes) else {})) for number in range(3)]
    return [(one.level, one.check, one.host, one.sentence) for one in findings(patients)]


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "level", "check", "host", "words"),
    [
        ([{"version": "3.5.1"}], WARNING, "version", "", "members are of 2 versions: n2, n3 3.4.23; n1 3.5.1"),
        ([{}, {"said": Said("n2", applied=3_999, voters=3)}], WARNING, "lag", "n2", "n2 is 1,001 entries behind the leader"),
        ([{"cluster": "8"}], CRITICAL, "members", "", "the members that are named are of 2 clusters: n2, n3 of 7; n1 of 8"),
        ([{}, {}, {"digest": (3, 18)}], CRITICAL, "digest", "n3", "data differ as of one revision: n3 from the others"),
        ([{"digest": None}, {}, {"digest": (3, 18)}], CRITICAL, "digest", "", "data differ as of one revision: n2, n3 from each other"),
        ([{"alarms": (("NOSPACE", "n1"),)}], CRITICAL, "alarm", "n1", "n1 has raised NOSPACE: no space is left by its quota"),
        ([{"alarms": (("CORRUPT", "n1"),)}], CRITICAL, "alarm", "n1", "n1 has raised CORRUPT: its data are not those of the others"),
        ([{"file_bytes": 1_700 * MIB, "used_bytes": 1_600 * MIB}], WARNING, "space", "n1", "n1's data take 1700.0 of at most 2048.0 MiB"),
        ([{"file_bytes": 500 * MIB}], WARNING, "space", "n1", "n1's data take 500.0 of at most 2048.0 MiB, and 10.0 of it are used"),
        ([{"files_max": 512}], WARNING, "files", "n1", "n1 may open 512 files, and has 40"),
        ([{"files_used": 19_000}], WARNING, "files", "n1", "n1 may open 20000 files, and has 19000"),
        ([{"is_voter": False}], WARNING, "members", "n1", "n1 is a learner: it follows, and does not count"),
        ([{"settings": {**WELL, "syncLimit": "3"}}] + 2 * [{"settings": {**WELL, "syncLimit": "5"}}], WARNING, "settings", "n1", "n1 has"),
        (3 * [{"settings": {**WELL, "minSessionTimeout": "3999"}}], WARNING, "lease", "n1", "n1 grants leases of 3999 ms, and a lock"),
        (3 * [{"unsaid": "conf is not there"}], WARNING, "settings", "", "not all of n1, n2, n3 could be looked at: conf is not there"),
        ([{"said": Said("n1", "fell silent")}], WARNING, "members", "", "n1 does not answer: fell silent"),
    ],
)
def test_what_is_wrong_is_found(changes: list[dict[str, Any]], level: int, check: str, host: str, words: str) -> None:
    found = told(*changes)
    assert [(one[0], one[1], one[2]) for one in found if one[3].startswith(words)] == [(level, check, host)], found


def test_who_is_not_named_and_who_never_started_is_told_by_the_others() -> None:
    more = {"known": (*KNOWN, Member("n4", "n4:2379", True), Member("", "n5:2380", False))}
    found = [sentence for _, _, _, sentence in told(more, more, more)]
    assert "only 3 of 5 members are named, and the others were not asked: n4 (n4:2379)" in found
    assert "a member at n5:2380 was added and never started" in found
    assert any(sentence.startswith("4 members vote: no more of them may be lost than of 3") for sentence in found)


def test_of_data_that_were_not_compacted_alike_nothing_is_told() -> None:
    assert told({}, {}, {"digest": (4, 18)}) == []


def test_an_observer_of_zookeeper_is_meant_to_be_one() -> None:
    known = tuple(Member(str(number), "", number < 4) for number in range(1, 5))
    patients = [patient(number, engine="zookeeper", is_voter=number < 2, member=str(number + 1), known=known[:3]) for number in range(3)]
    assert findings(patients) == []
