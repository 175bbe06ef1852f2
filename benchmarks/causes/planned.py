"""Nothing is wrong: ordinary life, and work that somebody planned."""

from benchmarks.causes.faults import HOLD_SECONDS, SETTLE_SECONDS, Right
from benchmarks.causes.scene import Scene, wait


def healthy(scene: Scene, seed: int) -> Right:
    wait(HOLD_SECONDS)
    return Right((), ())


def rolling_restart(scene: Scene, seed: int) -> Right:
    leader = scene.leader()
    scene.restart([number for number in scene.cluster.members if number != leader] + [leader])
    wait(SETTLE_SECONDS)
    return Right((), ())


def restart_one(scene: Scene, seed: int) -> Right:
    scene.restart([scene.follower(seed) if seed % 2 else scene.leader()])
    wait(HOLD_SECONDS / 2)
    return Right((), ())


def rolling_upgrade(scene: Scene, seed: int) -> Right:
    leader, source = scene.leader(), scene.other_source()
    scene.restart([number for number in scene.cluster.members if number != leader] + [leader], source=source)
    wait(SETTLE_SECONDS)
    return Right((), ())


def backup(scene: Scene, seed: int) -> Right:
    scene.ctl("backup", "create", "--to", str(scene.folder / "backups"))
    wait(HOLD_SECONDS / 2)
    return Right((), ())


def transfer(scene: Scene, seed: int) -> Right:
    """The leadership is handed to a follower, as an operator does before work on the leader."""
    target = scene.follower(seed)
    scene.lead(target)
    wait(HOLD_SECONDS / 2)
    return Right((), ())


def replace(scene: Scene, seed: int) -> Right:
    """A member's folder is thrown away and it comes back with nothing, as a new one in its place."""
    scene.replace(scene.follower(seed))
    wait(HOLD_SECONDS / 2)
    return Right((), ())
