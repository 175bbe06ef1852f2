"""What is said of a member's end: a sentence for what may happen, a trace for bugs."""

from coordnode.errors import DiskFailed
from coordnode.node.ending import FAILED, ending_of


def test_memory_that_ends_is_no_bug_and_has_its_remedy() -> None:
    event, told, outcome = ending_of(MemoryError(), alone=False)
    assert (event, told["trace"], outcome.kind) == ("failed", "", FAILED)
    assert "MemoryMax=" in outcome.sentence


def test_a_disk_says_what_it_is_and_a_bug_shows_its_trace() -> None:
    assert ending_of(DiskFailed("cannot write"), alone=False)[2].sentence == "cannot write"
    sentence = ending_of(KeyError("x"), alone=False)[2].sentence
    assert sentence.startswith("a bug: KeyError: 'x'\n")
