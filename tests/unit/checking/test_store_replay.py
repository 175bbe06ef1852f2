"""The replay of coordnode's store says what trying every order says, with and without places, with and without unknowns."""

from random import Random

from coordnode.checking.certificate import verify
from coordnode.checking.history import FAILED, FOREVER, NO_PLACE, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.linearizable import Budget
from coordnode.checking.replay import check_store
from coordnode.checking.shapes import relevant
from coordnode.checking.store import OPENED, Store
from coordnode.checking.verdict import PASS, VIOLATION
from coordnode.checking.verdict import UNKNOWN as UNDECIDED
from tests.unit.checking.brute_force import store_explains, with_fields

KEYS = (b"a", b"b")


def question(random: Random, number: int, values: int, session: int) -> tuple[str, object]:
    key = random.choice(KEYS)
    value = b"v%d" % (number % values)
    match random.randrange(11):
        case 0 | 1:
            return "put", (key, value, random.choice([0, 0, session]))
        case 2:
            return "delete", key
        case 3 | 4:
            return "get", key
        case 5:
            return "range", (b"", b"", 0, False)
        case 6:
            compare = (key, random.randrange(1, 4), random.randrange(4), random.randrange(3), b"")
            return "transaction", ((compare,), (("put", key, value, 0), ("get", key)), (("delete", key),))
        case 7:
            return "close-session", session
        case 8 | 9:
            return "transaction", ((), steps(random, value), ())
        case _:
            return "delete-range", (b"a", b"c", 2)


def steps(random: Random, value: bytes) -> tuple[tuple[object, ...], ...]:
    """Several, often on one key."""
    found: list[tuple[object, ...]] = []
    for number in range(random.randrange(2, 5)):
        key = random.choice(KEYS) if random.random() < 0.3 else KEYS[0]
        found.append(
            random.choice([("put", key, value + b"%d" % number, 0), ("put", key, value, 0), ("delete", key), ("get", key), ("get", key)])
        )
    return tuple(found)


def random_history(random: Random, count: int, values: int) -> list[Operation]:
    store = Store()
    operations: list[Operation] = []
    spread = random.choice([50, 150, 250])
    session = 7
    for index in range(1, count + 1):
        if random.random() < 0.1 and store.sessions_with_keys():
            ending = Operation(0, "end-sessions", (session,), UNSEEN, 0, FOREVER, UNKNOWN)
            store.commit(ending, store.answer(ending)[1])
            session += 1
        function, argument = question(random, index, values, session)
        moment = 100 * index
        invoked, returned = moment - random.randrange(spread), moment + random.randrange(spread)
        fate = random.random()
        asked = Operation(index, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN)
        if fate < 0.08:
            operations.append(with_fields(asked, kind=FAILED, returned=returned))
            continue
        expected, changes = store.answer(asked)
        if function == "close-session":
            session += 1  # nobody uses one that may be over
        if function == "range":
            whole = [store._items[key] for key in store._keys]
            expected = (store.revision, tuple(whole), False)
        if fate < 0.3:
            if random.random() < 0.6:
                store.commit(asked, changes)
            operations.append(asked)
            continue
        store.commit(asked, changes)
        operations.append(Operation(index, function, argument, expected, invoked, returned, OK, index))
    return sorted(operations, key=lambda operation: operation.invoked)


def spoilt(operations: list[Operation], random: Random) -> list[Operation]:
    known = [number for number, operation in enumerate(operations) if operation.kind == OK]
    if not known:
        return operations
    number = random.choice(known)
    victim = operations[number]
    changed = list(operations)
    lie = random.randrange(4)
    if lie == 0:
        others = [other for other in operations if other.kind == OK and other.function == victim.function]
        changed[number] = with_fields(victim, result=random.choice(others).result)
    elif lie == 1:
        del changed[number]
    elif lie == 2 and isinstance(victim.result, tuple):
        changed[number] = with_fields(victim, result=(abs(victim.result[0] + random.choice([-1, 1])), *victim.result[1:]))
    else:
        shift = random.choice([-300, 300])
        changed[number] = with_fields(victim, invoked=victim.invoked + shift, returned=victim.returned + shift)
    return sorted(changed, key=lambda operation: operation.invoked)


def test_revisions_alone_decide_as_brute_force_does() -> None:
    random = Random("store without places")
    seen = {PASS: 0, VIOLATION: 0}
    for number in range(3000):
        values = random.choice([2, 100])
        operations = random_history(random, random.randrange(3, 8), values)
        for _ in range(number % 3):
            operations = spoilt(operations, random)
        operations = [with_fields(operation, index=NO_PLACE) for operation in operations]
        verdict = check_store(relevant(operations), Budget())
        assert verdict.outcome == (PASS if store_explains(operations) else VIOLATION), (number, operations, verdict)
        if verdict.outcome == PASS:
            assert verify(None, operations, verdict.certificate) == "", (number, operations)
        seen[verdict.outcome] += 1
    assert min(seen.values()) > 300, seen


