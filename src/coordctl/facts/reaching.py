"""Why a client on this machine cannot use the cluster: judged from how far it got with each member. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from coordctl.facts.judgement import CRITICAL, WARNING, Finding

NAME, CONNECT, REFUSED, TLS, SPEECH, WELL = "name", "connect", "refused", "tls", "speech", ""
OFFSET_MS_MAX = 500.0
RUNBOOK = "client-cannot-connect.md"


class Reached(NamedTuple):
    """One address, and the stage at which it failed."""

    address: str
    stage: str
    trouble: str
    status: dict[str, Any] | None = None
    offset_ms: float = 0.0  # the member's clock less ours
    offset_error_ms: float = 0.0


class Asked(NamedTuple):
    """What became of a request, as every client sends it."""

    error: str  # name of the error; "": it was answered
    sentence: str


class Client(NamedTuple):
    version: str
    tls: str  # the folder that this process was told; "": it speaks in the clear
    left_s: int | None  # until its certificate ends; None: not known


def of_ways(reached: Sequence[Reached], asked: Asked, client: Client) -> list[Finding]:
    found = [finding for one in reached if (finding := _of_way(one, client)) is not None]
    found += [_of_clock(one) for one in reached if abs(one.offset_ms) - one.offset_error_ms > OFFSET_MS_MAX]
    if asked.error:
        known = {finding.check for finding in found}
        found += [finding for finding in [_of_request(asked, client.version, reached)] if not known or finding.check in ("version", "role")]
    return found


def _of_way(one: Reached, client: Client) -> Finding | None:
    host = one.address.rpartition(":")[0]
    sentences = {
        NAME: (
            f"this machine finds no address for {host} ({one.trouble})",
            f"getent hosts {host}; add it to DNS or /etc/hosts, or give addresses",
        ),
        CONNECT: (
            f"{one.address} is not reached from this machine ({one.trouble})",
            f"look at firewalls and routes between here and there: ip route get {host.strip('[]')}",
        ),
        REFUSED: (f"nobody listens at {one.address}", "is that its port, and does the member run there? coordctl status"),
        SPEECH: (
            f"{one.address} is reached, and says nothing that a member says ({one.trouble})",
            "is that its port? is the member stopped? coordctl doctor",
        ),
    }
    if one.stage == TLS:
        return _of_tls(one, client)
    if one.stage in sentences:
        sentence, remedy = sentences[one.stage]
        check = {NAME: "dns", CONNECT: "tcp", REFUSED: "tcp", SPEECH: "answers"}[one.stage]
        return Finding(WARNING, sentence, remedy, RUNBOOK, one.address, check)
    return None


def _of_tls(one: Reached, client: Client) -> Finding:
    trouble, tls = one.trouble.lower(), client.tls
    if client.left_s is not None and client.left_s <= 0:
        sentence = f"{one.address} does not believe this client: its certificate in {tls} has ended"
        remedy = "coordctl ca renew NAME, where the authority is; then bring the folder here"
    elif not tls:
        sentence, remedy = (
            f"{one.address} speaks TLS, and this client does not",
            "export COORD_TLS=DIR; make one with `coordctl ca issue NAME`",
        )
    elif "expired" in trouble:
        sentence, remedy = (
            f"{one.address} and this client do not believe each other: a certificate has ended",
            "coordctl ca show; coordctl ca renew; coordctl deploy",
        )
    elif "not yet valid" in trouble:
        sentence, remedy = (
            f"{one.address} has a certificate that is not valid yet by this machine's clock",
            "date -u, here and there: set the clock",
        )
    elif "unknown ca" in trouble or "verify failed" in trouble or "signature" in trouble:
        sentence = f"{one.address} and this client have certificates of different authorities ({one.trouble})"
        remedy = f"coordctl ca show; COORD_TLS={tls} must be of this cluster's authority"
    elif "wrong version number" in trouble or "record layer" in trouble:
        sentence, remedy = f"{one.address} does not speak TLS, and COORD_TLS is set", "unset COORD_TLS, or give the members certificates"
    else:
        sentence, remedy = (
            f"{one.address} ended the handshake of TLS ({one.trouble})",
            f"look at both certificates: coordctl ca show; ls {tls}",
        )
    return Finding(WARNING, sentence, remedy, RUNBOOK, one.address, "tls")


def _of_clock(one: Reached) -> Finding:
    sentence = f"the clock at {one.address} is {one.offset_ms / 1000:+.1f} s from this machine's (± {one.offset_error_ms / 1000:.1f} s)"
    return Finding(
        WARNING, sentence, "let chrony or ntpd set both: certificates and logs are read by them", "clock-offset.md", one.address, "clock"
    )


def _of_request(asked: Asked, version: str, reached: Sequence[Reached]) -> Finding:
    theirs = sorted({str(one.status["version"]) for one in reached if one.status is not None})
    if asked.error == "UnknownVersion":
        sentence = f"this client is {version}, the members are {', '.join(theirs)}, and they do not speak the same: {asked.sentence}"
        return Finding(CRITICAL, sentence, "install the members' version here: coordctl version", RUNBOOK, "", "version")
    if any(one.status is not None for one in reached) and not any(one.status is not None and one.status["leader"] for one in reached):
        return Finding(
            CRITICAL, "members answer, and none of them leads: no request is carried out", "coordctl status", "quorum-lost.md", "", "role"
        )
    return Finding(CRITICAL, f"a request from here was not answered: {asked.sentence}", "coordctl status", RUNBOOK, "", "request")
