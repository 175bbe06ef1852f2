"""Each check of the cluster lets right behaviour pass and names the first thing that is wrong."""

from collections.abc import Callable

import pytest

from coordnode.checking.cluster import CommittedEntries, LogMatching, OneLeaderPerTerm, StateAgreement, TokensIncrease
from coordnode.errors import PromiseBroken


def broken(name: str, sentence: str, observe: Callable[[], object]) -> None:
    with pytest.raises(PromiseBroken, match=sentence) as found:
        observe()
    assert found.value.check_name == name
    assert found.value.evidence is not None


def test_one_leader_per_term() -> None:
    check = OneLeaderPerTerm()
    for term, member in ((1, 10), (2, 20), (1, 10), (3, 10)):
        check.observe(term, member)
    broken("one-leader-per-term", "members 20 and 30 both lead term 2", lambda: check.observe(2, 30))


def committed() -> CommittedEntries:
    check = CommittedEntries()
    for member in (1, 2, 3):
        for index in range(1, 6):
            check.observe(member, 4, index, 1 + index // 3, f"chain {index}")
    return check


def test_members_agree_on_what_is_committed() -> None:
    check = committed()
    assert check.committed_max == 5
    assert check.entry(5) == (2, "chain 5")
    assert check.entry(6) is None
    both = "entry 3 is committed as term 2 at member 1 and as term 3 at member 2"
    broken("committed-entries", both, lambda: check.observe(2, 4, 3, 3, "x"))
    broken("committed-entries", "with another content", lambda: check.observe(2, 4, 3, 2, "x"))


def test_a_leader_has_all_that_was_committed_before() -> None:
    log = {index: (1 + index // 3, f"chain {index}") for index in range(1, 6)}
    committed().observe_leader(3, 5, 1, 5, log.__getitem__)
    committed().observe_leader(3, 5, 4, 5, {4: log[4], 5: log[5]}.__getitem__)
    committed().observe_leader(3, 5, 6, 5, {}.__getitem__)
    broken(
        "leader-completeness",
        "leads term 5 with a log that ends at 4; 5 was committed",
        lambda: committed().observe_leader(3, 5, 1, 4, log.__getitem__),
    )
    spoilt = {**log, 2: (1, "another")}
    broken("leader-completeness", "another entry 2", lambda: committed().observe_leader(3, 5, 1, 5, spoilt.__getitem__))


def test_a_leader_that_was_overtaken_needs_only_what_came_before_its_term() -> None:
    committed().observe_leader(3, 4, 1, 0, {}.__getitem__)
    check = committed()
    check.observe(1, 9, 6, 8, "chain 6")
    log = {index: (1 + index // 3, f"chain {index}") for index in range(1, 6)}
    check.observe_leader(3, 9, 1, 5, log.__getitem__)
    broken("leader-completeness", "ends at 5; 6 was", lambda: check.observe_leader(3, 10, 1, 5, log.__getitem__))


def test_logs_match() -> None:
    check = LogMatching()
    check.observe(1, 5, 2, b"a")
    check.observe(2, 5, 2, b"a")
    check.observe(2, 5, 3, b"b")
    broken("log-matching", "entry 5 of term 2 differs between members 1 and 3", lambda: check.observe(3, 5, 2, b"c"))
    check.forget_below(6)
    check.observe(3, 5, 2, b"c")


def test_states_agree() -> None:
    check = StateAgreement()
    check.observe(1, 7, 111)
    check.observe(2, 7, 111, dump="d")
    check.observe(1, 7, 111, dump="d")
    broken("state-agreement", "digests of members 1 and 3 differ at index 7", lambda: check.observe(3, 7, 112))
    broken("state-agreement", "states behind equal digests of members 2 and 3", lambda: check.observe(3, 7, 111, dump="e"))
    check.forget_below(8)
    check.observe(3, 7, 112, dump="e")


def test_tokens_increase() -> None:
    def granted() -> TokensIncrease:
        check = TokensIncrease(token_max=1000)
        for index, position, token in ((1, 0, 5), (1, 1, 6), (4, 0, 9), (1, 1, 6), (2, 0, 8)):
            check.observe(index, position, token)
        return check

    broken("tokens-increase", r"token 9 at \(5, 0\) is not above 9", lambda: granted().observe(5, 0, 9))
    broken("tokens-increase", r"at \(1, 1\) has token 6 here and 7 there", lambda: granted().observe(1, 1, 7))
    broken("tokens-increase", r"token 12 at \(3, 0\) is not below 9", lambda: granted().observe(3, 0, 12))
    broken("tokens-increase", "token 1001 at .* is beyond 1000", lambda: granted().observe(6, 0, 1001))
