"""`coordnode init`: folders for new members. Loads little, as commands wait for it."""

import json
import sys
import time
from collections.abc import Sequence

from coordnode.address import parse_address
from coordnode.errors import BadRequest, CoordError, FolderRefused, RecordError, Rotten
from coordnode.ids import ClusterId, MemberId
from coordnode.limits import TOKEN_MAX
from coordnode.node import bootstrap
from coordnode.storage.block import Identity
from coordnode.storage.wal import Settings as WalSettings

DONE, FAILED, USAGE, REFUSED = 0, 1, 64, 76

INIT_HELP = """\
usage: coordnode init --make ID=DIR … --contact ID=HOST:PORT … [--cluster ID] [--created UNIX_SECONDS] [--segment SIZE]
                      [--from ARCHIVE]
       coordnode init --join --make ID=DIR --cluster ID [--segment SIZE]

Makes the folder of each member named by --make. Founding members of one cluster must be given the same cluster, second of
creation and contacts of all; without --cluster a new id is drawn, without --created it is now. With --join the folder is for a
member that a running cluster takes in. With --from the cluster begins with an archive's state: sessions are over, and tokens go on
above all that the archive's cluster can have granted until --created. An ID of 0 draws one (with one --make only). Making a folder
again that is made already changes nothing. --segment is the setting of the same name that the member will run with. Prints
cluster, created, the ids, and with --from what the folders hold, as JSON.

exit codes: 0 made · 1 failed · 64 usage · 76 a folder is refused
"""


def say(sentence: str) -> None:
    for line in sentence.splitlines():
        sys.stderr.write(f"coordnode: {line}\n")
    sys.stderr.flush()


class _Plan:
    def __init__(self) -> None:
        self.folders: dict[int, str] = {}
        self.contacts: dict[int, str] = {}
        self.cluster = 0
        self.created = 0
        self.join = False
        self.archive = ""
        self.wal = WalSettings()


def init(arguments: Sequence[str]) -> int:
    """`coordnode init`."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(INIT_HELP)
        return DONE
    try:
        plan = _parse_plan(arguments)
    except ValueError as error:
        say(f"{error}; see coordnode init --help")
        return USAGE
    state = {}
    try:
        if plan.archive:
            state = _restore(plan)
        else:
            _create(plan)
    except FolderRefused as error:
        say(error.sentence)
        return REFUSED
    except CoordError as error:
        say(error.sentence)
        return FAILED
    members = [{"member": member, "folder": folder} for member, folder in plan.folders.items()]
    made = {"schema": "coordnode.init/1", "cluster": plan.cluster, "created_unix_s": plan.created, "members": members, **state}
    sys.stdout.write(json.dumps(made) + "\n")
    return DONE


def _create(plan: _Plan) -> None:
    for member, folder in plan.folders.items():
        if plan.join:
            bootstrap.create_joiner(folder, ClusterId(plan.cluster), MemberId(member), wal_settings=plan.wal)
        else:
            contacts = {MemberId(other): contact for other, contact in plan.contacts.items()}
            bootstrap.create_founder(folder, ClusterId(plan.cluster), MemberId(member), plan.created, contacts, wal_settings=plan.wal)


def _restore(plan: _Plan) -> dict[str, object]:
    """What the state is like that all of them begin with."""
    from coordnode.archives.refounding import refounded  # nobody else needs it, and everybody would wait for it
    from coordnode.archives.replaying import replay

    contacts = {MemberId(other): contact for other, contact in plan.contacts.items()}
    replayed = replay(plan.archive)
    if replayed.seal is None:
        raise RecordError(f"{plan.archive} has no seal: it was never verified, and is no backup")
    begin = refounded(replayed, ClusterId(plan.cluster), plan.created, contacts)
    machine = replayed.machine
    for member, folder in plan.folders.items():
        identity = Identity(ClusterId(plan.cluster), MemberId(member))
        made = bootstrap.create_restored(folder, identity, begin, wal_settings=plan.wal)
        if made.digest != machine.digest:
            raise Rotten(f"{folder} holds another state than the archive gives: it was made from something else; name an empty folder")
    return {"digest": machine.digest, "index": machine.applied, "revision": machine.revision, "token": machine.scalars.token_next}


def _parse_plan(arguments: Sequence[str]) -> _Plan:
    plan = _Plan()
    waiting = list(arguments)
    while waiting:
        flag, equals, value = waiting.pop(0).partition("=")
        if flag == "--join" and not equals:
            plan.join = True
            continue
        if flag not in ("--make", "--contact", "--cluster", "--created", "--segment", "--from"):
            raise ValueError(f"there is no option {flag!r}")
        if not equals:
            if not waiting:
                raise ValueError(f"{flag}: a value is missing")
            value = waiting.pop(0)
        if flag in ("--cluster", "--created"):
            setattr(plan, flag[2:], _parse_id(flag, value))
        elif flag == "--from":
            plan.archive = value
        elif flag == "--segment":
            from coordnode.config import parse_size  # dataclasses and difflib cost more than all that most inits do

            plan.wal = WalSettings(segment_bytes=parse_size(value))
        else:
            member, equals, rest = value.partition("=")
            if not equals or not rest:
                raise ValueError(f"{flag} {value!r}: give {'ID=DIR' if flag == '--make' else 'ID=HOST:PORT'}")
            named = plan.folders if flag == "--make" else plan.contacts
            number = _parse_id(flag, member)
            if number in named:
                raise ValueError(f"{flag}: member {number} is named twice")
            named[number] = rest if flag == "--make" else _parse_contact(rest)
    _complete(plan)
    return plan


def _parse_contact(text: str) -> str:
    try:
        return str(parse_address(text))
    except BadRequest as error:
        raise ValueError(error.sentence) from None


def _parse_id(flag: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > TOKEN_MAX:
        raise ValueError(f"{flag}: {text!r} is not a whole number below 2**53")
    return int(text)


def _complete(plan: _Plan) -> None:
    if not plan.folders:
        raise ValueError("no folder is named: --make ID=DIR")
    if plan.join and (plan.contacts or not plan.cluster):
        raise ValueError("--join needs --cluster, and takes no contacts: the running cluster knows them")
    if plan.join and plan.archive:
        raise ValueError("--join takes no archive: the running cluster sends its state")
    if 0 in plan.folders:
        if len(plan.folders) > 1:
            raise ValueError("an id can only be drawn for one --make: other founders must be told it")
        member = bootstrap.new_id()
        plan.folders = {member: plan.folders[0]}
        if 0 in plan.contacts:
            plan.contacts[member] = plan.contacts.pop(0)
    plan.cluster = plan.cluster or bootstrap.new_id()
    plan.created = plan.created or int(time.time())
    for member in plan.folders:
        if not plan.join and member not in plan.contacts:
            raise ValueError(f"--contact {member}=HOST:PORT is missing: how others reach member {member}")
