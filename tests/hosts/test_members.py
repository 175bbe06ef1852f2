"""Members come and go on real hosts: what is said is so, what would leave no spare is refused, and nothing is lost."""

import json
from collections.abc import Iterator

import pytest

from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator

BASE = "/var/lib/coordnode/fleet"
SPARE = 'role = "spare"'


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Three members and a spare."""
    if fleet.why_not():
        pytest.skip(fleet.why_not())
    with Hosts.opened(4, "plain") as hosts:
        made = Operator(tmp_path_factory.mktemp("members"), hosts)
        made.write(host={4: SPARE})
        made.trust()
        made.ctl("deploy")
        yield made
        made.close()


def roles(operator: Operator) -> dict[str, str]:
    found = operator.json("member", "ls", "-c", "fleet")
    return {row["name"]: "voter" if row["role"] == "leader" else row["role"] for row in found["members"]}  # type: ignore[attr-defined]


def runs(operator: Operator, number: int) -> bool:
    return bool(operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False))


def test_a_member_is_added_and_another_removed_and_nothing_is_lost(operator: Operator) -> None:
    operator.ctl("kv", "put", "color", "blue", "-c", "fleet")
    assert roles(operator) == {"n1": "voter", "n2": "voter", "n3": "voter", "n4": "spare"}
    steps = ["make n4 ready, and start its member", "take n4 in as a learner", "wait until n4 has caught up", "make n4 a voter"]
    assert operator.json("member", "add", "n4", "--dry-run", code=1)["steps"] == steps
    added = operator.json("member", "add", "n4")
    assert (added["outcome"], added["steps"], added["can_lose"]) == ("done", [steps[0], steps[1], steps[3]], 1), added
    assert operator.json("member", "add", "n4")["outcome"] == "unchanged"
    assert roles(operator) == {f"n{number}": "voter" for number in (1, 2, 3, 4)}

    removed = operator.json("member", "remove", "n2", "--yes")
    assert removed["outcome"] == "done", removed
    assert roles(operator) == {"n1": "voter", "n2": "none", "n3": "voter", "n4": "voter"}
    assert not runs(operator, 2)
    (aside,) = operator.hosts.run(2, "ls", f"{BASE}/former").split()
    assert operator.hosts.run(2, "ls", f"{BASE}/former/{aside}")
    assert operator.json("member", "remove", "n2", "--yes")["outcome"] == "unchanged"
    assert operator.ctl("kv", "get", "color", "-c", "fleet") == "blue"
    assert operator.json("health", "-c", "fleet")["outcome"] == "ok"


def test_what_one_more_failure_would_turn_into_an_outage_is_refused_with_the_sum(operator: Operator) -> None:
    refused = operator.json("member", "remove", "n4", "--yes", code=76)
    assert (refused["outcome"], refused["risk"], refused["steps"]) == ("refused", "no-spare", [])
    assert str(refused["sentence"]).startswith(
        "nothing was changed: now 3 of 3 voters are well and 2 needed; then 2 of 2 voters are well and 2 needed: one more failure would "
        "be an outage; --accept no-spare --reason TEXT does it all the same"
    )
    assert operator.json("member", "remove", "n4", "--dry-run", code=76)["outcome"] == "refused"
    in_place = operator.json("member", "replace", "n3", code=76)
    assert "n3 is well and would be stopped first: now 3 of 3" in str(in_place["sentence"])


def test_a_member_that_was_removed_comes_back_as_another_and_deploy_knows_who_belongs(operator: Operator) -> None:
    refused = operator.run("deploy")
    assert (refused.returncode, b"n2 is no member of this cluster, which exists: `coordctl member add n2`" in refused.stderr) == (76, True)
    before = json.loads((operator.folder / "fleet.ids.json").read_text())
    operator.ctl("member", "add", "n2", "--learner")
    assert roles(operator)["n2"] == "learner"
    operator.ctl("member", "promote", "n2")
    ids = json.loads((operator.folder / "fleet.ids.json").read_text())
    assert ids["members"]["n2"] not in (before["members"].values(), *map(int, before["former"]))
    (operator.folder / "fleet.ids.json").unlink()
    assert operator.json("deploy")["outcome"] == "unchanged"
    assert json.loads((operator.folder / "fleet.ids.json").read_text())["members"] == ids["members"]
    operator.ctl("member", "demote", "n2")
    operator.ctl("member", "remove", "n2", "--yes")
    operator.ctl("restart", "--rolling")
