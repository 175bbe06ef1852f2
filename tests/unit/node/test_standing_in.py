"""A learner takes a silent voter's place: when, whose, and when not."""

import pytest

from coordnode.ids import Index, MemberId
from coordnode.node.standing_in import HERE_MS, LOOK_MS, Change, Peer, Silence, StandingIn
from coordnode.node.telemetry import Telemetry
from coordnode.raft.entry import Config
from tests.unit.replica.trio import Trio

US = MemberId(1)
AFTER_MS = 60_000
CONTACTS = tuple((MemberId(member), f"h{member}:1") for member in (1, 2, 3, 4, 5))


def config(voters: tuple[int, ...] = (1, 2, 3), learners: tuple[int, ...] = (4, 5), outgoing: tuple[int, ...] = ()) -> Config:
    return Config(
        voters=tuple(map(MemberId, voters)),
        outgoing=tuple(map(MemberId, outgoing)),
        learners=tuple(map(MemberId, learners)),
        contacts=CONTACTS,
    )


def peers(silent: tuple[int, ...] = (), behind: tuple[int, ...] = ()) -> dict[MemberId, Peer]:
    return {MemberId(member): Peer(member not in silent, Index(100 + member), member not in behind) for member in (2, 3, 4, 5)}


class Watched:
    def __init__(self) -> None:
        self.silence = Silence(AFTER_MS)
        self.now_ms = 0

    def look(
        self,
        for_ms: int,
        *,
        silent: tuple[int, ...] = (),
        behind: tuple[int, ...] = (),
        drained: tuple[int, ...] = (),
        now: Config | None = None,
    ) -> Change | None:
        """For so long, all the while; the first that comes of it."""
        until_ms = self.now_ms + for_ms
        while self.now_ms < until_ms:
            self.now_ms += LOOK_MS
            assert self.silence.is_due(self.now_ms)
            found = self.silence.look(self.now_ms, US, now or config(), peers(silent, behind), [MemberId(one) for one in drained])
            if found is not None:
                return found
        return None


def test_a_voter_that_is_silent_for_long_enough_becomes_a_learner_and_the_best_learner_a_voter() -> None:
    watched = Watched()
    assert watched.look(10_000) is None
    assert watched.look(AFTER_MS - LOOK_MS, silent=(3,)) is None
    found = watched.look(LOOK_MS, silent=(3,))
    assert found == Change(MemberId(3), MemberId(5), AFTER_MS, config((1, 2, 5), (3, 4)))


def test_one_that_is_heard_in_between_counts_anew() -> None:
    watched = Watched()
    assert watched.look(AFTER_MS - LOOK_MS, silent=(3,)) is None
    assert watched.look(LOOK_MS) is None
    assert watched.look(AFTER_MS - LOOK_MS, silent=(3,)) is None


@pytest.mark.parametrize(
    "said",
    [
        {"silent": (3,), "behind": (4, 5)},
        {"silent": (3, 4), "behind": (5,)},
        {"silent": (3,), "drained": (4, 5)},
        {"silent": (3,), "drained": (3,)},
        {"silent": (3,), "now": config((1, 2, 3), ())},
        {"silent": (3,), "now": config((1, 2, 4), (5,), outgoing=(1, 2, 3))},
        {"silent": (2, 3)},  # no majority is here: whoever leads is about to know that it does not
        {"silent": (4,)},  # a learner is not missed
    ],
)
def test_nobody_takes_its_place_where(said: dict[str, object]) -> None:
    assert Watched().look(3 * AFTER_MS, **said) is None  # type: ignore[arg-type]


def test_a_pause_of_the_leaders_own_and_a_time_without_the_lead_are_nobodys_silence() -> None:
    watched = Watched()
    watched.look(AFTER_MS - LOOK_MS, silent=(3,))
    watched.now_ms += HERE_MS + AFTER_MS
    assert watched.look(AFTER_MS - LOOK_MS, silent=(3,)) is None
    watched.silence.forget()
    assert watched.look(AFTER_MS - LOOK_MS, silent=(3,)) is None


def test_of_two_silent_voters_the_one_that_is_silent_longer_goes_first() -> None:
    watched = Watched()
    five = config((1, 2, 3, 6, 7), (4, 5))
    everybody = {**peers(), MemberId(6): Peer(True, Index(9), True), MemberId(7): Peer(True, Index(9), True)}
    gone = Peer(False, Index(9), True)
    found: list[Change] = []
    while not found:
        watched.now_ms += LOOK_MS
        seen = {**everybody, MemberId(3): gone} | ({MemberId(2): gone} if watched.now_ms > 2 * LOOK_MS else {})
        change = watched.silence.look(watched.now_ms, US, five, seen, [])
        found += [change] if change is not None else []
    assert (found[0].voter, found[0].learner) == (3, 5)


def test_who_was_heard_before_the_leaders_last_check_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def look(_: Silence, now_ms: int, us: MemberId, now: Config, peers: dict[MemberId, Peer], drained: list[MemberId]) -> None:
        seen.extend(peer.is_heard for peer in peers.values())

    monkeypatch.setattr(Silence, "look", look)
    trio = Trio()
    leader = trio.replicas[trio.leader()]
    standing_in = StandingIn(leader, Telemetry(lambda _: None, lambda: 0), lambda: 0, AFTER_MS)
    while leader.raft.quorum_elapsed < leader.raft.timing.election_ticks_min - 1:
        trio.tick()
    leader.raft.tick()
    standing_in.on_tick()
    assert seen == [True, True]
