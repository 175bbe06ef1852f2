"""What one seed was asked to do, and what came of it. Frozen data that crosses between worker processes."""

import msgspec

from coordnode.simulator.faults import Fault, show_keep


class Options(msgspec.Struct, frozen=True):
    """Everything but the seed that decides a run."""

    members: int = 0  # 0: drawn by the seed
    safety_ms: int = 60_000
    operations: int = 0  # clients begin no more than this; 0: no bound
    keep_faults: frozenset[int] | None = None  # None: all of the plan
    cut: tuple[int, int] | None = None  # all members lose power at this member's disk operation of that number
    plan: tuple[Fault, ...] | None = None  # carried out instead of what the seed would draw

    def as_flags(self) -> str:
        flags: list[str] = []
        if self.members:
            flags.append(f"--members {self.members}")
        if self.safety_ms != STOCK.safety_ms:
            flags.append(f"--seconds {self.safety_ms // 1_000}")
        if self.keep_faults is not None:
            flags.append(f"--keep-faults '{show_keep(self.keep_faults)}'")
        if self.operations:
            flags.append(f"--operations {self.operations}")
        if self.cut is not None:
            flags.append(f"--cut {self.cut[0]}:{self.cut[1]}")
        return "".join(f" {flag}" for flag in flags)


STOCK = Options()


class Broken(msgspec.Struct, frozen=True):
    """A promise that did not hold: which check says so, in one sentence, with what proves it."""

    check: str
    sentence: str
    evidence: tuple[str, ...]
    at_ms: int


class SeedReport(msgspec.Struct, frozen=True):
    seed: int
    options: Options
    members: int
    simulated_ms: int
    operations: int  # begun by clients
    checked: int  # operations whose outcome the checkers weighed
    events: int
    trace: str
    faults: dict[str, int]
    marks: dict[str, int]
    planned: int  # faults in the plan, before any were left out
    cpu_s: float
    broken: Broken | None = None
    disk_operations: tuple[tuple[int, int], ...] = ()  # first and last of each founding member: where a cut may fall

    def replay_command(self) -> str:
        return f"coordnode simulate --seeds {self.seed}-{self.seed}{self.options.as_flags()}"
