"""Every order that real time allows, tried one by one; and small random histories, right and spoilt."""

from collections.abc import Sequence
from random import Random
from typing import Any

from coordnode.checking.history import FAILED, FOREVER, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.models import ILLEGAL, Model
from coordnode.checking.set_models import SetFull
from coordnode.checking.store import Store


def explains(model: Model, operations: Sequence[Operation]) -> bool:
    """Plain search over the whole history at once: no partitions, no memory, no order of preference."""

    def goes_on(left: list[Operation], states: dict[object, object]) -> bool:
        if all(operation.kind == UNKNOWN for operation in left):
            return True
        for operation in left:
            if any(other.returned < operation.invoked for other in left if other is not operation):
                continue
            partition = model.partition(operation)
            state = states.get(partition, model.initial)
            following = model.step(state, operation.function, operation.argument, operation.result)  # type: ignore[arg-type]
            if following is ILLEGAL:
                continue
            if goes_on([other for other in left if other is not operation], {**states, partition: following}):
                return True
        return False

    return goes_on([operation for operation in operations if operation.kind != FAILED], {})


def store_explains(operations: Sequence[Operation]) -> bool:
    """The same for coordnode's store, whose sessions may also end by themselves."""
    store = Store()

    def goes_on(left: list[Operation]) -> bool:
        if all(operation.kind == UNKNOWN for operation in left):
            return True
        ends = [Operation(0, "end-sessions", (session,), UNSEEN, -FOREVER, FOREVER, UNKNOWN) for session in store.sessions_with_keys()]
        for operation in left + ends:
            if any(other.returned < operation.invoked for other in left if other is not operation):
                continue
            expected, changes = store.answer(operation)
            if operation.kind == OK and expected != operation.result:
                continue
            before = store.commit(operation, changes)
            found = goes_on([other for other in left if other is not operation])
            store.undo(operation, before)
            if found:
                return True
        return False

    return goes_on([operation for operation in operations if operation.kind != FAILED])


def ends(random: Random) -> list[tuple[str, object]]:
    return [("release", random.randrange(1, 4)), ("release", random.randrange(1, 4)), ("lost", random.choice([1, 2, 3, None]))]


CLAIMS = ("lock", "rwlock", "semaphore", "election", "shards")

QUESTIONS = {
    "register": lambda random: random.choice([("read", None), ("write", random.choice([0, 1, 2, None]))]),
    "cas-register": lambda random: random.choice(
        [
            ("read", None),
            ("write", random.choice([0, 1, 2, None])),
            ("cas", (random.choice([None, 0, 1, 2]), random.choice([0, 1, 2, None]))),
        ]
    ),
    "kv": lambda random: random.choice(
        [
            ("get", (random.choice("ab"), None)),
            ("put", (random.choice("ab"), random.choice(["x", "y", "z", None]))),
            ("append", (random.choice("ab"), random.choice("xyz"))),
            ("delete", (random.choice("ab"), None)),
            ("cas", (random.choice("ab"), (random.choice(["", "x", "y"]), random.choice("xyz")))),
        ]
    ),
    "counter": lambda random: random.choice([("read", None), ("add", random.randrange(1, 4)), ("add-get", random.randrange(1, 4))]),
    "set-full": lambda random: random.choice([("read", None), ("add", random.choice([0, 1, 2, None]))]),
    "mutex": lambda random: random.choice([("acquire", None), ("release", None)]),
    "lock": lambda random: random.choice(
        [
            ("acquire", None),
            ("acquire", None),
            *ends(random),
            ("write", (random.randrange(1, 4), random.choice(["x", "y", None]))),
            ("read", None),
        ]
    ),
    "rwlock": lambda random: random.choice([("acquire", "read"), ("acquire", "read"), ("acquire", "write"), *ends(random)]),
    "semaphore": lambda random: random.choice([("acquire", (1, 3)), ("acquire", (2, 3)), ("acquire", (3, 3)), *ends(random)]),
    "election": lambda random: random.choice(
        [
            ("campaign", random.choice(["x", None])),
            ("campaign", random.choice(["x", None])),
            ("resign", random.randrange(1, 4)),
            ("lost", random.choice([1, 2, 3, None])),
            ("proclaim", (random.randrange(1, 4), random.choice(["x", None, None]))),
            ("observe", None),
        ]
    ),
    "shards": lambda random: random.choice(
        [("own", "a"), ("own", "b"), ("lost", None), ("release", random.choice([10, 11, 20])), ("owners", None), ("owners", None)]
    ),
    "session": lambda random: random.choice(
        [
            ("open", None),
            ("open", None),
            *[(function, random.choice([1, 1, 2])) for function in ("renew", "close", "lost")],
            ("bind", (random.choice([1, 1, 2]), (random.choice("ab"), random.choice([0, None])))),
            ("bind", (random.choice([1, 1, 2]), ("a", random.choice([0, None])))),
            ("put", (random.choice("ab"), random.choice([0, None]))),
            ("delete", random.choice("ab")),
            ("get", "a"),
            ("get", random.choice("ab")),
        ]
    ),
    "group": lambda random: (
        random.choice(["join", "join", "update", "leave", "lost", "read", "read"]),
        (random.choice("ggh"), (random.choice("mn"), random.choice([0, None]))),
    ),
    "barrier": lambda random: (
        random.choice(["enter", "enter", "enter", "leave", "leave", "give-up", "lost", "read"]),
        ("b", (random.choice("mn"), 2)),
    ),
    "queue": lambda random: random.choice(
        [
            ("put", (random.randrange(1 << 30), random.randrange(2))),
            ("put", (random.randrange(1 << 30), random.randrange(2))),
            ("take", None),
            ("take", None),
            ("ack", random.randrange(1, 4)),
            ("nack", random.randrange(1, 4)),
            ("read", None),
        ]
    ),
    "journal": lambda random: random.choice(
        [
            ("append", (random.choice("jjk"), tuple(random.choices(["x", "y", None], k=random.randrange(1, 3))))),
            ("append", ("j", tuple(random.choices(["x", "y", None], k=random.randrange(1, 3))))),
            ("read", (random.choice("jjk"), random.randrange(4))),
            ("read", ("j", random.randrange(2))),
            ("trim", (random.choice("jjk"), random.randrange(3))),
        ]
    ),
}


