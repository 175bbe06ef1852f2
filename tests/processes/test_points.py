"""A real member killed, torn and failed at calls that touch its disk, and robbed of its power there. This is a share of
`python -m tests.processes.points`, which takes every call; COORD_LONG=1 takes them here, too."""

from collections.abc import Callable, Iterator

import pytest

from tests.door import IS_LONG
from tests.processes.points.campaign import WAYS, Campaign, points_of
from tests.processes.points.story import OPERATIONS

SHARE = 1  # lives of each way


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    made = Campaign(tmp_path_factory.mktemp("points"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def calls(campaign: Campaign) -> dict[int, int]:
    return campaign.count()


@pytest.mark.parametrize("name", WAYS)
def test_no_promise_is_broken_wherever_a_life_is_cut(
    name: str, campaign: Campaign, calls: dict[int, int], figure: Callable[[str], None]
) -> None:
    points = points_of(name, calls)
    stride = 1 if IS_LONG else points // SHARE
    # Each way at another place, and in the first half: how many calls a life has differs from life to life.
    begin = 1 if IS_LONG else 1 + [*WAYS].index(name) * stride // len(WAYS) // 2
    found = campaign.cut(name, range(begin, points + 1, stride))
    assert not found.broken, "\n".join(found.broken)
    assert found.cut, "no life was cut: nothing was shown"
    assert not WAYS[name].power or found.lost[0], "the disk forgot nothing: nothing was shown"
    figure(f"{name}: a life of 200 operations cut at {found.cut} of {points} calls")


@pytest.mark.parametrize("lies_from", [OPERATIONS, 70], ids=["synced", "not synced"])
def test_an_acknowledgement_before_the_sync_is_found_out(campaign: Campaign, calls: dict[int, int], lies_from: int) -> None:
    """That the check above can fail."""
    found = campaign.cut("power", [points_of("power", calls) * 2 // 3], lies_from=lies_from)
    assert bool(found.broken) == (lies_from < OPERATIONS), found
