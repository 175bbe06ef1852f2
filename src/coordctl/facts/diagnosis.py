"""What is wrong with hosts, or will be: judged from what they said when they were examined, and from each other. Pure.

The deepest of the three looks at one list: `health` and `status` know what members say of themselves, `doctor` what their hosts say, too.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from coordctl.facts.examined import Examined
from coordctl.facts.judgement import WARNING, Finding
from coordnode.config import OWN, SIZE_UNITS

MIB = 1 << 20
FREE_BYTES_MIN = 256 * MIB  # free-min, where the member's settings do not say it
FREE_PART_MIN = 0.1
FREE_FILES_MIN = 1_000
SYNC_MS_MAX = 25.0
FILES_MIN = 4_096
MEMORY_BYTES_MIN = 512 * MIB
OFFSET_MS_MAX = 500.0
CERTIFICATE_DAYS_MIN = 30
YOUNG_SECONDS = 20.0  # who runs no longer and does not answer is being started again and again, or was just started
AGAIN_MIN, AGAIN_PART_MAX = 5, 0.1
DAY_SECONDS = 86_400


class Certificate(NamedTuple):
    ends_unix_s: int
    uri: str
    is_ours: bool  # signed by the authority that the operator has


class Patient(NamedTuple):
    name: str
    cluster: str
    examined: Examined
    offset_ms: float  # its clock less ours
    offset_error_ms: float
    answers: bool  # its member, when asked from here
    certificate: Certificate | None  # None: it has none, or it cannot be read
    uri: str  # what its certificate must say; "": not known here
    member: tuple[int, int] | None  # cluster and member that it must be; None: not known here
    now_unix_s: int
    may_use_tls: bool


def of_hosts(patients: list[Patient]) -> list[Finding]:
    found: list[Finding] = []
    for patient in patients:
        for check in CHECKS:
            found += check(patient)
    return found + _clocks(patients) + _versions(patients) + _settings(patients) + _ways(patients)


def _finding(patient: Patient, check: str, sentence: str, remedy: str, runbook: str = "") -> Finding:
    return Finding(WARNING, sentence, remedy, runbook, patient.name, check)


# --- one host ------------------------------------------------------------------------------------------------------


def _running(patient: Patient) -> list[Finding]:
    """Whether its member runs, and why not: one cause, the nearest one."""
    examined, name, cluster = patient.examined, patient.name, patient.cluster
    service, process = examined.service, examined.process
    start = f"coordctl start -c {cluster}" if service.kind != "none" else f"coordctl up -c {cluster}"
    if service.is_masked:
        return [
            _finding(
                patient, "service", f"{name}'s service is masked: nothing can start it", f"systemctl unmask coordnode-{cluster}; {start}"
            )
        ]
    if process is not None and process.state in "Tt":
        sentence = f"{name}'s member is stopped: process {process.pid} was sent SIGSTOP, or is debugged"
        return [_finding(patient, "process", sentence, f"kill -CONT {process.pid}, there", "member-paused.md")]
    if not patient.answers and examined.holder:
        sentence = f"another process on {name} has its member's port ({examined.holder})"
        return [_finding(patient, "port", sentence, "end that process, or give the member another port in the inventory")]
    if process is None and not service.is_wanted:
        return [_finding(patient, "service", f"{name}'s member was stopped ({service.state})", start, "member-killed.md")]
    if process is None and service.kind == "none":
        return [_finding(patient, "service", f"{name}'s member does not run", start, "member-killed.md")]
    if not patient.answers and _ends_again(examined):
        why = examined.last_words[-1] if examined.last_words else "it says nothing of the reason"
        tries = f", {service.restarts} times by now" if service.restarts else ""
        sentence = f"{name}'s member ends as soon as it is started{tries}: {why}"
        return [
            _finding(patient, "process", sentence, f"mend that; coordctl logs -c {cluster} has the whole story", "member-will-not-start.md")
        ]
    if not patient.answers and process is not None:
        sentence = f"{name}'s member runs (process {process.pid}) and does not answer from here"
        return [_finding(patient, "answers", sentence, f"coordctl doctor --from-here -c {cluster}", "client-cannot-connect.md")]
    if examined.members > 1:
        return [
            _finding(patient, "process", f"{examined.members} processes of {name}'s member run", "end those that the service did not start")
        ]
    return []


def _ends_again(examined: Examined) -> bool:
    process = examined.process
    return process is None or (process.age_s < YOUNG_SECONDS and (examined.service.restarts > 1 or bool(examined.last_words)))


def _boots(patient: Patient) -> list[Finding]:
    service = patient.examined.service
    if service.boots or service.is_masked:
        return []
    return [_finding(patient, "boot", f"{patient.name}'s member will not run after a reboot", f"coordctl deploy -c {patient.cluster}")]


def _disk(patient: Patient) -> list[Finding]:
    examined, name = patient.examined, patient.name
    disk, where = examined.disk, examined.data
    if disk.is_read_only:
        return [
            _finding(
                patient, "disk", f"{name}'s data lie on a disk that is mounted read-only ({where})", "dmesg says why; mend it and remount"
            )
        ]
    found = []
    least = _size(examined.config.get("free-min", ""))
    if disk.free_bytes < least or (disk.free_bytes < 2 * least and disk.free_bytes < disk.total_bytes * FREE_PART_MIN):
        sentence = (
            f"{name} has {disk.free_bytes // MIB} MiB of disk left of {disk.total_bytes // MIB}: below {least // MIB} writes are refused"
        )
        found.append(_finding(patient, "disk", sentence, f"make room below {where}, or give it a larger disk", "disk-full.md"))
    if disk.total_files and disk.free_files < FREE_FILES_MIN:
        sentence = f"{name}'s disk has room for {disk.free_files} more files only, however many bytes are free"
        found.append(_finding(patient, "inodes", sentence, f"remove files on the disk of {where}: df -i", "disk-full.md"))
    elif disk.sync_trouble:
        found.append(
            _finding(
                patient,
                "disk",
                f"{name}'s disk cannot be written: {disk.sync_trouble}",
                f"look at {where}: df, mount, dmesg",
                "disk-full.md",
            )
        )
    if disk.sync_ms is not None and disk.sync_ms > SYNC_MS_MAX:
        sentence = f"{name}'s disk takes {disk.sync_ms:.0f} ms to make 4 KiB durable, and every write waits for that"
        found.append(_finding(patient, "fsync", sentence, "find what else writes there (iotop), or move the data", "slow-commits.md"))
    return found


def _size(text: str) -> int:
    for unit, factor in SIZE_UNITS.items():
        digits = text.removesuffix(unit)
        if text != digits and digits.strip().isdecimal():
            return int(digits) * factor
    return FREE_BYTES_MIN


def _files(patient: Patient) -> list[Finding]:
    examined, name = patient.examined, patient.name
    found = []
    again = f"coordctl deploy -c {patient.cluster}"
    if examined.account_uid >= 0 and examined.service.kind != "none":
        for path in ("data", "data/wal", "data/snapshots", "data/identity", "log", "run", "config/node.toml", "config/tls/key.pem"):
            place = examined.places.get(path)
            if place is not None and place.uid != examined.account_uid:
                where = f"{examined.base}/{path}"
                found.append(
                    _finding(
                        patient,
                        "owner",
                        f"{name}'s {where} belongs to {place.owner}, not to its member",
                        f"chown -R coordnode: {where}, there",
                    )
                )
                break
    for path, wanted in (("data", 0o700), ("config/tls/key.pem", 0o600)):
        place = examined.places.get(path)
        where = f"{examined.base}/{path}"
        if place is not None and place.mode & 0o077:
            sentence = f"others on {name} may read {where} (mode {place.mode:o})"
            found.append(_finding(patient, "mode", sentence, f"chmod {wanted:o} {where}, there"))
        elif place is not None and place.mode & wanted != wanted:
            sentence = f"{name}'s member may not use its own {where} (mode {place.mode:o})"
            found.append(_finding(patient, "mode", sentence, f"chmod {wanted:o} {where}, there"))
    if examined.config_trouble:
        found.append(_finding(patient, "settings", f"{name}'s config/node.toml cannot be read: {examined.config_trouble}", again))
    return found


def _identity(patient: Patient) -> list[Finding]:
    examined, wanted = patient.examined, patient.member
    told = (examined.marker["cluster"], examined.marker["member"]) if examined.marker is not None else wanted
    for found, what in ((examined.identity, "data"), (told, "member.json")):
        if found is not None and wanted is not None and tuple(found) != wanted:
            whose = f"member {found[1]} of cluster {found[0]}"
            sentence = (
                f"{patient.name}'s {what} below {examined.base} are of {whose}, and it should be member {wanted[1]} of cluster {wanted[0]}"
            )
            remedy = "put its own data back; never copy another member's"
            return [_finding(patient, "identity", sentence, remedy, "member-will-not-start.md")]
    if examined.marker is not None and examined.identity is None:
        sentence = f"{patient.name}'s data are gone, or are no member's: {examined.data}/identity cannot be read"
        return [
            _finding(
                patient, "identity", sentence, f"coordctl member replace {patient.name} -c {patient.cluster}", "member-will-not-start.md"
            )
        ]
    return []


def _limits(patient: Patient) -> list[Finding]:
    process = patient.examined.process
    if process is None:
        return []
    found = []
    again = f"raise it where the service is started, then coordctl restart --rolling -c {patient.cluster}"
    if process.files_max is not None and process.files_max < FILES_MIN:
        sentence = f"{patient.name}'s member may open {process.files_max} files, and has {process.files_used}: so many connections at most"
        found.append(_finding(patient, "files", sentence, again))
    if process.memory_max is not None and process.memory_max < max(MEMORY_BYTES_MIN, 2 * process.memory_used):
        sentence = f"{patient.name}'s member may use {process.memory_max // MIB} MiB of memory, and has {process.memory_used // MIB}"
        found.append(_finding(patient, "memory", sentence, again, "member-killed.md"))
    return found


def _certificate(patient: Patient) -> list[Finding]:
    name, certificate = patient.name, patient.certificate
    renew = f"coordctl ca renew {name} -c {patient.cluster}; coordctl deploy -c {patient.cluster}"
    if not patient.may_use_tls:
        return []
    if certificate is None:
        return [_finding(patient, "certificate", f"{name} has no certificate that can be read", renew, "certificate-expiring.md")]
    if not certificate.is_ours:
        sentence = f"{name}'s certificate is of another authority than the cluster's: no other member believes it"
        return [_finding(patient, "certificate", sentence, renew, "certificate-expiring.md")]
    if patient.uri and certificate.uri != patient.uri:
        sentence = f"{name}'s certificate is another's: {certificate.uri}, not {patient.uri}"
        return [_finding(patient, "certificate", sentence, renew, "certificate-expiring.md")]
    left_s = certificate.ends_unix_s - patient.now_unix_s
    if left_s <= 0:
        sentence = f"{name}'s certificate ended {-left_s // DAY_SECONDS} days ago: nobody believes it any more"
        return [_finding(patient, "certificate", sentence, renew, "certificate-expiring.md")]
    if left_s < CERTIFICATE_DAYS_MIN * DAY_SECONDS:
        sentence = f"{name}'s certificate ends in {left_s // DAY_SECONDS} days"
        return [_finding(patient, "certificate", sentence, renew, "certificate-expiring.md")]
    return []


def _stale(patient: Patient) -> list[Finding]:
    """It runs with something else than what lies there."""
    examined, started = patient.examined, patient.examined.started
    if started is None or examined.process is None or not examined.current:
        return []
    restart = f"coordctl deploy -c {patient.cluster}"
    if started["version"] != examined.current:
        sentence = f"{patient.name}'s member runs {started['version']}, and {examined.current} is installed"
        return [_finding(patient, "version", sentence, f"coordctl restart --rolling -c {patient.cluster}")]
    if started["config"] != examined.config_digest:
        sentence = f"{patient.name}'s member was started with other settings or certificates than lie there"
        return [_finding(patient, "settings", sentence, restart, "different-settings.md")]
    return []


CHECKS: tuple[Callable[[Patient], list[Finding]], ...] = (_running, _boots, _disk, _files, _identity, _limits, _certificate, _stale)


# --- hosts beside each other ---------------------------------------------------------------------------------------


def odd_ones(values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What most have, and who has something else. Without a majority nobody is odd."""
    common, count = Counter(values.values()).most_common(1)[0] if values else ("", 0)
    return (common, {name: value for name, value in values.items() if value != common}) if 2 * count > len(values) else ("", {})


