"""What a host needs to run a member: account, folders, version, files, state, service. Pure: steps say, and write scripts."""

import hashlib
import json
from collections.abc import Sequence
from shlex import quote
from typing import NamedTuple, Protocol

from coordctl.facts.hosts import HostFacts, program
from coordctl.onhost import unpack

ACCOUNT = "coordnode"
CONFIG = "config/node.toml"
TLS_FILES = ("config/tls/ca.pem", "config/tls/key.pem", "config/tls/certificate.pem", "config/tls/revoked.txt")
READ_AT_START = (CONFIG, "config/tls/ca.pem", "config/tls/certificate.pem")  # in the order in which onhost/start.py reads them
STOP_SECONDS = 40


class File(NamedTuple):
    path: str  # below the base
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Wish(NamedTuple):
    """One host as it shall be."""

    cluster: str
    base: str
    version: str
    archive: str  # where the build lies on that host once it was sent
    archive_sha256: str
    files: tuple[File, ...]
    init: tuple[str, ...]  # arguments of `coordnode init`; empty: its state comes from a running cluster
    marker: dict[str, object]
    digest: int = 0  # of the state that it begins with, where that is a backup's

    @property
    def service(self) -> str:
        return service_of(self.cluster)

    @property
    def config_digest(self) -> str:
        return config_digest(self.files)


class Step(Protocol):
    def says(self) -> str: ...

    def needed(self, facts: HostFacts) -> bool: ...

    def script(self, facts: HostFacts) -> str: ...


def config_digest(files: Sequence[File]) -> str:
    """As onhost/start.py notes it."""
    by_path = {file.path: file.content for file in files}
    digest = hashlib.sha256()
    for path in READ_AT_START:
        digest.update(by_path.get(path, b"none"))
    return digest.hexdigest()


def service_of(cluster: str) -> str:
    return f"coordnode-{cluster}.service"


def unit_path(cluster: str) -> str:
    return f"/etc/systemd/system/{service_of(cluster)}"


class Account(NamedTuple):
    def says(self) -> str:
        return f"make the user {ACCOUNT}"

    def needed(self, facts: HostFacts) -> bool:
        return facts.is_root and not facts.has_account

    def script(self, facts: HostFacts) -> str:
        return f"useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {ACCOUNT}\n"


class Folders(NamedTuple):
    wish: Wish

    def says(self) -> str:
        return f"make {self.wish.base}"

    def needed(self, facts: HostFacts) -> bool:
        return not facts.marker or not facts.current

    def script(self, facts: HostFacts) -> str:
        base = quote(self.wish.base)
        owned = f"chown {ACCOUNT}: {base}/data {base}/log {base}/run {base}/config {base}/config/tls\n" if facts.is_root else ""
        made = " ".join(f"{base}/{name}" for name in ("versions", "data", "log", "run", "config/tls"))
        return f"umask 022\nmkdir -p {made}\nchmod 700 {base}/data {base}/config/tls\n{owned}"


class Unpack(NamedTuple):
    wish: Wish

    def says(self) -> str:
        return f"unpack version {self.wish.version}"

    def needed(self, facts: HostFacts) -> bool:
        return self.wish.version not in facts.versions

    def script(self, facts: HostFacts) -> str:
        wish = self.wish
        told = {"base": wish.base, "version": wish.version, "archive": wish.archive, "sha256": wish.archive_sha256}
        return f"(\n{program(unpack, dict(told))})\n"


class Put(NamedTuple):
    file: File
    base: str

    def says(self) -> str:
        return f"write {self.file.path}"

    def needed(self, facts: HostFacts) -> bool:
        return facts.digests.get(self.file.path) != self.file.digest

    def script(self, facts: HostFacts) -> str:
        place = quote(f"{self.base}/{self.file.path}")
        owned = f"chown {ACCOUNT}: {place}.part\n" if facts.is_root else ""
        text = self.file.content.decode()
        assert (not text or text.endswith("\n")) and "\nCOORDCTL_FILE\n" not in text
        return f"umask 077\ncat > {place}.part <<'COORDCTL_FILE'\n{text}COORDCTL_FILE\n{owned}mv -f {place}.part {place}\n"


