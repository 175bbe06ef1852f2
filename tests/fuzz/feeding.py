"""Feeds one decoder and holds what it promises: a value or a named error, and memory that comes back."""

import gc
import random
import sys
from collections import Counter
from typing import NamedTuple

from coordnode.errors import CoordError
from tests.fuzz.decoders import DECODERS
from tests.fuzz.mutate import mutated

BLOCKS_KEPT_MAX = 20_000  # allocations that may be alive afterwards: caches fill up, but do not follow the number of inputs


class Fed(NamedTuple):
    accepted: int  # mutated into something else that is right
    refused: Counter[str]  # by the name of the error


def feed_decoder(name: str, inputs: int, seed: int) -> Fed:
    seeds, decode = DECODERS[name]
    for one in seeds:
        decode(one)
    rng = random.Random(f"{name}/{seed}")
    accepted = 0
    refused: Counter[str] = Counter()
    gc.collect()
    blocks = sys.getallocatedblocks()
    for number in range(inputs):
        data = mutated(rng, seeds)
        try:
            decode(data)
            accepted += 1
        except CoordError as error:
            refused[type(error).__name__] += 1
        except BaseException as error:
            raise AssertionError(f"decoder {name}, input {number} of seed {seed}: {type(error).__name__} for {data!r}") from error
    gc.collect()  # what points at itself waits for this, and does not count as kept
    kept = sys.getallocatedblocks() - blocks
    assert kept < BLOCKS_KEPT_MAX, f"decoder {name}: {kept} allocations are still alive after {inputs} inputs"
    return Fed(accepted, refused)