def test_places_are_believed_only_when_they_explain_everything() -> None:
    random = Random("store with places")
    seen = {PASS: 0, VIOLATION: 0}
    for number in range(2000):
        operations = random_history(random, random.randrange(3, 9), 100)
        for _ in range(number % 3):
            operations = spoilt(operations, random)
        verdict = check_store(relevant(operations), Budget())
        if verdict.outcome == PASS:
            assert verify(None, operations, verdict.certificate) == "", (number, operations)
            assert store_explains(operations)
        else:
            assert number % 3, (number, operations, verdict)
        seen[verdict.outcome] += 1
    assert min(seen.values()) > 300, seen


def put(index: int, revision: int, key: bytes = b"k", value: bytes = b"v", session: int = 0) -> Operation:
    return Operation(1, "put", (key, value, session), revision, index * 10, index * 10 + 5, OK, index)


def test_a_complete_history_leaves_no_revision_unclaimed() -> None:
    lost = Operation(2, "put", (b"k", b"x", 0), UNSEEN, 0, FOREVER, UNKNOWN)
    operations = [put(1, 1), put(3, 3), lost]
    assert check_store(operations, Budget()).outcome == PASS
    assert check_store(operations, Budget(), complete=True).outcome == VIOLATION
    placed = with_fields(lost, index=2)
    assert check_store([put(1, 1), put(3, 3), placed], Budget(), complete=True).outcome == PASS
    late = with_fields(lost, index=2, invoked=38)
    verdict = check_store([put(1, 1), put(3, 3), late], Budget(), complete=True)
    assert (verdict.outcome, verdict.evidence.operation.index) == (VIOLATION, 3)  # type: ignore[union-attr]


def test_the_end_of_a_session_explains_a_revision_and_what_was_deleted() -> None:
    gone = Operation(1, "get", b"k", (2, None), 30, 35, OK, 3)
    assert check_store([put(1, 1, session=9), gone], Budget()).outcome == PASS
    assert check_store([put(1, 1), gone], Budget()).outcome == VIOLATION
    after_the_end = [
        put(1, 1, session=9),
        Operation(0, "end-sessions", (9,), UNSEEN, 0, FOREVER, UNKNOWN, 2),
        put(3, 3, session=9),
    ]
    verdict = check_store(after_the_end, Budget(), complete=True)
    assert verdict.outcome == VIOLATION
    assert "the session had ended" in verdict.reason


def test_two_commands_cannot_have_one_place() -> None:
    verdict = check_store([put(1, 1), with_fields(put(2, 2), index=1)], Budget())
    assert verdict.outcome == VIOLATION
    assert "claim index 1" in verdict.reason


def test_a_first_command_is_carried_out_with_the_opening() -> None:
    opened = Operation(1, "open-session", ("put", (b"k", b"v", OPENED)), (1, 5, 1), 0, 5, OK, 1)
    seen = Operation(1, "get", b"k", (1, (b"k", b"v", 1, 1, 1, 5)), 10, 15, OK, 1)
    closed = Operation(1, "close-session", 5, (2, 1), 20, 25, OK, 2)
    assert check_store(relevant([opened, seen, closed]), Budget(), complete=True).outcome == PASS
    assert check_store(relevant([opened, seen, with_fields(closed, result=(1, 1))]), Budget(), complete=True).outcome == VIOLATION


def test_without_places_the_end_of_a_session_is_where_its_keys_ended() -> None:
    bound = put(1, 1, session=5)
    gone = Operation(2, "get", b"k", (2, None), 15, 40, OK)
    closed = Operation(1, "close-session", 5, (2, 1), 20, 45, OK)
    late = Operation(3, "close-session", 6, (2, 1), 50, 55, OK)
    operations = [with_fields(one, index=NO_PLACE) for one in (bound, gone, closed, late)]
    assert check_store(relevant(operations), Budget()).outcome == PASS
    too_late = with_fields(operations[2], invoked=41)
    # The session may have ended by itself before: then its closing would have been refused, and it was not.
    assert check_store(relevant([operations[0], operations[1], too_late]), Budget()).outcome == PASS


def test_a_session_may_be_closed_when_its_keys_are_its_own_no_more() -> None:
    """A close does not say whether anything ended with it: what took its key out may have made its revision."""
    opened = Operation(0, "open-session", ("put", (b"b", b"y", OPENED)), (1, 101, 1), 0, 5)
    closed = Operation(0, "close-session", 101, (2, 0), 20, 30)
    seen = Operation(0, "get", b"b", (2, (b"b", b"w", 1, 2, 2, 0)), 40, 45)
    gone = Operation(0, "get", b"b", (2, None), 40, 45)
    rebound = Operation(1, "put", (b"b", b"w", 0), UNSEEN, 10, FOREVER, UNKNOWN)
    elsewhere = Operation(1, "put", (b"c", b"w", 0), UNSEEN, 10, FOREVER, UNKNOWN)
    too_late = with_fields(rebound, invoked=35)
    for unknown, answer, outcome in [
        (rebound, seen, PASS),
        (rebound, gone, PASS),
        (elsewhere, gone, PASS),
        (elsewhere, seen, VIOLATION),
        (too_late, seen, VIOLATION),
    ]:
        operations = relevant([opened, unknown, closed, answer])
        verdict = check_store(operations, Budget())
        assert verdict.outcome == outcome, (unknown, answer, verdict.reason)
        if outcome == PASS:
            assert verify(None, operations, verdict.certificate) == ""


