"""`ca rotate`: the authority and every certificate are replaced, and members are brought each stage while they serve."""

from coordctl.authority.files import SETTLED
from coordctl.inventory.model import Inventory
from coordctl.operations import certificates
from coordctl.operations.configuring import Configuring, Say
from coordctl.results.ca import CaRotated

LEFT = "copy {folder} to where clients use it, then run this again"


def rotate(inventory: Inventory, reason: str, through: bool, say: Say) -> CaRotated:
    """What was brought to some members only is brought to the others by the next run, before anything else."""
    authority = certificates.authority_of(inventory)
    goes_through = through or certificates.is_alone(authority)
    while True:
        failed = _push(inventory, reason, say, authority.stage())
        if failed is not None:
            return failed
        stage = certificates.next_stage(inventory)
        say(f"authority: {stage}")
        failed = _push(inventory, reason, say, stage)
        if failed is not None:
            return failed
        if stage == SETTLED:
            return _said(inventory, "done", 0, stage, "the authority and every certificate are new; the old one is believed nowhere")
        if not goes_through:
            return _said(inventory, "begun", 0, stage, f"{stage}: {LEFT.format(folder=authority.folder + '/clients')}")


def _push(inventory: Inventory, reason: str, say: Say, stage: str) -> CaRotated | None:
    certificates.become_operator(inventory)
    done = Configuring(inventory, "ca rotate", reason, say).push(is_dry=False)
    if done.exit_code == 0:
        return None
    return _said(inventory, "refused" if done.exit_code == 76 else "failed", done.exit_code, stage, f"{stage}; then: {done.sentence}")


def _said(inventory: Inventory, outcome: str, code: int, stage: str, sentence: str) -> CaRotated:
    return CaRotated(
        outcome=outcome,  # type: ignore[arg-type]  # one of the four
        exit_code=code,  # type: ignore[arg-type]
        cluster=inventory.name,
        stage=stage,  # type: ignore[arg-type]  # one of the three
        sentence=sentence,
    )
