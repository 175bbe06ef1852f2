"""The newest releases of etcd and ZooKeeper, fetched by go and Maven into a folder outside this checkout, once."""

import os
import subprocess
from pathlib import Path

from .clusters import needs

ETCD = "go.etcd.io/etcd/server/v3"
ETCD_MAIN = f'package main\n\nimport (\n\t"os"\n\n\t"{ETCD}/etcdmain"\n)\n\nfunc main() {{ etcdmain.Main(os.Args) }}\n'
ZOOKEEPER = "3.9.5"
# The last two it wants from whoever runs a server.
JARS = (
    ("org.apache.zookeeper", "zookeeper", ZOOKEEPER),
    ("io.dropwizard.metrics", "metrics-core", "4.1.12.1"),
    ("org.xerial.snappy", "snappy-java", "1.1.10.5"),
)


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "coordnode-benchmarks"


def etcd() -> Path:
    return folder() / "etcd" / "etcd"


def zookeeper() -> Path:
    return folder() / "zookeeper" / "jars"


def fetch() -> None:
    needs("go", "mvn")
    module = etcd().parent
    module.mkdir(parents=True, exist_ok=True)
    (module / "main.go").write_text(ETCD_MAIN)
    (module / "go.mod").unlink(missing_ok=True)
    for command in (["mod", "init", "etcd"], ["get", f"{ETCD}@latest"], ["mod", "tidy"], ["build", "-o", str(etcd()), "."]):
        subprocess.run(["go", *command], check=True, cwd=module)
    pom = zookeeper().parent / "pom.xml"
    pom.parent.mkdir(parents=True, exist_ok=True)
    pom.write_text(project(JARS))
    subprocess.run(["mvn", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={zookeeper()}"], check=True)


def project(jars: tuple[tuple[str, str, str], ...]) -> str:
    wanted = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
        for group, name, version in jars
    )
    own = "<groupId>benchmark</groupId><artifactId>benchmark</artifactId><version>1</version>"
    return f"<project><modelVersion>4.0.0</modelVersion>{own}<dependencies>{wanted}</dependencies></project>\n"
