"""Members of other engines on this machine: what is written into their folders, and the command of each."""

import os
import shutil

from coordctl.local.clusters import ETCD, ZOOKEEPER, LocalCluster, LocalMember
from coordnode.errors import BadRequest

PEER_PORTS = {ETCD: 1, ZOOKEEPER: 2}
PROGRAMS = {ETCD: "etcd", ZOOKEEPER: "java"}
JAR = "/usr/share/java/zookeeper.jar"  # Debian's; it names all others in its manifest, but for what it logs with
LOGS_WITH = ("/usr/share/java/slf4j-log4j12.jar", "/usr/share/java/log4j-1.2.jar")
REMEDIES = {
    ETCD: "etcd is not on PATH: apt-get install etcd-server",
    ZOOKEEPER: f"java or {JAR} is not there: apt-get install zookeeper default-jre-headless",
}
# A trial: soon there, and small. Its log has no zones, so its times are UTC, as all that are read.
JAVA = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.timezone=UTC"]
# Leases as short as coordnode grants them, and a tick that fits: half of it is how late a follower may tell its leader of a client.
SETTINGS = """tickTime=500
initLimit=40
syncLimit=10
minSessionTimeout=1000
maxSessionTimeout=86400000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr,mntr,conf,ruok
clientPortAddress=127.0.0.1
"""
LOGGING = "log4j.properties"
LOGGED = """log4j.rootLogger=INFO, OUT
log4j.appender.OUT=org.apache.log4j.ConsoleAppender
log4j.appender.OUT.layout=org.apache.log4j.PatternLayout
log4j.appender.OUT.layout.ConversionPattern=%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n
"""


def check(engine: str) -> None:
    if shutil.which(PROGRAMS[engine]) is None or (engine == ZOOKEEPER and not os.path.exists(JAR)):
        raise BadRequest(REMEDIES[engine])


def make(cluster: LocalCluster) -> None:
    for number, member in enumerate(cluster.members, 1):
        folder = _folder(cluster, member)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if cluster.engine == ZOOKEEPER:
            _write(os.path.join(folder, "myid"), f"{number}\n")
            _write(os.path.join(folder, "zoo.cfg"), _settings(cluster, member))
            _write(os.path.join(folder, LOGGING), LOGGED)


def command(cluster: LocalCluster, member: LocalMember) -> list[str]:
    check(cluster.engine)
    folder = _folder(cluster, member)
    if cluster.engine == ZOOKEEPER:
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        logging = f"-Dlog4j.configuration=file:{os.path.join(folder, LOGGING)}"
        return ["java", *JAVA, logging, "-cp", ":".join((JAR, *LOGS_WITH)), main, os.path.join(folder, "zoo.cfg")]
    here, among = f"http://{member.address}", f"http://127.0.0.1:{member.peers[0]}"
    founders = ",".join(f"{one.name}=http://127.0.0.1:{one.peers[0]}" for one in cluster.members)
    return [
        *("etcd", "--name", member.name, "--data-dir", folder, "--logger", "zap"),
        *("--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", among, "--initial-advertise-peer-urls", among),
        *("--initial-cluster", founders, "--initial-cluster-token", str(cluster.cluster)),
    ]


def mark(cluster: LocalCluster, member: LocalMember) -> str:
    """A word of its command line, and of no other's."""
    folder = _folder(cluster, member)
    return os.path.join(folder, "zoo.cfg") if cluster.engine == ZOOKEEPER else folder


def _folder(cluster: LocalCluster, member: LocalMember) -> str:
    return os.path.join(cluster.folder, member.name)


def _settings(cluster: LocalCluster, member: LocalMember) -> str:
    own = f"dataDir={_folder(cluster, member)}\nclientPort={member.address.rpartition(':')[2]}\n"
    if len(cluster.members) == 1:
        return SETTINGS + own
    servers = [f"server.{number}=127.0.0.1:{one.peers[0]}:{one.peers[1]}\n" for number, one in enumerate(cluster.members, 1)]
    return SETTINGS + own + "".join(servers)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
