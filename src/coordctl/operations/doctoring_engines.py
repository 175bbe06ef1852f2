"""`doctor` of another engine: all that its members tell a client, judged by `facts`. Their hosts are not looked at."""

import time

from msgspec import structs

from coordctl.engines import examining, looking
from coordctl.engines.examining import Examined
from coordctl.engines.lacks import TITLES
from coordctl.engines.looking import LEARNER, Look
from coordctl.facts import foreign_diagnosis
from coordctl.facts.foreign import Said
from coordctl.facts.foreign_diagnosis import Member, Patient
from coordctl.local.clusters import Chosen
from coordctl.operations.doctoring import Say, result
from coordctl.results.doctor import Diagnosed


def of_engine(chosen: Chosen, seconds: float, say: Say) -> Diagnosed:
    began = time.monotonic()
    say(f"asking {len(chosen.endpoints)} members of {TITLES[chosen.engine]}")
    examined = examining.examine(chosen.engine, chosen.endpoints, seconds)
    leader = looking.leads([one.look for one in examined])
    patients = [_patient(chosen.engine, one, leader) for one in examined]
    name = chosen.name or chosen.endpoints[0].address
    answered = sum(not one.look.trouble for one in examined)
    names = [one.look.shown for one in examined]
    found = result(name, foreign_diagnosis.findings(patients), answered, len(examined), 0, names, began)
    return structs.replace(found, hosts=0)  # only members are asked


def _patient(engine: str, examined: Examined, leader: Look | None) -> Patient:
    look = examined.look
    voters = sum(one.is_voter for one in examined.known) or look.voters
    return Patient(
        said=Said(look.shown, look.trouble, look is leader, look.applied, look.alarms, voters),
        engine=engine,
        version=look.version,
        is_voter=look.role != LEARNER,
        member=examined.member,
        cluster=examined.cluster,
        known=tuple(Member(one.name, ", ".join(one.addresses), one.is_voter) for one in examined.known),
        alarms=examined.alarms,
        used_bytes=examined.used_bytes,
        file_bytes=examined.file_bytes,
        quota_bytes=examined.quota_bytes,
        files_used=examined.files_used,
        files_max=examined.files_max,
        settings=examined.settings,
        unsaid=examined.unsaid,
        digest=examined.digest,
    )
