"""Risks that were accepted: which ones nobody cleared yet, and clearing one."""

from collections.abc import Sequence

from coordctl.facts.members import ClusterFacts
from coordctl.local.clusters import Endpoint
from coordctl.operations import statuses
from coordctl.operations.noting import Notes
from coordctl.results.risk import AcceptedRisk, RiskCleared, RiskList
from coordnode.errors import BadRequest, Unreachable


def listed(name: str, endpoints: Sequence[Endpoint], seconds: float) -> RiskList:
    facts = statuses.of_cluster(endpoints, seconds)
    risks = [AcceptedRisk(**one._asdict()) for one in facts.accepted()]
    cluster = facts.cluster_name or name
    if not facts.answered:
        return RiskList(outcome="unreachable", exit_code=69, cluster=cluster, risks=[])
    return RiskList(outcome="answered" if risks else "none", exit_code=0 if risks else 1, cluster=cluster, risks=risks)


def cleared(name: str, endpoints: Sequence[Endpoint], risk: str, seconds: float) -> RiskCleared:
    facts = statuses.of_cluster(endpoints, seconds)
    if facts.leader_status is None:
        raise Unreachable(_nobody(facts))
    cluster = facts.cluster_name or name
    accepted = [one.risk for one in facts.accepted()]
    if risk not in accepted:
        if accepted:
            raise BadRequest(f"{risk} is none that was accepted and not cleared; those are: {', '.join(accepted)}")
        return RiskCleared(outcome="unchanged", exit_code=0, cluster=cluster, risk=risk, sentence="no risk was accepted and not cleared")
    Notes(facts).clear(risk)
    return RiskCleared(outcome="done", exit_code=0, cluster=cluster, risk=risk, sentence=f"{risk} is cleared")


def _nobody(facts: ClusterFacts) -> str:
    return "no member leads: see coordctl status" if facts.answered else "no member answers: check -c or --endpoints"