def test_what_a_transaction_saw_of_itself_and_changed_again_is_no_sighting() -> None:
    before = Operation(0, "put", (b"x", b"1", 0), UNSEEN, 0, FOREVER, UNKNOWN)
    seen = (b"k", b"a", 2, 2, 1, 0)
    for last in (("put", b"k", b"b", 0), ("delete", b"k")):
        argument = ((), (("put", b"k", b"a", 0), ("get", b"k"), last), ())
        written = Operation(1, "transaction", argument, (2, True, (1, seen, 1)), 10, 15)
        assert check_store(relevant([before, written]), Budget()).outcome == PASS


def test_doubt_elsewhere_does_not_blur_a_violation() -> None:
    """Many unclaimed revisions of other keys, any of which could be filled in many ways, and one stale read."""
    operations: list[Operation] = []
    for number in range(30):
        operations.append(Operation(9, "put", (b"x%d" % number, b"y", 0), UNSEEN, 0, FOREVER, UNKNOWN))
        operations.append(put(2 * number + 2, 2 * number + 2))
    operations.append(Operation(1, "get", b"k", (60, (b"k", b"v", 2, 2, 1, 0)), 900, 905, OK, 100))
    verdict = check_store(operations, Budget(steps_max=50_000))
    assert verdict.outcome == VIOLATION, verdict.reason


def hopeless() -> list[Operation]:
    """Twenty revisions that nobody claims, forty writes that may fill them, and a key that is gone though nothing can have deleted it."""
    operations = [Operation(9, "put", (b"x%d" % number, b"y", 0), UNSEEN, 0, FOREVER, UNKNOWN) for number in range(40)]
    operations += [with_fields(put(2 * number + 2, 2 * number + 2), index=NO_PLACE) for number in range(20)]
    operations.append(Operation(1, "get", b"k", (40, None), 900, 905, OK))
    operations.append(Operation(2, "delete-range", (b"k", b"l", 9), UNSEEN, 906, FOREVER, UNKNOWN))
    return operations


def test_each_budget_ends_in_unknown_with_its_reason() -> None:
    steps = check_store(hopeless(), Budget(steps_max=20_000))
    assert (steps.outcome, "undecided after" in steps.reason) == (UNDECIDED, True)
    assert steps.steps < 30_000
    looks = iter(range(1000))
    late = check_store(hopeless(), Budget(out_of_time=lambda: next(looks) > 5))
    assert (late.outcome, "the time was up" in late.reason) == (UNDECIDED, True)
    looks = iter(range(1000))
    large = check_store(hopeless(), Budget(out_of_memory=lambda: next(looks) > 5))
    assert (large.outcome, "the memory was used up" in large.reason) == (UNDECIDED, True)
    assert "revisions that no reply claims" in large.reason


def busy(random: Random, count: int, unknown: float) -> list[Operation]:
    """Ten clients write, delete and read fifty keys, a third of them bound to sessions that end unseen; no reply names its place."""
    store = Store()
    operations: list[Operation] = []
    free_at = [0] * 10
    sessions = list(range(1, 20))
    for number in range(1, count + 1):
        moment = 100 * number
        process = random.randrange(10)
        invoked = max(free_at[process] + 1, moment - random.randrange(1000))
        if invoked > moment:
            continue
        if random.random() < 0.02 and len(sessions) > 1:
            ended = Operation(0, "end-sessions", (sessions.pop(random.randrange(len(sessions))),), UNSEEN, 0, FOREVER, UNKNOWN)
            store.commit(ended, store.answer(ended)[1])
            sessions.append(number + 20)
        key = b"k%d" % random.randrange(50)
        session = random.choice(sessions) if random.random() < 0.3 else 0
        function, argument = random.choice(
            [
                ("get", key),
                ("get", key),
                ("put", (key, b"v%d" % number, session)),
                ("put", (key, b"v%d" % number, session)),
                ("delete", key),
            ]
        )
        asked = Operation(process, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN)
        expected, changes = store.answer(asked)
        if function != "get" and random.random() < unknown:
            if random.random() < 0.5:
                store.commit(asked, changes)
            operations.append(with_fields(asked, process=number + 10))
            continue
        store.commit(asked, changes)
        free_at[process] = moment + random.randrange(100)
        operations.append(Operation(process, function, argument, expected, invoked, free_at[process], OK))
    return sorted(operations, key=lambda operation: operation.invoked)


def test_many_unknown_outcomes_and_ended_sessions_are_sorted_out_by_what_was_seen() -> None:
    """A thousand operations each, a tenth of the writes unknown: what was seen of the keys leaves little to guess."""
    for seed in range(5):
        operations = busy(Random(seed), 1500, 0.1)
        verdict = check_store(relevant(operations), Budget(steps_max=200_000))
        assert verdict.outcome == PASS, (seed, verdict.reason)
        assert verify(None, operations, verdict.certificate) == ""
