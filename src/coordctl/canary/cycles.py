"""Whether an election and a queue kept their promises, by what was seen of them while nobody else used them. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from coordctl.canary.samples import FAILED, OK, WRONG


class Announced(NamedTuple):
    """Who leads, as it was told to whoever observes."""

    revision: int
    token: int = 0  # nobody leads
    value: str = ""


class Taken(NamedTuple):
    """A task, as it was handed out."""

    task: int
    token: int
    payload: str


def judge_election(newest: int, won: Announced, announced: Sequence[Announced]) -> tuple[str, str]:
    """(outcome, what is not as it should be) of what was told from before `won` (without revision) until its leader resigned.

    `newest`: the token of the round before.
    """
    if won.token <= newest:
        return WRONG, f"token {won.token} was won after {newest}"
    for before, after in pairwise(announced):
        if after.revision <= before.revision:
            return WRONG, f"told of revision {after.revision} after {before.revision}"
    leaders = [one for one in announced if one.token]
    # Who gave up waiting in an earlier round may have led for a moment: before us, with a lower token.
    for one in leaders:
        if one.token > won.token or (one.token == won.token and one.value != won.value):
            return WRONG, f"announced token {one.token} with {one.value!r}, although token {won.token} had won with {won.value!r}"
    if not leaders or leaders[-1].token != won.token:
        return FAILED, f"token {won.token} had won, and was not announced in time"
    if announced[-1].token:
        return FAILED, f"token {won.token} had resigned, and that was not announced in time"
    return OK, ""


def judge_leader(newest: int, won: Announced, seen: Announced, later: Announced) -> tuple[str, str]:
    """(outcome, what is not as it should be) of what another read while it led, and after it had resigned. Nobody else stands."""
    if won.token <= newest:
        return WRONG, f"token {won.token} was won after {newest}"
    if (seen.token, seen.value) != (won.token, won.value):
        found = f"token {seen.token} with {seen.value!r}" if seen.token else "nobody"
        return WRONG, f"token {won.token} had won with {won.value!r}, and who was read to lead was {found}"
    if later.token == won.token:
        return WRONG, f"token {won.token} had resigned, and was read to lead"
    return OK, ""


def judge_queue(newest: int, put: Taken, taken: Sequence[Taken], again: Sequence[Taken], left: int) -> tuple[str, str]:
    """(outcome, what is not as it should be) of one task put (without token), taken, asked for again while it was held, and acknowledged.

    `newest`: the token of the round before. `left`: how many tasks there were at last.
    """
    if not taken:
        return WRONG, f"task {put.task} was put, and could not be taken"
    if [(one.task, one.payload) for one in taken] != [(put.task, put.payload)]:
        found = ", ".join(f"{one.task} with {one.payload!r}" for one in taken)
        return WRONG, f"task {put.task} was put with {put.payload!r}, and what could be taken was {found}"
    if taken[0].token <= newest:
        return WRONG, f"token {taken[0].token} was handed out after {newest}"
    if again:
        return WRONG, f"task {again[0].task} was handed out again while it was held"
    if left:
        return WRONG, f"task {put.task} was acknowledged, and {left} {'is' if left == 1 else 'are'} left"
    return OK, ""
