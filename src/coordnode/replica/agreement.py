"""Do all members hold the same state? Digests are compared at agreed indices; the leader judges by majority. Pure."""

from coordnode.ids import Index, MemberId

AGREE = 0
WE_DIFFER = 1
NOBODY_KNOWS = 2
ALL_AGREE = 3  # every voter said so

KEPT = 64  # checkpoints remembered; a member that lags further is compared later


class Agreement:
    def __init__(self) -> None:
        self._own: dict[Index, int] = {}
        self._reports: dict[Index, dict[MemberId, int]] = {}
        self.newest = Index(0)
        self._agreed = Index(0)  # by all; a word that comes late, of what was before, stops nobody any more

    def checkpoint(self, index: Index, digest: int) -> None:
        """Our own digest right after applying `index`."""
        self._own[index] = digest
        self.newest = index
        if len(self._own) > KEPT:
            oldest = next(iter(self._own))
            del self._own[oldest]
            self._reports.pop(oldest, None)

    def own(self, index: Index) -> int | None:
        return self._own.get(index)

    def forget_reports(self) -> None:
        self._reports.clear()

    def report(self, member: MemberId, index: Index, digest: int) -> None:
        if index in self._own or (index > self.newest and len(self._reports) < 2 * KEPT):
            self._reports.setdefault(index, {})[member] = digest

    def judge(self, index: Index, us: MemberId, voters: tuple[MemberId, ...]) -> tuple[int, list[tuple[MemberId, int]]]:
        """A verdict about `index`, and who differs from the majority, with what it reported."""
        digest = self._own.get(index)
        reports = self._reports.get(index)
        if digest is None or not reports:
            return AGREE, []
        said = {**reports, us: digest}
        heard_all = all(voter in said for voter in voters)
        if all(other == digest for other in reports.values()):
            if not heard_all:
                return AGREE, []
            self._agreed = max(self._agreed, index)
            return ALL_AGREE, []
        supporters: dict[int, int] = {}
        for voter in voters:
            if voter in said:
                supporters[said[voter]] = supporters.get(said[voter], 0) + 1
        needed = len(voters) // 2 + 1
        for candidate, count in supporters.items():
            if count >= needed:
                wrong = [(member, said[member]) for member in sorted(said) if said[member] != candidate]
                return (WE_DIFFER if digest != candidate else AGREE), wrong
        return (NOBODY_KNOWS if heard_all and index > self._agreed else AGREE), []
