"""doctor, on real hosts with systemd: each fault is really there, and is found at its host with the remedy; healed, it is found no more.

Three faults at a time, one for each host, where they do not hide each other.
"""

import base64
import datetime
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coordctl.authority import making
from coordctl.authority.making import Pair
from coordctl.operations import doctoring, identities
from coordctl.operations.certificates import authority_of
from coordctl.results.doctor import LOOKED_AT, Diagnosed
from coordctl.results.status import Finding
from tests.hosts import fleet
from tests.hosts.fleet import Hosts
from tests.hosts.operator import Operator
from tests.processes.members import wait_until

BASE = "/var/lib/coordnode/fleet"
UNIT = "coordnode-fleet.service"
LOOKED_SECONDS = 120.0  # a look takes seconds itself, and where the machine stands still meanwhile it finds that, too
FOLLOWS = {"quorum", "answers", "ready", "lag", "space", "role"}  # what members say of the same trouble


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    if fleet.why_not() or not fleet.has_systemd() or shutil.which("iptables") is None or shutil.which("cc") is None:
        pytest.skip(fleet.why_not() or "there is no systemd, iptables or C compiler here")
    patched = pytest.MonkeyPatch()
    with Hosts.opened(3, "systemd") as hosts:
        operator = Operator(tmp_path_factory.mktemp("doctor"), hosts)
        for name in ("HOME", "XDG_STATE_HOME"):
            patched.setenv(name, operator.environment[name])
        patched.setattr(doctoring, "WAY_SECONDS", (1.5, 1.5))
        operator.trust()
        operator.ctl("deploy")
        yield operator
        operator.close()
    patched.undo()


def diagnose(operator: Operator) -> Diagnosed:
    return doctoring.of_fleet(operator.inventory(), lambda _: None)


@dataclass(frozen=True, slots=True)
class Fault:
    """On the host with this number."""

    number: int
    check: str
    words: str
    remedy: str
    plant: Callable[[Operator, int], object]
    heal: Callable[[Operator, int], object]


def sh(script: str) -> Callable[[Operator, int], object]:
    """`{pid}`: of its member."""

    def act(operator: Operator, number: int) -> object:
        pid = operator.hosts.run(number, "pgrep", "-f", f"coordnode run --config {BASE}", check=False).split()
        return operator.hosts.run(number, "sh", "-ec", script.replace("{pid}", pid[0] if pid else "0"))

    return act


def firewall(rule: str) -> dict[str, Callable[[Operator, int], object]]:
    """`{n1}`: the address of n1; `{operator}`: that of this machine."""

    def act(flag: str) -> Callable[[Operator, int], object]:
        def change(operator: Operator, number: int) -> object:
            filled = rule.replace("{operator}", f"{operator.hosts.prefix}.1")
            for other in (1, 2, 3):
                filled = filled.replace(f"{{n{other}}}", operator.hosts.address(other))
            return operator.hosts.run(number, "sh", "-c", f"iptables {flag} {filled}")

        return change

    return {"plant": act("-A"), "heal": act("-D")}


def preload(skew_s: int, sync_us: int) -> Callable[[Operator, int], object]:
    def plant(operator: Operator, number: int) -> None:
        library = operator.folder / f"preload{skew_s}-{sync_us}.so"
        source = Path(__file__).with_name("preload.c")
        defines = [f"-DSKEW_S={skew_s}", f"-DSYNC_US={sync_us}"]
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", *defines, "-o", str(library), str(source), "-ldl"], check=True)
        text = base64.b64encode(library.read_bytes()).decode()
        operator.hosts.run(number, "sh", "-c", "base64 -d > /etc/preload.so && echo /etc/preload.so > /etc/ld.so.preload", stdin=text)

    return plant


