"""`ca rotate`: the authority and every certificate are replaced, and members are brought each stage while they serve."""

from coordctl.authority.files import SETTLED
from coordctl.inventory.model import Inventory
from coordctl.operations import certificates
from coordctl.operations.configuring import Configuring, Say
from coordctl.operations.running import Worked
from coordctl.results.ca import CaRotated

LEFT = "copy {folder} to where clients use it, then run this again"


def rotate(inventory: Inventory, reason: str, through: bool, say: Say) -> CaRotated:
    """A stage is begun once the one before is complete, and brought to everybody: by whichever run does what is left of it."""
    authority = certificates.authority_of(inventory)
    goes_through = through or certificates.is_alone(authority)
    is_fresh = certificates.complete_stage(inventory)
    stage = authority.stage()
    done = _push(inventory, reason, say)
    while done.exit_code == 0:
        if stage != SETTLED and not goes_through and (is_fresh or done.outcome != "unchanged"):
            return _said(inventory, "begun", 0, stage, f"{stage}: {LEFT.format(folder=authority.folder + '/clients')}")
        stage, is_fresh = certificates.next_stage(inventory), True
        say(f"authority: {stage}")
        done = _push(inventory, reason, say)
        if stage == SETTLED and done.exit_code == 0:
            return _said(inventory, "done", 0, stage, "the authority and every certificate are new; the old one is believed nowhere")
    return _said(inventory, "refused" if done.exit_code == 76 else "failed", done.exit_code, stage, f"{stage}; then: {done.sentence}")


def _push(inventory: Inventory, reason: str, say: Say) -> Worked:
    certificates.become_operator(inventory)
    return Configuring(inventory, "ca rotate", reason, say).push(is_dry=False)


def _said(inventory: Inventory, outcome: str, code: int, stage: str, sentence: str) -> CaRotated:
    return CaRotated(
        outcome=outcome,  # type: ignore[arg-type]  # one of the four
        exit_code=code,  # type: ignore[arg-type]
        cluster=inventory.name,
        stage=stage,  # type: ignore[arg-type]  # one of the three
        sentence=sentence,
    )