class Founded(NamedTuple):
    """The member's folder is made, once: the marker says so, and whoever has it is never made a second time."""

    wish: Wish

    def says(self) -> str:
        from_backup = " from the backup" if self.wish.digest else ""
        return f"make the state of member {self.wish.marker['name']}{from_backup}"

    def needed(self, facts: HostFacts) -> bool:
        return facts.marker is None

    def script(self, facts: HostFacts) -> str:
        wish = self.wish
        python = f"PYTHONPATH={quote(wish.base)}/versions/{wish.version}/lib {quote(facts.python)} -sSP -m coordnode"
        owned = f"chown -R {ACCOUNT}: {quote(wish.base)}/data\n" if facts.is_root else ""
        made = f"made=$({python} {' '.join(map(quote, wish.init))})\n" if wish.init else ""
        return f"umask 077\n{made}{self._checked()}{owned}umask 022\n{_mark(wish.base, wish.marker)}"

    def _checked(self) -> str:
        """Of a backup's state: it is the one that the rehearsal came to, and the backup is needed there no more."""
        if not self.wish.digest:
            return ""
        backup = quote(self.wish.init[self.wish.init.index("--from") + 1])
        return (
            f"case $made in *'\"digest\": {self.wish.digest},'*) ;; "
            f"*) echo 'it came to another state than the rehearsal' >&2; exit 1 ;; esac\nrm -f {backup}\n"
        )


class Told(NamedTuple):
    """The marker says who the other members are, too: an operator who lost what was written down has it from there."""

    marker: dict[str, object]

    def says(self) -> str:
        return "note who the members are"

    def needed(self, facts: HostFacts) -> bool:
        return facts.marker is not None and facts.marker["member"] == self.marker["member"] and facts.marker != self.marker

    def script(self, facts: HostFacts) -> str:
        return f"umask 022\n{_mark(facts.base, self.marker)}"


def _mark(base: str, marker: dict[str, object]) -> str:
    place = quote(f"{base}/member.json")
    return f"echo {quote(json.dumps(marker))} > {place}.part\nsync {place}.part\nmv -f {place}.part {place}\n"


class Unit(NamedTuple):
    wish: Wish

    def says(self) -> str:
        return f"install {self.wish.service}"

    def needed(self, facts: HostFacts) -> bool:
        return facts.has_systemd and (facts.unit != hashlib.sha256(self.text(facts).encode()).hexdigest() or not facts.boots)

    def script(self, facts: HostFacts) -> str:
        place = quote(unit_path(self.wish.cluster))
        return (
            f"umask 022\ncat > {place}.part <<'COORDCTL_FILE'\n{self.text(facts)}COORDCTL_FILE\nmv -f {place}.part {place}\n"
            f"systemctl daemon-reload\nsystemctl enable -q {quote(self.wish.service)}\n"
        )

    def text(self, facts: HostFacts) -> str:
        base = self.wish.base
        return UNIT.format(cluster=self.wish.cluster, account=ACCOUNT, python=facts.python, base=base, home=_home_of(base))


def _home_of(base: str) -> str:
    return "no" if base.startswith(("/home/", "/root/")) else "yes"


UNIT = """\
[Unit]
Description=coordnode, a member of {cluster}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
User={account}
ExecStart={python} -sSP {base}/current/start.py {base}
Restart=always
RestartSec=1
TimeoutStopSec=40
LimitNOFILE=65536
UMask=0077
ReadWritePaths={base}/data {base}/log {base}/run
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""


class Boot(NamedTuple):
    """Without systemd cron starts it after a reboot."""

    wish: Wish

    def says(self) -> str:
        return "have cron start it after a reboot"

    def needed(self, facts: HostFacts) -> bool:
        return not facts.has_systemd and facts.has_cron and not facts.boots

    def script(self, facts: HostFacts) -> str:
        line = f"@reboot {supervise(facts, self.wish.base)}"
        return f"{{ {crontab(facts)} -l 2>/dev/null || :; echo {quote(line)}; }} | {crontab(facts)} -\n"


def crontab(facts: HostFacts) -> str:
    return f"crontab -u {ACCOUNT}" if facts.is_root else "crontab"


def supervise(facts: HostFacts, base: str) -> str:
    return f"{quote(facts.python)} -sSP {quote(base)}/current/supervisor.py {quote(base)}" + (f" {ACCOUNT}" if facts.is_root else "")


class Switch(NamedTuple):
    """In one moment: whoever starts then finds the one version or the other, each as a whole."""

    wish: Wish

    def says(self) -> str:
        return f"switch to version {self.wish.version}, and keep the one before"

    def needed(self, facts: HostFacts) -> bool:
        return facts.current != self.wish.version

    def script(self, facts: HostFacts) -> str:
        base = quote(self.wish.base)
        older = [name for name in facts.versions if name not in (self.wish.version, facts.current)]
        removed = "".join(f"rm -rf {base}/versions/{quote(name)}\n" for name in older)
        return f"ln -sfn versions/{self.wish.version} {base}/current.part\nmv -fT {base}/current.part {base}/current\n{removed}"


class Run(NamedTuple):
    """Started, or started anew if what runs was started with anything else."""

    wish: Wish

    def says(self) -> str:
        return "start the member with it"

    def needed(self, facts: HostFacts) -> bool:
        return facts.running != {"version": self.wish.version, "config": self.wish.config_digest}

    def script(self, facts: HostFacts) -> str:
        return stop_script(facts, self.wish.cluster, self.wish.base) + start_script(facts, self.wish.cluster, self.wish.base)


def start_script(facts: HostFacts, cluster: str, base: str) -> str:
    if facts.has_systemd:
        return f"systemctl restart {quote(service_of(cluster))}\n"
    return f"{supervise(facts, base)} < /dev/null > /dev/null 2>&1\n"


def stop_script(facts: HostFacts, cluster: str, base: str) -> str:
    """Done when the member is gone. Its leader hands over first."""
    if facts.has_systemd:
        return f"systemctl stop {quote(service_of(cluster))} 2>/dev/null || [ ! -e {quote(unit_path(cluster))} ]\n"
    pid = quote(f"{base}/run/supervisor")
    return (
        f"pid=$(cat {pid} 2>/dev/null || :)\n"
        'if [ -n "$pid" ] && tr "\\0" " " < "/proc/$pid/cmdline" 2>/dev/null | grep -qF supervisor.py; then\n'
        f'    kill "$pid"\n    left={STOP_SECONDS * 10}\n'
        '    while [ -e "/proc/$pid" ] && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done\n'
        '    [ ! -e "/proc/$pid" ] || { echo "it did not stop" >&2; exit 1; }\nfi\n'
    )


def remove_script(facts: HostFacts, cluster: str, base: str, *, purge: bool) -> str:
    """Everything that `deploy` made; the member's state and the marker that says whose it is only with `purge`."""
    place = quote(base)
    gone = place if purge else f"{place}/versions {_furnishings(place)}"
    return f"{_whole_script(place)}{_halt_script(facts, cluster, base)}rm -rf {gone}\n"


