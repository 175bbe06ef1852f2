"""`wait`: asks again and again until a cluster is as it should be, or a lock is free, or the time is over."""

import os
import time
from collections.abc import Callable, Sequence

from coordctl.facts import judgement
from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import COORDNODE, Chosen, Endpoint
from coordctl.operations import engines, statuses
from coordctl.results.status import Waited
from coordnode.client.sync import connect
from coordnode.errors import BadRequest, CoordError

ASK_SECONDS_MAX = 2.0
LOOK_SECONDS_MIN = 0.5  # the last look, too, is worth its answer
PAUSE_SECONDS = 0.05

Look = Callable[[float], tuple[bool, str]]  # within so many seconds: whether it is so, and how it is now


def wait(condition: str, chosen: Chosen, timeout_seconds: float) -> Waited:
    look = _look_for(condition, chosen)
    began = time.monotonic()
    while True:
        left = timeout_seconds - (time.monotonic() - began)
        is_reached, now = look(max(LOOK_SECONDS_MIN, min(left, ASK_SECONDS_MAX)))
        if is_reached or left <= PAUSE_SECONDS:
            return Waited(
                outcome="reached" if is_reached else "not reached",
                exit_code=0 if is_reached else 1,
                condition=condition,
                now=now,
                elapsed_ms=int((time.monotonic() - began) * 1000),
            )
        time.sleep(PAUSE_SECONDS)


def _look_for(condition: str, chosen: Chosen) -> Look:
    """Raises BadRequest. An empty value is what a variable that is not set leaves behind, and would be so at once, whatever is meant."""
    name, equals, value = condition.partition("=")
    if equals and not value:
        raise BadRequest(
            f"{condition!r} says nothing behind its =: is a variable not set? Give {name}=VALUE" + (", or leader" * (name == "leader"))
        )
    if name == "members" and not (value.isdecimal() and int(value) > 0):
        raise BadRequest(f"{condition!r}: members=N wants a whole number above 0")
    if chosen.engine != COORDNODE:
        return _look_elsewhere(condition, chosen)
    endpoints = chosen.endpoints
    if name == "unlocked" and value:
        return lambda seconds: _lock(endpoints, os.fsencode(value), seconds)
    is_so = _judge(condition)

    def look(seconds: float) -> tuple[bool, str]:
        facts = statuses.of_cluster(endpoints, seconds)
        return is_so(facts), _now(facts)

    return look


def _look_elsewhere(condition: str, chosen: Chosen) -> Look:
    name, _, value = condition.partition("=")
    if name not in ("healthy", "leader", "members"):
        raise BadRequest(f"{condition!r} is not known of {chosen.engine}: give healthy, leader, leader=NAME or members=N")

    def look(seconds: float) -> tuple[bool, str]:
        found = engines.status(chosen, seconds)
        well = sum(one.state == "ok" for one in found.members)
        now = f"{well} of {len(found.members)} members are well, {found.leader or 'nobody'} leads"
        if name == "members":
            return well >= int(value), now
        if name == "leader":
            return found.leader == value if value else bool(found.leader), now
        return found.judgement == judgement.WORDS[judgement.OK], now

    return look


def _judge(text: str) -> Callable[[ClusterFacts], bool]:
    name, equals, value = text.partition("=")
    if name == "healthy" and not equals:
        return lambda facts: judgement.level(judgement.findings(facts)) == judgement.OK
    if name == "leader":
        return lambda facts: facts.leader_name == value if equals else facts.leader_status is not None and facts.can_lose() >= 0
    if name == "members":
        return lambda facts: sum(facts.state(one) == "ok" for one in facts.members) >= int(value)
    if name == "version" and value:
        return lambda facts: all(one.status is not None and one.status["version"] == value for one in facts.members)
    raise BadRequest(f"{text!r} is no condition: give healthy, leader, leader=NAME, members=N, version=V or unlocked=NAME")


def _now(facts: ClusterFacts) -> str:
    well = sum(facts.state(one) == "ok" for one in facts.members)
    leads = f"{facts.leader_name} leads" if facts.leader_name else "nobody leads"
    return f"{well} of {len(facts.members)} members are well, {leads}"


def _lock(endpoints: Sequence[Endpoint], name: bytes, seconds: float) -> tuple[bool, str]:
    """Free, as the cluster itself confirms: nobody holds it, and nobody is served before whoever asks next."""
    shown = name.decode(errors="replace")
    try:
        with connect([one.address for one in endpoints], timeout=seconds) as cluster:
            view = cluster.locks.view(name)
    except CoordError as error:
        return False, error.sentence
    if view.lock is None:
        return True, f"nobody holds {shown}"
    holders = ", ".join(holder.owner or f"session {holder.session}" for holder in view.holders) or "nobody yet"
    return False, f"{shown} is held by {holders}, {len(view.waiters)} waiting"
