"""Control groups that hold a member to a memory limit or a share of the processor; they go when they are closed. Needs root."""

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


class Group:
    """Of kernels with version 1 of control groups, and of those with version 2."""

    def __init__(self, name: str) -> None:
        self._is_first = (ROOT / "memory").is_dir()
        self._memory = (ROOT / "memory" if self._is_first else ROOT) / name
        self._cpu = (ROOT / "cpu" if self._is_first else ROOT) / name
        if not self._is_first:
            (ROOT / "cgroup.subtree_control").write_text("+memory +cpu")
        for folder in {self._memory, self._cpu}:
            folder.mkdir()

    def take(self, process: int) -> None:
        for folder in {self._memory, self._cpu}:
            (folder / "cgroup.procs").write_text(str(process))

    def limit_memory(self, bytes_max: int) -> None:
        (self._memory / ("memory.limit_in_bytes" if self._is_first else "memory.max")).write_text(str(bytes_max))

    def limit_cpu(self, share: float) -> None:
        """Of one processor."""
        quota_us = round(share * PERIOD_US)
        if self._is_first:
            (self._cpu / "cpu.cfs_quota_us").write_text(str(quota_us))
        else:
            (self._cpu / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")

    def close(self) -> None:
        """Whoever was in it has ended."""
        for folder in {self._memory, self._cpu}:
            folder.rmdir()
