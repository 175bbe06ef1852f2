"""What the flight recorder holds after the process was killed."""

import json
import time

from tests.processes.local import Home


def test_what_the_last_seconds_were_like_survives_kill_9(home: Home) -> None:
    home.ctl("up", "--nodes", "1")
    path = home.state / "local" / "n1" / "flight.log"
    until = time.monotonic() + 60
    while b'"pulse"' not in path.read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    home.kill("n1")
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert {"started", "elected", "pulse"} <= {event["event"] for event in events}
    (pulse, *_) = [event for event in events if event["event"] == "pulse"]
    (started,) = [event for event in events if event["event"] == "started"]
    assert pulse["config_hash"] == started["config_hash"]
    assert pulse["rss_kib"] > 1_000
    log = (home.state / "local" / "n1.log").read_text()
    assert '"started"' in log
    assert '"pulse"' not in log