def certificate(days: int, *, stranger: bool = False) -> Callable[[Operator, int], object]:
    """The member's own, with another end, or signed by another authority; as if nobody had renewed it in time."""

    def plant(operator: Operator, number: int) -> None:
        own = authority_of(operator.inventory())._own()
        by = making.authority("another") if stranger else own
        old = x509.load_pem_x509_certificate(operator.hosts.run(number, "cat", f"{BASE}/config/tls/certificate.pem").encode())
        issuer = x509.load_pem_x509_certificate(by.certificate)
        key = serialization.load_pem_private_key(by.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(issuer.subject).public_key(old.public_key())  # type: ignore[arg-type]
        builder = builder.serial_number(7).not_valid_before(now - datetime.timedelta(days=60))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days, hours=1))
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        put(operator, number, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    return plant


def put(operator: Operator, number: int, pem: bytes) -> None:
    operator.hosts.run(number, "sh", "-c", f"cat > {BASE}/config/tls/certificate.pem", stdin=pem.decode())


def certificate_of(whose: int) -> Callable[[Operator, int], object]:
    def plant(operator: Operator, number: int) -> None:
        ids = identities.written(operator.inventory())
        assert ids is not None
        pair: Pair = authority_of(operator.inventory()).member(f"n{whose}", ids.members[f"n{whose}"], 1)
        put(operator, number, pair.certificate)

    return plant


def own_certificate(operator: Operator, number: int) -> None:
    certificate_of(number)(operator, number)


def both(*acts: Callable[[Operator, int], object]) -> Callable[[Operator, int], object]:
    def act(operator: Operator, number: int) -> None:
        for one in acts:
            one(operator, number)

    return act


def on(number: int, act: Callable[[Operator, int], object]) -> Callable[[Operator, int], object]:
    """What one host suffers from may be at another."""
    return lambda operator, _: act(operator, number)


def cut(operator: Operator, number: int) -> None:
    operator.cut(number)


def mend(operator: Operator, number: int) -> None:
    operator.let_back(number)


def limited(line: str) -> Callable[[Operator, int], object]:
    place = f"/etc/systemd/system/{UNIT}.d"
    return sh(f"mkdir -p {place}; printf '[Service]\\n{line}\\n' > {place}/less.conf; systemctl daemon-reload; systemctl restart {UNIT}")


UNLIMITED = sh(f"rm -r /etc/systemd/system/{UNIT}.d; systemctl daemon-reload; systemctl restart {UNIT}")
RESTART = sh(f"systemctl restart {UNIT}")
START = sh(f"systemctl start {UNIT}")
STOP = sh(f"systemctl stop {UNIT}")
UNPRELOAD = sh("rm -f /etc/ld.so.preload")
ON_TMPFS = sh(
    f"systemctl stop {UNIT}; mv {BASE}/data {BASE}/data.real; mkdir -m 700 {BASE}/data\n"
    f"mount -t tmpfs -o size=230m,mode=700 small {BASE}/data\n"
    f"chown coordnode: {BASE}/data; cp -a {BASE}/data.real/. {BASE}/data/\n"
    f"sed -i 's/^name = .*/&\\nadopt = \"true\"/' {BASE}/config/node.toml; systemctl start {UNIT}"
)
OFF_TMPFS = sh(
    f"systemctl stop {UNIT}; umount {BASE}/data; rmdir {BASE}/data; mv {BASE}/data.real {BASE}/data\n"
    f"sed -i '/^adopt/d' {BASE}/config/node.toml; systemctl start {UNIT}"
)
OTHER_CLUSTER = (
    f"PYTHONPATH={BASE}/current/lib python3 -sSP -m coordnode init --make 7=/tmp/other --contact 7=127.0.0.1:1 > /dev/null\n"
    f"cat /tmp/other/identity > {BASE}/data/identity; rm -r /tmp/other"
)

HOST_KEY = "cd /etc/ssh; mkdir -p kept; mv ssh_host_ed25519_key* kept; ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key"

LOSSY = firewall("INPUT -p tcp -s {n3} -m statistic --mode nth --every 3 --packet 0 -j DROP")

ROUNDS: dict[str, list[Fault]] = {
    "limits": [
        Fault(1, "files", "may open 256 files", "raise it", limited("LimitNOFILE=256"), UNLIMITED),
        Fault(
            2,
            "mode",
            "others on n2 may read",
            "chmod 600",
            sh(f"chmod 644 {BASE}/config/tls/key.pem"),
            sh(f"chmod 600 {BASE}/config/tls/key.pem"),
        ),
        Fault(3, "boot", "will not run after a reboot", "coordctl deploy", sh(f"systemctl disable {UNIT}"), sh(f"systemctl enable {UNIT}")),
    ],
    "owners and disks": [
        Fault(1, "memory", "MiB of memory", "raise it", limited("LimitAS=500M"), UNLIMITED),
        Fault(2, "owner", "belongs to root", "chown -R coordnode:", sh(f"chown root {BASE}/log"), sh(f"chown coordnode {BASE}/log")),
        Fault(3, "fsync", "ms to make 4 KiB durable", "iotop", preload(0, 60_000), UNPRELOAD),
    ],
    "certificates and clocks": [
        Fault(1, "certificate", "certificate ends in 6 days", "coordctl ca renew n1", certificate(6), own_certificate),
        Fault(
            2,
            *("settings", "n2 has snapshot-entries = 777, the others have nothing said", "in the inventory"),
            sh(f"echo 'snapshot-entries = \"777\"' >> {BASE}/config/node.toml"),
            sh(f"sed -i '/snapshot-entries/d' {BASE}/config/node.toml"),
        ),
        Fault(3, "clock", "clock is +90", "chrony", preload(90, 0), UNPRELOAD),
    ],
    "hung": [
        Fault(1, "certificate", "of another authority", "coordctl ca renew n1", certificate(90, stranger=True), own_certificate),
        Fault(2, "process", "was sent SIGSTOP", "kill -CONT", sh("kill -STOP {pid}"), sh("kill -CONT {pid}")),
        Fault(
            3,
            *("version", "n3 has version 9.9.9, the others have", "coordctl upgrade status"),
            sh(
                f"cp -a {BASE}/current/. {BASE}/versions/9.9.9; readlink {BASE}/current > {BASE}/was; ln -sfn versions/9.9.9 {BASE}/current"
            ),
            sh(f"ln -sfn $(cat {BASE}/was) {BASE}/current; rm -rf {BASE}/was {BASE}/versions/9.9.9"),
        ),
    ],
    "full": [
        Fault(1, "disk", "MiB of disk left", "make room", ON_TMPFS, sh(f"mount -o remount,size=1g {BASE}/data")),
        Fault(2, "service", "n2's member was stopped", "coordctl start -c fleet", STOP, START),
        Fault(3, "python", "no Python of 3.11", "install python3", sh("chmod -x /usr/bin/python3*"), sh("chmod +x /usr/bin/python3*")),
    ],
    "no more files": [
        Fault(
            1,
            *("inodes", "more files only", "df -i"),
            sh(f"mount -o remount,size=1g,nr_inodes=$(($(df --output=iused {BASE}/data | tail -1) + 40)) {BASE}/data"),
            sh(f"mount -o remount,nr_inodes=100000 {BASE}/data"),
        ),
        Fault(
            2,
            *("port", "another process on n2 has its member's port", "end that process"),
            both(
                STOP,
                sh("systemd-run -q --unit squatter python3 -c 'import socket,time; s=socket.create_server((\"\", 7001)); time.sleep(600)'"),
                sh("for i in $(seq 1200); do grep -q ':1B59 ' /proc/net/tcp && break; sleep 0.1; done"),
                START,
            ),
            both(sh("systemctl stop squatter"), RESTART),
        ),
        Fault(3, "ssh", "its member answers", "ssh -v", sh("systemctl stop ssh"), sh("systemctl start ssh")),
    ],
    "read-only": [
        Fault(
            1,
            "disk",
            "mounted read-only",
            "remount",
            sh(f"mount -o remount,bind,ro {BASE}/data"),
            both(sh(f"mount -o remount,bind,rw {BASE}/data"), OFF_TMPFS),
        ),
        Fault(
            2,
            *("service", "is masked", "systemctl unmask"),
            sh(f"systemctl stop {UNIT}; cd /etc/systemd/system; mv {UNIT} /root.saved; ln -s /dev/null {UNIT}; systemctl daemon-reload"),
            sh(f"cd /etc/systemd/system; mv /root.saved {UNIT}; systemctl daemon-reload; systemctl start {UNIT}"),
        ),
    ],
    "network": [
        Fault(
            2,
            *("process", "ends as soon as it is started", "coordctl logs"),
            sh(f"mv {BASE}/current/lib/msgspec {BASE}/current/lib/gone; systemctl restart {UNIT}"),
            sh(f"mv {BASE}/current/lib/gone {BASE}/current/lib/msgspec; systemctl restart {UNIT}"),
        ),
        Fault(
            1,
            "ways",
            "n1 does not reach n3 at its member's port (no answer); n3 reaches n1",
            "firewalls",
            **firewall("OUTPUT -d {n3} -p tcp --dport 7001 --syn -j DROP"),
        ),
    ],
    "cut off": [
        Fault(
            1,
            "ways",
            "n1 does not reach n2 at its member's port (no answer); neither reaches the other",
            "firewalls",
            **firewall("INPUT -s {n2} -j DROP"),
        ),
    ],
    "large packets": [
        Fault(
            3,
            "ways",
            "n3 reaches n1, and no whole answer comes through",
            "MTU",
            **firewall("INPUT -s {n1} -p tcp -m length --length 500:65535 -j DROP"),
        ),
    ],
    "loss": [
        Fault(3, "loss", "n3 had to send", "ip -s link", on(1, LOSSY["plant"]), on(1, LOSSY["heal"])),
    ],
    "strangers": [
        Fault(
            2,
            *("identity", "and it should be member", "put its own data back"),
            sh(f"systemctl stop {UNIT}; cp -a {BASE}/data/identity {BASE}/identity; {OTHER_CLUSTER}\nsystemctl start {UNIT}"),
            sh(f"systemctl stop {UNIT}; cat {BASE}/identity > {BASE}/data/identity; rm {BASE}/identity; systemctl start {UNIT}"),
        ),
        Fault(3, "ssh", "its member does not answer, either", "is the host up", cut, mend),
    ],
    "not let in": [
        Fault(
            1,
            *("ssh", "sudo wants a password of ops", "allow sudo without a password"),
            sh("mv /etc/sudoers.d/ops /root.sudo; echo 'ops ALL=(root) ALL' > /etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops"),
            sh("mv /root.sudo /etc/sudoers.d/ops"),
        ),
        Fault(
            2,
            *("ssh", "refuses the keys of ssh-agent and of", "authorized_keys"),
            sh("mv /etc/ssh/authorized/ops /root.keys"),
            sh("mv /root.keys /etc/ssh/authorized/ops"),
        ),
        Fault(
            3,
            *("ssh", "its host key has changed", "inventory trust --changed"),
            sh(f"{HOST_KEY}; systemctl restart ssh"),
            sh("cd /etc/ssh; mv kept/* .; rmdir kept; systemctl restart ssh"),
        ),
    ],
    "changed by hand": [
        Fault(1, "certificate", "certificate is another's", "coordctl ca renew n1", certificate_of(2), own_certificate),
        Fault(
            2,
            *("answers", "and does not answer from here", "coordctl doctor --from-here"),
            **firewall("INPUT -s {operator} -p tcp --dport 7001 -j DROP"),
        ),
        Fault(
            3,
            *("settings", "config/node.toml cannot be read", "coordctl deploy"),
            sh(f"echo 'no = sense = at all' >> {BASE}/config/node.toml"),
            sh(f"sed -i '/^no = sense/d' {BASE}/config/node.toml"),
        ),
    ],
    "lost": [
        Fault(
            1,
            *("identity", "n1's data are gone", "coordctl member replace n1"),
            sh(f"systemctl stop {UNIT}; mv {BASE}/data {BASE}/data.real; systemctl start {UNIT}"),
            sh(f"systemctl stop {UNIT}; rm -rf {BASE}/data; mv {BASE}/data.real {BASE}/data; systemctl start {UNIT}"),
        ),
        Fault(
            3,
            *("settings", "was started with other settings or certificates than lie there", "coordctl deploy"),
            certificate(200),
            both(own_certificate, RESTART),
        ),
    ],
    "ended": [
        Fault(
            1, "certificate", "certificate ended", "coordctl ca renew n1", both(certificate(-3), RESTART), both(own_certificate, RESTART)
        ),
    ],
}


def is_it(finding: Finding, fault: Fault) -> bool:
    return (
        (finding.host, finding.check) == (f"n{fault.number}", fault.check)
        and fault.words in finding.sentence
        and fault.remedy in finding.remedy
    )


def test_nothing_is_found_where_nothing_is_wrong(deployed: Operator) -> None:
    def is_well() -> bool:
        found = diagnose(deployed)
        return (found.findings, found.exit_code, found.examined, found.answered) == ([], 0, 3, 3)

    wait_until(is_well, "nothing to be found", LOOKED_SECONDS)
    well = b"OK  nothing was found that is wrong with fleet"
    wait_until(lambda: deployed.run("doctor").stdout.startswith(well), "that to be said", LOOKED_SECONDS)
    from_here = b"OK  nothing was found"
    wait_until(lambda: deployed.run("doctor", "--from-here").stdout.startswith(from_here), "that to be said from here", LOOKED_SECONDS)


@pytest.mark.parametrize("name", ROUNDS)
def test_each_fault_is_found_at_its_host_with_the_remedy(deployed: Operator, name: str) -> None:
    faults = ROUNDS[name]
    planted: list[Fault] = []
    last: list[Finding] = []
    hosts = {f"n{fault.number}" for fault in faults}

    def is_strange(finding: Finding) -> bool:
        return finding.check not in FOLLOWS and finding.host not in hosts and not any(host in finding.sentence for host in hosts)

    def are_found_and_nothing_else() -> bool:
        last[:] = diagnose(deployed).findings
        return all(any(is_it(finding, fault) for finding in last) for fault in faults) and not any(map(is_strange, last))

    try:
        for fault in faults:
            planted.append(fault)
            fault.plant(deployed, fault.number)
        wanted = [(one.number, one.check) for one in faults]
        wait_until(are_found_and_nothing_else, f"{wanted} to be found, and nothing of other hosts", LOOKED_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None
    finally:
        for fault in planted:
            fault.heal(deployed, fault.number)
        deployed.ctl("wait", "-c", "fleet", "--for", "healthy", "--timeout", "60s")


def test_at_least_twenty_faults_were_planted_and_none_is_left(deployed: Operator) -> None:
    assert sum(map(len, ROUNDS.values())) >= 20
    assert {fault.check for faults in ROUNDS.values() for fault in faults} <= {*LOOKED_AT}
    wait_until(lambda: not diagnose(deployed).findings, "all to be healed", LOOKED_SECONDS)
