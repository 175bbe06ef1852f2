"""Playbooks as files: those that come with coordctl, by name, and one's own, by path; read, judged, and told."""

import os
from collections.abc import Iterator

from coordctl.chaos.playbook import Playbook, Probe, Refused, parse_playbook
from coordctl.chaos.values import shown_ms
from coordctl.results.chaos import ChaosMistake, ChaosPlaybook, ChaosRow, ChaosShow, ChaosValidated
from coordnode.errors import BadRequest

SUFFIX = ".yaml"


def _folder() -> str:
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "playbooks")


def shipped() -> list[str]:
    return sorted(name.removesuffix(SUFFIX) for name in os.listdir(_folder()) if name.endswith(SUFFIX))


def path_of(name: str) -> str:
    """A path where it is one, else one of ours."""
    if os.sep in name or name.endswith((SUFFIX, ".yml")):
        return name
    if name not in shipped():
        raise BadRequest(f"there is no playbook {name}: see `coordctl chaos ls`, or give a file, such as ./{name}{SUFFIX}")
    return os.path.join(_folder(), name + SUFFIX)


def source(name: str) -> str:
    with open(path_of(name), encoding="utf-8", errors="replace") as file:
        return file.read()


def _read(path: str) -> Playbook:
    """Raises Refused."""
    with open(path, "rb") as file:
        return parse_playbook(os.path.basename(path).rpartition(".")[0], file.read())


def load(name: str) -> Playbook:
    path = path_of(name)
    try:
        return _read(path)
    except Refused as error:
        lines = "".join(f"\n          {path}:{one.line}: {one.sentence}" for one in error.mistakes)
        raise BadRequest(f"{path} is no playbook:{lines}") from None


def validate(name: str) -> ChaosValidated:
    path = path_of(name)
    try:
        _read(path)
    except Refused as error:
        mistakes = [ChaosMistake(line=one.line, sentence=one.sentence) for one in error.mistakes]
        return ChaosValidated(outcome="refused", exit_code=2, path=path, mistakes=mistakes)
    return ChaosValidated(outcome="valid", exit_code=0, path=path, mistakes=[])


def list_them(folder: str) -> Iterator[ChaosPlaybook]:
    """Those of a folder, "": ours. One that is no playbook is listed, too."""
    where = folder or _folder()
    for file in sorted(os.listdir(where)):
        if file.endswith((SUFFIX, ".yml")):
            path = os.path.join(where, file)
            name = file.rpartition(".")[0]
            try:
                found = _read(path)
            except Refused:
                yield ChaosPlaybook(outcome="refused", exit_code=1, name=name, path=path, proves="", rows=0, lasts_ms=0, faults=[])
                continue
            faults = list(dict.fromkeys(row.do for row in found.rows))
            yield ChaosPlaybook(
                outcome="listed",
                exit_code=0,
                name=name,
                path=path,
                proves=found.proves,
                rows=len(found.rows),
                lasts_ms=found.lasts_ms,
                faults=faults,
            )


def show(name: str) -> ChaosShow:
    found = load(name)
    return ChaosShow(
        name=found.name,
        path=path_of(name),
        proves=found.proves,
        members_min=found.members_min,
        seed=found.seed,
        lasts_ms=found.lasts_ms,
        rows=[ChaosRow(row=row.number, at_ms=row.at_ms, for_ms=row.for_ms, do=row.do, to=row.to.text, by=row.by) for row in found.rows],
        load=[f"{one.clients} clients, {one.do}" for one in found.load],
        probes=[_probe(one) for one in found.probes],
        goals=[f"{one.see}, during row {one.during}" if one.during else one.see for one in found.goals],
        expect=[f"{one.that}, within {shown_ms(one.within_ms)}" for one in found.expect],
        checks=list(found.checks),
    )


def _probe(one: Probe) -> str:
    what = " ".join(one.what)
    tried = what if one.kind == "ask" else f"{one.kind} {what}"
    return f"{one.when}: {tried} every {shown_ms(one.every_ms)}, within {shown_ms(one.within_ms)}, at least {one.percent_min:g}%"
