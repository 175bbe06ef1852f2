"""The one door: a history and the name of a model in, a verdict out. Picks the cheapest method that can decide. Pure."""

from typing import Final

import msgspec

from coordnode.checking.catalogue import BEGIN_EMPTY, MODELS
from coordnode.checking.history import UNKNOWN as UNKNOWN_OUTCOME
from coordnode.checking.history import History, Value
from coordnode.checking.linearizable import Budget, search
from coordnode.checking.models import KeyValue, Model, shown
from coordnode.checking.replay import check_store
from coordnode.checking.shapes import relevant
from coordnode.checking.store import NAME
from coordnode.checking.verdict import PASS, UNKNOWN, Verdict
from coordnode.checking.watch_model import NAME as WATCH
from coordnode.checking.watch_model import check_watches
from coordnode.checking.witness import check_witness, has_witness
from coordnode.errors import BadRequest

MODEL_NAMES: Final = (NAME, WATCH, *MODELS)


class _NotGiven:
    pass


NOT_GIVEN: Final = _NotGiven()


def judge(history: History, model_name: str, budget: Budget, initial: Value | _NotGiven = NOT_GIVEN, complete: bool = False) -> Verdict:
    """`initial`: what the object holds at first, where the model lets one say. `complete`: see replay.check_store."""
    if history.keyed_line and model_name != KeyValue.name:
        sentence = (
            f"line {history.keyed_line}: only model {KeyValue.name} takes a key; write it where model {model_name} has it, in the value"
        )
        raise BadRequest(sentence)
    if complete and model_name != NAME:
        raise BadRequest(f"only histories of model {NAME} can be complete; leave that out for model {model_name}")
    if model_name in (NAME, WATCH) and not isinstance(initial, _NotGiven):
        raise _cannot_begin(model_name, initial)
    verdict = _judged(history, model_name, budget, initial, complete)
    if verdict.outcome == PASS and all([operation.kind == UNKNOWN_OUTCOME for operation in history.operations]):
        reason = f"of {len(history.operations)} operations no outcome is known: there is nothing to judge"
        return msgspec.structs.replace(verdict, outcome=UNKNOWN, reason=reason)
    return verdict


def _judged(history: History, model_name: str, budget: Budget, initial: Value | _NotGiven, complete: bool) -> Verdict:
    if model_name == NAME:
        return check_store(relevant(history.operations), budget, complete)
    if model_name == WATCH:
        return check_watches(history.operations)
    model = model_named(model_name, initial)
    operations = model.relevant(history.operations)
    if operations and has_witness(operations) and any(operation.index >= 0 for operation in operations):
        return check_witness(model, operations, budget)
    return search(model, operations, budget)


def model_named(model_name: str, initial: Value | _NotGiven = NOT_GIVEN) -> Model:
    if model_name not in MODELS:
        raise BadRequest(f"there is no model {shown(model_name)}; there are {', '.join(MODEL_NAMES)}")
    if isinstance(initial, _NotGiven):
        return MODELS[model_name]()
    wanted = {"counter": int, "set": tuple, "set-full": tuple, "kv": str | None}.get(model_name, object)
    if model_name in BEGIN_EMPTY or not isinstance(initial, wanted):
        raise _cannot_begin(model_name, initial)
    return MODELS[model_name](initial)  # type: ignore[call-arg, arg-type]  # checked above


def _cannot_begin(model_name: str, initial: Value) -> BadRequest:
    return BadRequest(f"model {model_name} cannot begin with {shown(initial)}; docs/checking.md says which models begin with what")