def question(model: Model, random: Random) -> tuple[str, object]:
    """Of groups and barriers only some functions are asked with all that is drawn."""
    function, argument = QUESTIONS[model.name](random)
    if model.name == "group" and function not in ("join", "update"):
        assert isinstance(argument, tuple)
        return function, (argument[0], None if function == "read" else argument[1][0])
    if model.name == "barrier" and function != "enter":
        assert isinstance(argument, tuple)
        return function, (argument[0], None if function == "read" else argument[1][0])
    return function, argument


def random_history(model: Model, random: Random, count: int) -> list[Operation]:
    """What a real object, asked by a few clients at once, could have answered; every operation has its place."""
    operations: list[Operation] = []
    states: dict[object, object] = {}
    free_at = [0, 0, 0]
    spread = random.choice([40, 120, 250])  # how far operations overlap
    unknown = random.choice([0.1, 0.2, 0.6])  # how many outcomes nobody is told
    for index in range(1, count + 1):
        process = random.randrange(len(free_at))
        took_effect = 100 * index
        invoked = min(took_effect, max(free_at[process] + 1, took_effect - random.randrange(1, spread)))
        if free_at[process] >= took_effect:
            process = len(free_at)
            free_at.append(0)
            invoked = took_effect - random.randrange(1, spread)
        returned = took_effect + random.randrange(1, spread)
        function, argument = question(model, random)
        fate = random.random()
        if fate < 0.1:
            free_at[process] = returned
            operations.append(Operation(process, function, argument, UNSEEN, invoked, returned, FAILED))
            continue
        partition = model.partition(Operation(process, function, argument, UNSEEN, invoked, returned))
        state = states.get(partition, model.initial)
        following = model.step(state, function, argument, UNSEEN)  # type: ignore[arg-type]
        if fate < 0.1 + unknown:
            free_at[process] = FOREVER
            if random.random() < 0.5 and following is not ILLEGAL:
                states[partition] = following
            operations.append(Operation(process, function, argument, UNSEEN, invoked, FOREVER, UNKNOWN))
            continue
        result = answer_of(model, function, argument, state, following, index)
        if result is ILLEGAL:
            continue
        following = model.step(state, function, argument, result)  # type: ignore[arg-type]
        if following is not ILLEGAL:
            states[partition] = following
        free_at[process] = returned
        operations.append(Operation(process, function, argument, result, invoked, returned, OK, index, 0))
    return operations


def answer_of(model: Model, function: str, argument: object, state: object, following: object, index: int) -> object:
    """`index` grows: a number that nobody was given yet."""
    if model.name in CLAIMS:
        return claims_answer(function, argument, state, following)
    if model.name in OWN_ANSWERS:
        return OWN_ANSWERS[model.name](model, function, argument, state, index)
    if function == "read":
        return tuple(model.elements(state)) if isinstance(model, SetFull) else state  # type: ignore[arg-type, type-var]
    if function == "get":
        assert isinstance(argument, tuple)
        return (argument[0], state)
    if function == "add-get":
        return following
    if following is not ILLEGAL:
        return argument
    return False if function == "cas" else ILLEGAL


# Each of these is what a real one would say, made from the state alone, beside the model's own rules.


