"""What runner and guard tell each other arrives whole, in order, and also from one that is gone."""

from coordctl.runner import words


def test_words_arrive_in_any_pieces() -> None:
    ours, theirs = words.pair()
    said = [(words.GO, {"COORD_LOCK": "x\udcff"}, -1), (words.LEFT, [(1, "sleep")]), (words.GONE, 5), (words.FAILED, "x" * 100_000)]
    for word in said[:3]:
        theirs.tell(*word)
    assert ours.receive() == said[:3]
    assert ours.receive() == []
    theirs.tell(*said[3])
    heard = [word for _ in range(9) for word in ours.receive()]
    assert heard == said[3:]
    ours.close()
    theirs.close()


def test_the_last_words_of_one_that_is_gone_are_heard_whoever_spoke_to_it_since() -> None:
    ours, theirs = words.pair()
    theirs.tell(words.EXITED, 0, 5)
    theirs.tell(words.GONE, 5)
    theirs.close()
    ours.tell(words.SIGNAL, 15)
    assert not ours.is_closed
    assert ours.receive() == [(words.EXITED, 0, 5), (words.GONE, 5)]
    assert ours.receive() == []
    assert ours.is_closed
    ours.close()
