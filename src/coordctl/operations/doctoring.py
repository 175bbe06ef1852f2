"""`doctor`: what members say, what their hosts are like, how far a client gets from here; all asked at once, judged by `facts`."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from coordctl.facts import diagnosis, judgement, reaching
from coordctl.facts.diagnosis import Certificate, Patient
from coordctl.facts.examined import Examined, parse, question_text
from coordctl.facts.judgement import OK, UNKNOWN, WARNING, Finding
from coordctl.facts.members import ClusterFacts
from coordctl.inventory.model import Host, Inventory
from coordctl.local import fleet as here
from coordctl.local.clusters import Endpoint, LocalCluster, host_and_port
from coordctl.operations import reaching as ways
from coordctl.operations import status, statuses
from coordctl.results.doctor import Diagnosed
from coordctl.transport.base import HostFailed, Script, Transport
from coordnode import __version__
from coordnode.client import tls
from coordnode.errors import BadRequest

ASK_SECONDS = 2.5
WAY_SECONDS = (1.5, 4.0)  # from host to host: of the first try and of the second, since a busy machine stalls now and then
EXAMINE_SECONDS = 40.0
GATE_CHECKS = frozenset(
    {"service", "process", "port", "answers"}
)  # where one of these is found, that the member does not answer is no news

Say = Callable[[str], None]


class Looked(NamedTuple):
    """At one host, and when, by our clock."""

    examined: Examined
    offset_ms: float
    offset_error_ms: float


def examine(transport: Transport, said: Mapping[str, object]) -> Looked:
    asked = time.time_ns()
    ran = transport.run(Script("examine", question_text(dict(said))), EXAMINE_SECONDS)
    answered = time.time_ns()
    if ran.code == 3:
        raise HostFailed(transport.host, "failed", "it has no Python of 3.11 or newer, and its member needs one")
    try:
        found = parse(ran.stdout)
    except ValueError:
        raise HostFailed(transport.host, "failed", f"it did not answer what it is like: {ran.last_words()}") from None
    error_ms = max(0.0, (answered - asked) / 1e6 - found.since_ms) / 2  # it told its time somewhere before all the rest
    return Looked(found, (found.unix_ns - asked) / 1e6 - error_ms, error_ms)


def of_fleet(inventory: Inventory, say: Say) -> Diagnosed:
    from coordctl.operations import identities
    from coordctl.operations.certificates import authority_of, become_operator
    from coordctl.operations.fleet import Fleet
    from coordctl.steps.member import ACCOUNT, service_of

    began = time.monotonic()
    ids = identities.written(inventory)
    hosts = identities.hosts_of(inventory, ids)
    become_operator(inventory)
    fleet = Fleet(inventory, "doctor", "")
    try:
        say(f"examining {len(hosts)} hosts")
        fleet.connect(hosts)

        def said(host: Host) -> dict[str, object]:
            others = {other.name: [other.address, other.port] for other in hosts if other is not host}
            place = {"folder": host.folder, "cluster": inventory.name, "data": "", "mark": "", "port": host.port}
            return {
                **place,
                "service": service_of(inventory.name),
                "account": "",
                "others": others,
                "tls": inventory.tls,
                "seconds": WAY_SECONDS,
            }

        by_name = {host.name: host for host in hosts}

        def look(transport: Transport) -> Looked:
            host = by_name[transport.host]
            user = host.ssh.user or "root"
            account = ACCOUNT if host.ssh.sudo or user == "root" else ""
            return examine(transport, {**said(host), "account": account})

        looked = fleet.at_each(fleet.names(), look, EXAMINE_SECONDS)
        failed = dict(fleet.failed)
    finally:
        fleet.close()
    endpoints = [Endpoint(host.endpoint, ids.members.get(host.name, 0) if ids is not None else 0, host.name) for host in hosts]
    facts = ClusterFacts(statuses.ask(endpoints, ASK_SECONDS))
    answering = {one.name for one in facts.members if one.status is not None}
    authority = authority_of(inventory)
    believed = authority.certificate() if inventory.tls and authority.exists() else b""
    patients = [
        Patient(
            name=name,
            cluster=inventory.name,
            examined=found.examined,
            offset_ms=found.offset_ms,
            offset_error_ms=found.offset_error_ms,
            answers=name in answering,
            certificate=_certificate(found.examined, believed) if inventory.tls else None,
            uri=f"urn:coordnode:member:{ids.members[name]}" if ids is not None and name in ids.members else "",
            member=(ids.cluster, ids.members[name]) if ids is not None and name in ids.members else None,
            now_unix_s=int(time.time()),
            may_use_tls=inventory.tls,
        )
        for name, found in looked.items()
    ]
    found = diagnosis.of_hosts(patients) + [_unseen(name, error, name in answering) for name, error in failed.items()]
    return _diagnosed(inventory.name, facts, found, len(looked), [host.name for host in hosts], began)


def of_local(cluster: LocalCluster, say: Say) -> Diagnosed:
    from coordctl.transport.local import LocalTransport
    from coordctl.transport.pool import on_all

    began = time.monotonic()
    members = cluster.members
    say(f"examining this machine and {len(members)} members")

    def look(name: str) -> Looked:
        member = next(one for one in members if one.name == name)
        others = {other.name: list(host_and_port(other.address)) for other in members if other is not member}
        data = here.data_folder(cluster, member)
        place = {"folder": cluster.folder, "cluster": cluster.name, "data": data, "mark": data, "port": host_and_port(member.address)[1]}
        return examine(
            LocalTransport(name), {**place, "service": "", "account": "", "others": others, "tls": False, "seconds": WAY_SECONDS}
        )

    found = on_all([(member.name, member.name) for member in members], look, EXAMINE_SECONDS)
    looked = {name: one for name, one in found.items() if isinstance(one, Looked)}
    facts = ClusterFacts(statuses.ask(cluster.endpoints(), ASK_SECONDS))
    answering = {one.name for one in facts.members if one.status is not None}
    patients = [
        Patient(
            name=member.name,
            cluster=cluster.name,
            examined=looked[member.name].examined,
            offset_ms=0.0,
            offset_error_ms=0.0,
            answers=member.name in answering,
            certificate=None,
            uri="",
            member=(cluster.cluster, member.member),
            now_unix_s=int(time.time()),
            may_use_tls=False,
        )
        for member in members
        if member.name in looked
    ]
    unseen = [_unseen(name, one, name in answering) for name, one in found.items() if isinstance(one, HostFailed)]
    return _diagnosed(cluster.name, facts, diagnosis.of_hosts(patients) + unseen, len(looked), [one.name for one in members], began)


def from_here(name: str, endpoints: Sequence[Endpoint], seconds: float, say: Say) -> Diagnosed:
    """Only what a client on this machine meets."""
    began = time.monotonic()
    say(f"asking {len(endpoints)} addresses as a client does")
    reached = ways.reached(endpoints, seconds)
    is_any_well = any(one.stage == reaching.WELL for one in reached)
    asked = ways.asked(endpoints, seconds) if is_any_well else reaching.Asked("Unreachable", "no member is reached")
    end_unix_s = ways.own_end_unix_s()
    left_s = None if end_unix_s is None else end_unix_s - int(time.time())
    found = reaching.of_ways(reached, asked, reaching.Client(__version__, tls.folder_here(), left_s))
    well = sum(one.stage == reaching.WELL for one in reached)
    names = {str(one.status["cluster_name"]) for one in reached if one.status is not None}
    return result(name or "".join(sorted(names)[:1]), found, well, len(reached), 0, [], began)


def narrowed(found: Diagnosed, hosts: Sequence[str], checks: Sequence[str]) -> Diagnosed:
    """Of what was found, what these hosts have to do with, and what was looked for."""
    unknown = [name for name in hosts if name not in found.names]
    if unknown and not found.names:
        raise BadRequest("--from-here looks at the way from this machine: leave out the hosts")
    if unknown:
        raise BadRequest(f"{found.cluster} has no host {unknown[0]}; there are: {', '.join(found.names)}")
    kept = [
        one
        for one in found.findings
        if (not checks or one.check in checks) and (not hosts or one.host in hosts or any(_names(one.sentence, host) for host in hosts))
    ]
    worst = status.LEVEL_NAMES.index(kept[0].level) if kept else OK
    code = worst if len(kept) < len(found.findings) else found.exit_code
    about = f"{', '.join(hosts)} of {found.cluster}" if hosts else found.cluster
    return structs.replace(found, outcome=status.LEVEL_NAMES[code], exit_code=code, findings=kept, about=about)


def _names(sentence: str, host: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", sentence) is not None


def _certificate(examined: Examined, authority: bytes) -> Certificate | None:
    from coordctl.authority import making

    try:
        about = making.about(examined.certificate.encode())
    except ValueError:
        return None
    is_ours = not authority or any([making.is_issued_by(examined.certificate.encode(), one) for one in making.split(authority)])
    return Certificate(about.ends_unix_s, about.uri, is_ours)


REMEDIES = {
    "unreachable": "is the host up, and its sshd? try ssh -v to it",
    "key": "look at both keys, then `coordctl inventory trust --changed HOST` if it is right",
    "login": "put a key of yours into its authorized_keys, or load one with ssh-add",
    "sudo": "allow sudo without a password there, or leave it out of the inventory",
    "late": "it hangs, or has far too much to do: look at its console",
    "failed": "install python3 (3.11 or newer) there, then coordctl deploy",
}


def _unseen(name: str, error: HostFailed, answers: bool) -> Finding:
    member = "its member answers" if answers else "its member does not answer, either"
    return Finding(WARNING, f"{error.sentence}; {member}", REMEDIES[error.kind], "", name, "ssh" if error.kind != "failed" else "python")


def _diagnosed(name: str, facts: ClusterFacts, found: list[Finding], examined: int, hosts: list[str], began: float) -> Diagnosed:
    explained = {one.host for one in found if one.check in GATE_CHECKS or one.check == "ssh"}
    spoken = [one for one in judgement.findings(facts) if not (one.check in ("answers", "ready") and one.host in explained)]
    return result(facts.cluster_name or name, spoken + found, len(facts.answered), len(facts.members), examined, hosts, began)


def result(name: str, found: list[Finding], answered: int, members: int, examined: int, hosts: list[str], began: float) -> Diagnosed:
    ordered = sorted(found, key=judgement.rank)
    level = ordered[0].level if ordered else OK
    if not answered and not examined and level != judgement.CRITICAL:
        level = UNKNOWN
    return Diagnosed(
        outcome=status.LEVEL_NAMES[level],
        exit_code=level,
        cluster=name,
        about=name,
        findings=[status.shown(one) for one in ordered],
        answered=answered,
        members=members,
        examined=examined,
        hosts=len(hosts),
        names=hosts,
        elapsed_ms=int((time.monotonic() - began) * 1000),
    )
