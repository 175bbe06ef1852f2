"""Every order that real time allows, tried one by one; and small random histories, right and spoilt."""

from collections.abc import Sequence
from random import Random

from coordnode.checking.history import FAILED, FOREVER, OK, UNKNOWN, UNSEEN, Operation
from coordnode.checking.models import ILLEGAL, Model
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


CLAIMS = ("lock", "rwlock", "semaphore", "election")

QUESTIONS = {
    "register": lambda random: random.choice([("read", None), ("write", random.randrange(3))]),
    "cas-register": lambda random: random.choice(
        [("read", None), ("write", random.randrange(3)), ("cas", (random.choice([None, 0, 1, 2]), random.randrange(3)))]
    ),
    "kv": lambda random: random.choice(
        [
            ("get", (random.choice("ab"), None)),
            ("put", (random.choice("ab"), random.choice("xyz"))),
            ("append", (random.choice("ab"), random.choice("xyz"))),
            ("delete", (random.choice("ab"), None)),
            ("cas", (random.choice("ab"), (random.choice(["", "x", "y"]), random.choice("xyz")))),
        ]
    ),
    "counter": lambda random: random.choice([("read", None), ("add", random.randrange(1, 4))]),
    "set-full": lambda random: random.choice([("read", None), ("add", random.randrange(4))]),
    "mutex": lambda random: random.choice([("acquire", None), ("release", None)]),
    "lock": lambda random: random.choice(
        [("acquire", None), ("acquire", None), *ends(random), ("write", (random.randrange(1, 4), random.choice("xy"))), ("read", None)]
    ),
    "rwlock": lambda random: random.choice([("acquire", "read"), ("acquire", "read"), ("acquire", "write"), *ends(random)]),
    "semaphore": lambda random: random.choice([("acquire", (1, 3)), ("acquire", (2, 3)), ("acquire", (3, 3)), *ends(random)]),
    "election": lambda random: random.choice(
        [
            ("campaign", random.choice("xy")),
            ("campaign", random.choice("xy")),
            ("resign", random.randrange(1, 4)),
            ("lost", random.choice([1, 2, 3, None])),
            ("proclaim", (random.randrange(1, 4), random.choice("xyz"))),
            ("observe", None),
        ]
    ),
}


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
        function, argument = QUESTIONS[model.name](random)
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
        result = answer_of(model, function, argument, state, following)
        if result is ILLEGAL:
            continue
        following = model.step(state, function, argument, result)  # type: ignore[arg-type]
        if following is not ILLEGAL:
            states[partition] = following
        free_at[process] = returned
        operations.append(Operation(process, function, argument, result, invoked, returned, OK, index, 0))
    return operations


def answer_of(model: Model, function: str, argument: object, state: object, following: object) -> object:
    if model.name in CLAIMS:
        return claims_answer(function, argument, state, following)
    if function == "read":
        return tuple(sorted(state)) if isinstance(state, frozenset) else state
    if function == "get":
        assert isinstance(argument, tuple)
        return (argument[0], state)
    if following is not ILLEGAL:
        return argument
    return False if function == "cas" else ILLEGAL


def claims_answer(function: str, argument: object, state: object, following: object) -> object:
    assert isinstance(state, tuple)
    claims, highest = state[:2]
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
