"""A share of the fuzzing with every test run; COORD_FUZZ_INPUTS makes it longer."""

import os
import random
from contextlib import suppress

import pytest

from coordnode.errors import CoordError, FrameError
from tests.fuzz.coverage import corpus_of
from tests.fuzz.decoders import DECODERS, SLOW
from tests.fuzz.feeding import feed_decoder
from tests.fuzz.mutate import mutated

INPUTS = int(os.environ.get("COORD_FUZZ_INPUTS", "2000"))


@pytest.mark.parametrize("name", DECODERS)
def test_a_named_error_or_a_value(name: str) -> None:
    inputs = INPUTS // SLOW.get(name, 1)
    fed = feed_decoder(name, inputs, seed=1)
    assert fed.accepted + fed.refused.total() == inputs
    assert fed.refused.total() > inputs // 10, "hardly anything is refused: the mutations do not reach this decoder"


@pytest.mark.parametrize("name", DECODERS)
def test_what_coverage_guided_fuzzing_kept_is_replayed(name: str) -> None:
    """`python -m tests.fuzz --coverage-guided` keeps what reached something new."""
    corpus = corpus_of(name)
    assert corpus
    decode = DECODERS[name][1]
    for data in corpus:
        with suppress(CoordError):
            decode(data)


def test_an_unnamed_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes) -> object:
        if data == b"good":
            return None
        raise FrameError("no") if data[:1] == b"g" else KeyError(data)

    monkeypatch.setitem(DECODERS, "careless", ([b"good"], careless))
    with pytest.raises(AssertionError, match="KeyError"):
        feed_decoder("careless", 200, seed=1)


def test_kept_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    monkeypatch.setitem(DECODERS, "hoarder", ([b"good"], lambda data: kept.extend([bytearray(data) for _ in range(200)])))
    with pytest.raises(AssertionError, match="still alive"):
        feed_decoder("hoarder", 200, seed=1)


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second = random.Random(7), random.Random(7)
    assert [mutated(first, [b"abcdef"]) for _ in range(100)] == [mutated(second, [b"abcdef"]) for _ in range(100)]
