"""The hosts of a fleet as the place where chaos works: each keeps its own ledger, and heals by itself.

A host is asked by a script for each phase, over SSH. What is wanted is split by host, and judged from all hosts' ledgers together.
"""

import hashlib
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, TypeVar

import msgspec

from coordctl.chaos.faults import FAULTS
from coordctl.chaos.hosted import Answer, Question
from coordctl.chaos.ledger import Entry
from coordctl.chaos.site import LocalSite, Looked, Wanted
from coordctl.chaos.tended import Neighbour, Told
from coordctl.chaos.undo import where_it_ends
from coordctl.chaos.words import End, Word
from coordctl.facts.hosts import HostFacts, program
from coordctl.inventory.model import COORDNODE
from coordctl.local.fleet import CHAOS_FOLDER, Failed
from coordctl.onhost import kit as unpacking
from coordctl.operations import chaos_kit
from coordctl.operations.building import NoBuild
from coordctl.operations.fleet import Fleet
from coordctl.transport.base import HostFailed, Ran, Script, Transport, must_run

ASK_SECONDS = 60.0
WORK_SECONDS = 150.0  # a fault, with all that is waited for until it was seen
SEND_SECONDS = 60.0
NO_KIT = 17

T = TypeVar("T")


class FleetSite:
    """Implements site.Site. Clients of a run are processes of this machine, and stay with its own site."""

    def __init__(self, fleet: Fleet, here: LocalSite) -> None:
        self._fleet = fleet
        self._here = here
        self._at: dict[str, str] = {}  # id of a fault -> the host that has it
        self._lacks: dict[str, str] = {}

    def inject(self, wanted: Wanted) -> list[Entry]:
        if wanted.clients:
            return self._here.inject(wanted)
        parts = {name: Question(ask="inject", wanted=one) for name, one in split(wanted).items()}
        answers = self._ask(parts, WORK_SECONDS)
        done = {name: self._found(answer, list[Entry]) for name, answer in answers.items() if not answer.trouble}
        self._at |= {entry.id: name for name, entries in done.items() for entry in entries}
        begun = [entry for entries in done.values() for entry in entries]
        troubles = [f"{name}: {answer.trouble}" for name, answer in answers.items() if answer.trouble]
        troubles += [self._fleet.failed[name].sentence for name in parts if name not in answers]
        if troubles:
            left = [f"{entry.target}: {trouble}" for entry, trouble in self.heal(begun) if trouble]
            also = f"; and what took elsewhere could not be undone at once, the reapers go on with that: {'; '.join(left)}" if left else ""
            raise Failed(f"{'; '.join(troubles)}{also}")
        return begun

    def stay(self) -> None:
        self._fleet.stay()

    def look(self, last: int) -> Looked:
        names = self._names()
        answers = self._ask({name: Question(ask="look", last=last) for name in names}, ASK_SECONDS)
        found = {name: self._found(answer, Looked) for name, answer in answers.items() if not answer.trouble}
        self._at |= {entry.id: name for name, one in found.items() for entry in one.active}
        unseen = [f"{name}: {answer.trouble}" for name, answer in answers.items() if answer.trouble]
        unseen += [self._fleet.failed[name].sentence for name in names if name not in answers]
        every = [*found.values(), self._here.look(last)]
        unseen += [f"{name}: {one}" for name, looked in found.items() for one in looked.unseen] + every[-1].unseen
        return Looked(
            active=sorted([entry for one in every for entry in one.active], key=lambda entry: (entry.began_unix_ms, entry.id)),
            due=[due for one in every for due in one.due],
            reapers=min((one.reapers for one in every if one.active), default=0),
            notes=sorted([note for one in every for note in one.notes], key=lambda note: int(note["unix_ms"]))[-last:] if last else [],
            unseen=unseen,
        )

    def heal(self, entries: Sequence[Entry]) -> list[tuple[Entry, str]]:
        parts: dict[str, list[Entry]] = {}
        for entry in entries:
            parts.setdefault(self._at.get(entry.id, ""), []).append(entry)
        healed = self._here.heal(parts.pop("", []))
        answers = self._ask({name: Question(ask="heal", entries=part) for name, part in parts.items()}, WORK_SECONDS)
        for name, part in parts.items():
            answer = answers.get(name)
            if answer is None or answer.trouble:
                trouble = self._fleet.failed[name].sentence if answer is None else answer.trouble
                healed += [(entry, trouble) for entry in part]
            else:
                healed += self._found(answer, list[tuple[Entry, str]])
        return healed

    def lacks(self, fault: str) -> str:
        if not self._lacks:
            asked = {name: Question(ask="lacks", names=list(FAULTS)) for name in self._names()}
            for name, found in self._all(asked, dict[str, str]).items():
                for one, why in found.items():
                    self._lacks[one] = self._lacks.get(one) or (f"{name}: {why}" if why else "")
        return self._lacks[fault]

    def how(self, fault: str) -> tuple[str, str]:
        if FAULTS[fault].hits_links:
            mechanism = where_it_ends(fault)
            return mechanism.MECHANISM, mechanism.ENDS
        return self._here.how(fault)

    def share_disk(self, members: Sequence[str]) -> list[str]:
        """Each has a host of its own."""
        return list(members)

    def linked(self, members: Sequence[str]) -> list[str]:
        return list(members)

    def log_ends(self) -> dict[str, End]:
        found = self._all({name: Question(ask="log_ends") for name in self._names()}, dict[str, End])
        return {member: end for ends in found.values() for member, end in ends.items()}

    def said_since(self, ends: Mapping[str, End]) -> list[Word]:
        question = Question(ask="said_since", ends=dict(ends))
        return [word for words in self._all(dict.fromkeys(self._names(), question), list[Word]).values() for word in words]

    # --- how hosts are asked ---------------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return [host.name for host in self._fleet.hosts]

    def _all(self, questions: Mapping[str, Question], kind: type[T]) -> dict[str, T]:
        """From each of them. Raises HostFailed."""
        answers = self._ask(questions, ASK_SECONDS)
        for name in questions:
            if name not in answers:
                raise self._fleet.failed[name]
            if answers[name].trouble:
                raise HostFailed(name, "failed", answers[name].trouble)
        return {name: self._found(answer, kind) for name, answer in answers.items()}

    def _ask(self, questions: Mapping[str, Question], seconds: float) -> dict[str, Answer]:
        """Of those that answer; the others are in `fleet.failed`, with the reason."""
        if self._fleet.failed:
            self._fleet.connect_again()
            if not set(self._fleet.names()) <= set(self._fleet.facts):
                self._fleet.ask()

        def ask(transport: Transport) -> Answer:
            name = transport.host
            ran = self._put(transport, questions[name], seconds)
            try:
                return msgspec.json.decode(ran.stdout.strip().splitlines()[-1], type=Answer)
            except (msgspec.DecodeError, IndexError):
                raise HostFailed(name, "failed", f"it did not answer what chaos asked: {ran.last_words()}") from None

        names = [name for name in questions if name in self._fleet.names()]
        return self._fleet.at_each(names, ask, seconds + SEND_SECONDS)

    def _put(self, transport: Transport, question: Question, seconds: float) -> Ran:
        facts = self._fleet.facts[transport.host]
        told = self._told(transport.host)
        target = facts.target if told is not None else ""
        script = Script(f"chaos {question.ask}", _script(facts, msgspec.structs.replace(question, told=told), target))
        ran = transport.run(script, seconds)
        if ran.code != NO_KIT:
            return ran
        try:
            name, archive = chaos_kit.name(target), chaos_kit.archive(target)
        except NoBuild as error:
            raise HostFailed(transport.host, "failed", error.sentence) from None
        place = facts.place_of(f"{name}.kit")
        transport.put(archive, place, SEND_SECONDS)
        said: dict[str, object] = {"chaos": f"{facts.base}/{CHAOS_FOLDER}", "name": name, "archive": place}
        said["sha256"] = hashlib.sha256(archive).hexdigest()
        must_run(transport, Script("chaos kit", program(unpacking, said)), SEND_SECONDS)
        return transport.run(script, seconds)

    def _told(self, name: str) -> Told | None:
        """Of a member that was deployed by somebody else."""
        inventory = self._fleet.inventory
        host = inventory.host(name)
        if inventory.engine == COORDNODE or host is None:
            return None
        run = host.run
        return Told(
            engine=inventory.engine,
            cluster=inventory.name,
            name=name,
            members=tuple([Neighbour(one.name, one.endpoint, one.run.peer_ports) for one in inventory.hosts]),
            unit=run.unit,
            start=run.start,
            pid_file=run.pid_file,
            data=run.data,
            log=run.log,
        )

    def _found(self, answer: Answer, kind: type[T]) -> T:
        found: T = msgspec.json.decode(answer.found, type=kind)
        return found


def split(wanted: Wanted) -> dict[str, Wanted]:
    """By host: a member's own, and for a link the one where it ends."""
    ends = list(dict.fromkeys(sink for _, sink in wanted.links))
    parts = {name: wanted._replace(members=(name,), links=()) for name in wanted.members}
    return parts | {name: wanted._replace(members=(), links=tuple(one for one in wanted.links if one[1] == name)) for name in ends}


def _script(facts: HostFacts, question: Question, target: str) -> str:
    place = f"{facts.base}/{CHAOS_FOLDER}/kits/{chaos_kit.name(target)}"
    path = place if target else f"{place}:{facts.base}/current/lib"
    asked: Any = msgspec.json.encode(question).decode()
    return (
        f"set -eu\nif [ ! -d {quote(place)} ]; then exit {NO_KIT}; fi\ncd /\n"
        f"export PYTHONPATH={quote(path)}\n"
        f"exec {quote(facts.python)} -sSP -m coordctl.chaos.hosted {quote(facts.base)} <<'COORDCTL_END'\n{asked}\nCOORDCTL_END\n"
    )