def retire_script(facts: HostFacts, cluster: str, base: str, member: int, *, is_purged: bool) -> str:
    """Its member is none any more and never runs again. What it had stored is put aside, for whoever wants to know why; programs stay."""
    place = quote(base)
    aside = f"{place}/former/{member}"
    kept = f"umask 077\nmkdir -p {place}/former\nrm -rf {aside}\nmv {place}/data {aside}\nsync {place}/former\n"
    return (
        f"{_whole_script(place)}{_halt_script(facts, cluster, base)}"
        f"if [ -e {place}/data ]; then\n{f'rm -rf {place}/data' if is_purged else kept}\nfi\n"
        f"rm -f {place}/member.json\nrm -rf {_furnishings(place)}\n"
    )


def _whole_script(place: str) -> str:
    """What chaos broke there is no more."""
    return f"if [ -x {place}/chaos/drop ]; then {place}/chaos/drop; fi\n"


def _furnishings(place: str) -> str:
    return f"{place}/chaos {place}/current {place}/config {place}/log {place}/run"


def _halt_script(facts: HostFacts, cluster: str, base: str) -> str:
    """It does not run, and nothing starts it."""
    script = stop_script(facts, cluster, base)
    if facts.has_systemd:
        unit = quote(unit_path(cluster))
        return f"{script}systemctl disable -q {quote(service_of(cluster))} 2>/dev/null || :\nrm -f {unit}\nsystemctl daemon-reload\n"
    if facts.boots:
        lines = f"{crontab(facts)} -l | grep -vF {quote(base + '/current/supervisor.py')} || :"
        return f"{script}{{ {lines}; }} | {crontab(facts)} -\n"
    return script


def prepare(wish: Wish) -> list[Step]:
    """What may be done while an old version runs."""
    return [
        Account(),
        Folders(wish),
        Unpack(wish),
        *(Put(file, wish.base) for file in wish.files),
        Founded(wish),
        Told(wish.marker),
        Unit(wish),
        Boot(wish),
    ]


def ready(wish: Wish) -> list[Step]:
    """What a member that is made there later need not wait for."""
    return [Account(), Unpack(wish)]


def switch(wish: Wish) -> list[Step]:
    return [Switch(wish), Run(wish)]


def needed(steps: Sequence[Step], facts: HostFacts) -> list[Step]:
    return [step for step in steps if step.needed(facts)]


def script_of(steps: Sequence[Step], facts: HostFacts) -> str:
    """One for all of them; when it ends early its last word is the step that it was at."""
    parts = ["set -eu\ntrap 'code=$?; [ $code -eq 0 ] || echo \"at: $step\" >&2' EXIT\n"]
    for step in steps:
        parts.append(f"step={quote(step.says())}\n{step.script(facts)}")
    return "".join(parts)