def _clocks(patients: list[Patient]) -> list[Finding]:
    if len(patients) < 2:
        return []
    found = []
    middle = sorted(patient.offset_ms for patient in patients)[len(patients) // 2]
    for patient in patients:
        apart_ms = patient.offset_ms - middle
        if abs(apart_ms) - patient.offset_error_ms > OFFSET_MS_MAX:
            sentence = f"{patient.name}'s clock is {apart_ms / 1000:+.1f} s from the others' (± {patient.offset_error_ms / 1000:.1f} s)"
            found.append(_finding(patient, "clock", sentence, "let chrony or ntpd set it, there: chronyc tracking", "clock-offset.md"))
    return found


def _versions(patients: list[Patient]) -> list[Finding]:
    common, odd = odd_ones({patient.name: patient.examined.current for patient in patients if patient.examined.current})
    by_name = {patient.name: patient for patient in patients}
    return [
        _finding(
            by_name[name],
            "version",
            f"{name} has version {version}, the others have {common}",
            f"coordctl upgrade status -c {by_name[name].cluster}",
        )
        for name, version in odd.items()
    ]


def _settings(patients: list[Patient]) -> list[Finding]:
    """Of what members of one cluster share."""
    own = {field.replace("_", "-") for field in OWN} | {"log-max"}
    written = {patient.name: patient for patient in patients if patient.examined.config}
    keys = sorted({key for patient in written.values() for key in patient.examined.config} - own)
    found = []
    for key in keys:
        common, odd = odd_ones({name: patient.examined.config.get(key, "") for name, patient in written.items()})
        for name, value in odd.items():
            sentence = f"{name} has {key} = {value or 'nothing said'}, the others have {common or 'nothing said'}"
            remedy = f"say it for all in the inventory, then coordctl deploy -c {written[name].cluster}"
            found.append(_finding(written[name], "settings", sentence, remedy, "different-settings.md"))
    return found


def _ways(patients: list[Patient]) -> list[Finding]:
    """Who cannot reach whom, where both members are well: a member that nobody reaches is no matter of the network."""
    found = []
    by_name = {patient.name: patient for patient in patients}
    well = {patient.name for patient in patients if patient.answers}
    broken = {
        (patient.name, target): way
        for patient in patients
        for target, way in patient.examined.ways.items()
        if way.stage in ("name", "connect", "answer") and target in well
    }
    for (source, target), way in broken.items():
        both = "neither reaches the other" if (target, source) in broken else f"{target} reaches {source}"
        words = {
            "name": f"{source} finds no address for {target} ({way.trouble})",
            "connect": f"{source} does not reach {target} at its member's port ({way.trouble}); {both}",
            "answer": f"{source} reaches {target}, and no whole answer comes through: large packets are lost on the way (MTU)",
        }
        remedies = {
            "name": f"add {target} to DNS or to /etc/hosts of {source}",
            "connect": f"look at the firewalls of {source} and {target} (iptables -S, nft list ruleset), and between them",
            "answer": f"ping -M do -s 1400 {target}, from {source}; make the MTU alike on both",
        }
        found.append(_finding(by_name[source], "ways", words[way.stage], remedies[way.stage], "split-network.md"))
    for patient in patients:
        examined = patient.examined
        is_broken = any(patient.name in pair for pair in broken) or len(well) < len(patients)
        if not is_broken and examined.segments_again >= AGAIN_MIN and examined.segments_again > AGAIN_PART_MAX * examined.segments_sent:
            part = 100 * examined.segments_again // max(1, examined.segments_sent)
            sentence = f"{patient.name} had to send {part} % of its packets again within a second"
            found.append(_finding(patient, "loss", sentence, "look at its link: ip -s link, ethtool -S", "split-network.md"))
    return found
