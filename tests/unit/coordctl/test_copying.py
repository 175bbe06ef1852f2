"""Keys that are copied, beside those that somebody else has at the target."""

from collections.abc import Iterator

import pytest

from coordctl.hot.kv import Item
from coordctl.local.clusters import COORDNODE, Chosen, Endpoint
from coordctl.operations import copying
from coordctl.results.copy import Copied


class There:
    """Keys of one cluster: value and session. Whoever else writes does so right before the first write from here."""

    def __init__(self, kept: dict[bytes, tuple[bytes, int]], meanwhile: dict[bytes, tuple[bytes, int]] | None = None) -> None:
        self.kept = kept
        self._meanwhile = meanwhile or {}

    def items(self, prefix: bytes) -> Iterator[Item]:
        return iter([Item(key, value, 1, len(value), 1, session) for key, (value, session) in sorted(self.kept.items())])

    def put(self, key: bytes, value: bytes, before: Item | None = None, *, overwrites: bool = False) -> bool:
        self.kept |= self._meanwhile
        found = next((one for one in self.items(b"") if one.key == key), None)
        is_as_before = found == before or overwrites
        if is_as_before:
            self.kept[key] = (value, 0)
        return is_as_before


def copied(monkeypatch: pytest.MonkeyPatch, source: There, target: There, *, overwrites: bool = True, is_dry: bool = False) -> Copied:
    sides = {"source": source, "target": target}
    monkeypatch.setattr(copying, "Keys", lambda cluster, _: sides[cluster.name])
    one, other = (Chosen(COORDNODE, name, [Endpoint(f"{name}:1", 0, name)]) for name in sides)
    return copying.Copying(one, other, b"", 1.0).run(overwrites=overwrites, is_dry=is_dry)


def whys(found: Copied) -> list[tuple[str, str]]:
    return [(one.key, one.why) for one in found.unlike]


@pytest.mark.parametrize("is_dry", [True, False])
def test_what_is_bound_at_the_target_is_never_overwritten(is_dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    target = There({b"a": (b"theirs", 7), b"b": (b"mine", 0)})
    found = copied(monkeypatch, There({b"a": (b"ours", 0), b"b": (b"ours", 0)}), target, is_dry=is_dry)
    assert whys(found) == [("a", "bound there")]
    assert (found.written, found.exit_code) == (1, 1)
    assert target.kept == {b"a": (b"theirs", 7), b"b": (b"mine" if is_dry else b"ours", 0)}


def test_what_was_written_is_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    target = There({}, meanwhile={b"a": (b"theirs, quicker", 0)})
    found = copied(monkeypatch, There({b"a": (b"ours", 0), b"b": (b"ours", 0)}), target, overwrites=False)
    assert whys(found) == [("a", "another value")]
    assert found.written == 1


def test_what_becomes_bound_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    target = There({b"a": (b"old", 0)}, meanwhile={b"a": (b"theirs", 7)})
    assert whys(copied(monkeypatch, There({b"a": (b"ours", 0)}), target)) == [("a", "bound there")]
    assert target.kept == {b"a": (b"theirs", 7)}
