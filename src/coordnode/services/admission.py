"""What is wrong with a command before anything is known of the state. The leader asks before it proposes, apply asks again. Pure."""

from coordnode.errors import BadRequest, CoordError, LevelMissing, TooLarge
from coordnode.services.commands import ClientCommand, Command, OpenSession
from coordnode.services.registry import CHECKS, COMMAND_LEVELS, LEVELS_OF
from coordnode.services.state import Settings
from coordnode.services.windows import SEQUENCE_MAX


def check_envelope(command: Command | ClientCommand, settings: Settings) -> CoordError | None:
    """Session, sequence and request id: what makes a command exactly-once."""
    session, sequence, lowest_open, request_id = command.session, command.sequence, command.lowest_open, command.request_id
    if session < 0:
        return BadRequest(f"there is no session {session}; 0 stands for none")
    if not 0 <= sequence <= SEQUENCE_MAX:
        return BadRequest(f"the sequence is {sequence}; count from 1, below 2**53, or give 0 for a command that is never retried")
    if sequence and not session:
        return BadRequest(f"sequence {sequence} without a session; open a session, or give a request id instead")
    if sequence and lowest_open > sequence:
        return BadRequest(f"sequence {sequence} is below the client's own lowest open sequence {lowest_open}: it was given up already")
    if request_id:
        if session:
            return BadRequest(f"both session {session} and a request id; either makes the command exactly-once, give one")
        if len(request_id.encode()) > settings.request_id_bytes_max:
            return TooLarge(f"the request id has more than {settings.request_id_bytes_max} bytes; shorten it")
    if type(command.operation) is OpenSession and session:
        return BadRequest(f"a session cannot be opened inside session {session}; name none: its nonce makes it exactly-once")
    return None


def check_operation(operation: object, settings: Settings, level: int) -> CoordError | None:
    kind = type(operation)
    level_of = LEVELS_OF.get(kind)
    needed = COMMAND_LEVELS[kind] if level_of is None else level_of(operation)
    if needed > level:
        return LevelMissing(f"{kind.__name__} needs feature level {needed}, the cluster is at {level}; upgrade every member, then raise it")
    check = CHECKS.get(kind)
    error = check(operation, settings) if check is not None else None
    if error is None and type(operation) is OpenSession and operation.first is not None:
        return check_operation(operation.first, settings, level)
    return error
