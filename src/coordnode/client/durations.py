"""How long, as Python says it: seconds, or a timedelta."""

from datetime import timedelta

from coordnode.errors import BadRequest

Seconds = float | timedelta


def in_ms(time: Seconds, what: str) -> int:
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not seconds > 0:
        raise BadRequest(f"the {what} is {seconds} s; give a number of seconds above 0, or a timedelta")
    return max(1, round(seconds * 1000))
