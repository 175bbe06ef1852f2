"""What the `logs` verbs print."""

from typing import Literal

import msgspec


class LogWindow(msgspec.Struct, frozen=True, kw_only=True):
    """[from, to), UTC."""

    from_ms: int
    to_ms: int


class LogMember(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    lines: int
    from_ms: int
    to_ms: int
    clock_ms: int | None  # so much its clock is ahead of the middle one, corrected below; null: not known
    clock_error_ms: int
    clock_agreeing: float  # share of the places of the log that this offset is right for


class LogTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the input that was worked around."""

    source: str
    what: str


class LogSign(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is different."""

    member: str
    kind: str  # of lines, or the name of a number
    what: str  # new, more, fewer, higher, silent, clock set
    level: str
    onset_ms: int  # corrected
    error_ms: int
    now: float  # lines in the window, or the highest value
    before: float  # lines to be expected, or the usual value
    text: str  # the first such line; "": there is none


class LogFinding(LogSign, frozen=True, kw_only=True):
    """What nothing else explains, with what follows from it."""

    consequences: list[LogSign]
    consequences_left_out: int
    concurrent: list[str]  # what may as well have been first: "member kind"


class LogOddity(msgspec.Struct, frozen=True, kw_only=True):
    """One member differs from the others within the same time."""

    member: str
    kind: str
    value: float
    others: float


class LogsDiff(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.logs-diff/1"] = "coordctl.logs-diff/1"
    outcome: Literal["no difference", "different", "unknown"]
    exit_code: Literal[0, 1, 3]
    window: LogWindow
    baseline: LogWindow | None
    compared_with: str  # in words
    members: list[LogMember]
    first: LogSign | None
    findings: list[LogFinding]
    findings_left_out: int
    oddities: list[LogOddity]
    troubles: list[LogTrouble]
    missing: list[str]  # members that are, or that others speak of, and of which no line is in the window
    comparisons: int
    lines: int
    bytes: int
    elapsed_ms: int
    sources: list[str]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `logs search` and `logs tail`."""

    schema: Literal["coordctl.logs-search/1"] = "coordctl.logs-search/1"
    at_ms: int
    member: str
    level: str
    kind: str
    text: str


class CollectedFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # in the archive
    source: str
    lines: int
    bytes: int
    from_ms: int | None
    to_ms: int | None
    hidden: int  # secrets that were taken out


class NotCollected(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    why: str


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What `logs collect` and `bundle` made; the same stands in the archive as manifest.json."""

    schema: Literal["coordctl.bundle/1"] = "coordctl.bundle/1"
    outcome: Literal["whole", "partial"]
    exit_code: Literal[0, 1]
    archive: str
    bytes: int
    version: str
    made_ms: int
    window: LogWindow
    files: list[CollectedFile]
    missing: list[NotCollected]
    running: dict[str, bool] | None = None  # of another engine's members, which do not say when they are killed; null: nobody looked
    elapsed_ms: int


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    member: str
    text: str


class LogHypothesis(msgspec.Struct, frozen=True, kw_only=True):
    cause: str
    members: list[str]
    since_ms: int
    confidence: Literal["high", "medium", "low"]
    sentence: str
    evidence: list[EvidenceLine]
    risk: str  # to data
    runbook: str  # "": nothing is to be done, or `remedy` says what
    remedy: str  # of members of another engine; "": there is none
    confirm: str  # the command that confirms or refutes it
    is_planned: bool


class LogsExplained(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["coordctl.logs-explain/1"] = "coordctl.logs-explain/1"
    outcome: Literal["normal", "planned", "explained", "unknown"]
    exit_code: Literal[0, 1, 2, 3]
    window: LogWindow
    baseline: LogWindow | None
    members: list[LogMember]
    hypotheses: list[LogHypothesis]  # the likeliest first, what was planned last
    unexplained: list[LogFinding]  # what began, and no hypothesis covers
    ruled_out: list[str]
    troubles: list[LogTrouble]
    missing: list[str]
    lines: int
    elapsed_ms: int
    sources: list[str]
