"""How one member of etcd is."""

from typing import Any

from coordctl.engines.etcd.asking import Asking
from coordctl.engines.etcd.gateway import Ask
from coordctl.engines.looking import LEADER, LEARNER, NO_LEADER, VOTER, Look
from coordctl.local.clusters import Endpoint
from coordnode.errors import CoordError


def look(endpoint: Endpoint, seconds: float) -> Look:
    one = Asking([endpoint.address], round(seconds * 1000))
    try:
        status = one.once(Ask("maintenance/status", {}), endpoint.address)
        members = one.once(Ask("cluster/member/list", {}), endpoint.address)
    except CoordError as error:
        return Look(endpoint.address, endpoint.name, error.sentence)
    own = int(status["header"]["member_id"])
    known: list[dict[str, Any]] = members.get("members", [])
    name = endpoint.name or next((one.get("name", "") for one in known if int(one["ID"]) == own), "")
    role = LEARNER if status.get("isLearner") else LEADER if int(status.get("leader", 0)) == own else VOTER
    alarms = tuple(status.get("errors", ()))
    if not int(status.get("leader", 0)):
        alarms = (*alarms, NO_LEADER)
    return Look(
        endpoint.address,
        name,
        role=role,
        version=status.get("version", ""),
        term=int(status.get("raftTerm", 0)),
        applied=int(status.get("raftAppliedIndex", status.get("raftIndex", 0))),
        alarms=alarms,
        voters=sum(not one.get("isLearner") for one in known),
    )