def session_answer(model: Any, function: str, argument: Any, state: Any, index: int) -> object:
    opened, living, keys = state
    there = {key: value for key, value, _ in keys}
    if function == "open":
        return 1 + opened.bit_count()
    if function == "put":
        return None
    if function in ("get", "delete"):
        return there.get(argument) if function == "get" else argument in there
    lives = bool(living & model.bit(argument[0] if function == "bind" else argument))
    if function == "lost":
        return None if lives else ILLEGAL
    return lives


def group_answer(model: Any, function: str, argument: Any, state: Any, index: int) -> object:
    number, is_told, members = state
    names = [member for member, _ in members]
    if function == "read":
        return (0, ()) if not members else (number if is_told else index, tuple(reversed(members)))
    if function == "lost":
        return None if argument[1] in names else ILLEGAL
    if function == "leave":
        return index if argument[1] in names else False
    if (argument[1][0] in names) is (function == "join"):
        return False
    return number if is_told and tuple(argument[1]) in members else index


def barrier_answer(model: Any, function: str, argument: Any, state: Any, index: int) -> object:
    _, found = state
    inside = () if found is None else found.inside
    if function == "read":
        return None if found is None else (found.number or index, found.count, len(inside), found.is_open)
    if function == "enter":
        session, count = argument[1]
        if found is not None and (found.is_open or session in inside):
            return False
        return ((found.number if found is not None else 0) or index, len(inside) + 1, len(inside) + 1 == count)
    if function == "lost":
        return None if argument[1] in inside else ILLEGAL
    if function == "give-up" and argument[1] in inside and found.is_open:
        return "open"
    return argument[1] in inside


def queue_answer(model: Any, function: str, argument: Any, state: Any, index: int) -> object:
    ready, away, _, newest = state
    if function == "put":
        return None
    if function == "read":
        return tuple([task[2] for task in ready] + [task[2] for task, _ in away])
    if function == "take":
        back = [task for task, _ in away if (not ready or task < ready[0]) and index % 2]  # its lease has ended
        return (back[0][2], newest + 1) if back else (ready[0][2], newest + 1) if ready else None
    return True if argument in [token for _, token in away] else "stale"


def journal_answer(model: Any, function: str, argument: Any, state: Any, index: int) -> object:
    first, following, last = state
    if function != "read":
        return following if function == "append" else None
    begin = max(first, argument[1])
    return begin, model.records(last, begin, min(following - begin, 1 + index % 3)) if begin < following else ()


OWN_ANSWERS = {
    "session": session_answer,
    "group": group_answer,
    "barrier": barrier_answer,
    "queue": queue_answer,
    "journal": journal_answer,
}


def claims_answer(function: str, argument: object, state: object, following: object) -> object:
    assert isinstance(state, tuple)
    claims, highest = state[:2]
    if function == "owners":
        shown, above = [], 0
        for token, shard in claims:
            above = token if token > 0 else max(above, -token) + 1  # one that nobody was told: any that fits
            shown.append((shard, above))
        return tuple(reversed(shown))
    if function == "own":
        return ILLEGAL if following is ILLEGAL else highest + 10  # there is room for those that nobody is told
    if function in ("acquire", "campaign", "lost"):
        return ILLEGAL if following is ILLEGAL else None if function == "lost" else highest + 1
    if function in ("release", "resign"):
        return argument in [token for token, _ in claims]
    if function == "read":
        return state[3]
    if function == "observe":
        return claims[0][1] if claims else None
    assert isinstance(argument, tuple)
    return argument[0] >= state[2] if function == "write" else argument[0] in [token for token, _ in claims]


def spoilt(model: Model, operations: list[Operation], random: Random) -> list[Operation]:
    """One lie: a read of something else, a write that is lost or done twice, an answer that came too early or too late."""
    victims = [number for number, operation in enumerate(operations) if operation.kind == OK]
    if not victims:
        return operations
    number = random.choice(victims)
    victim = operations[number]
    changed = list(operations)
    lie = random.randrange(4)
    if lie == 0:
        alike = [other for other in operations if other.function == victim.function and other.kind == OK]
        others = [other.result for other in alike if other.result != victim.result and model.partition(other) == model.partition(victim)]
        if not others:
            return spoilt(model, operations[:number] + operations[number + 1 :], random)
        changed[number] = with_fields(victim, result=random.choice(others))
    elif lie == 1:
        del changed[number]
    elif lie == 2:
        shift = random.choice([-400, -200, 200, 400])
        changed[number] = with_fields(victim, invoked=victim.invoked + shift, returned=victim.returned + shift)
    else:
        other = random.choice(victims)
        changed[number] = with_fields(victim, index=operations[other].index)
        changed[other] = with_fields(operations[other], index=victim.index)
    return sorted(changed, key=lambda operation: operation.invoked)


def with_fields(operation: Operation, **fields: object) -> Operation:
    named = {name: getattr(operation, name) for name in operation.__struct_fields__}
    return Operation(**{**named, **fields})  # type: ignore[arg-type]
