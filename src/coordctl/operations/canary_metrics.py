"""What a canary tells Prometheus."""

import http.server
import threading
from collections.abc import Callable, Sequence

from coordctl.canary.judgement import Tally
from coordctl.local.clusters import split
from coordnode.errors import BadRequest


def exposition(tally: Tally) -> str:
    """Asked for while the run goes on in another thread."""
    lines = []

    def family(name: str, kind: str, about: str, values: Sequence[tuple[str, float]]) -> None:
        lines.extend([f"# HELP coordctl_canary_{name} {about}", f"# TYPE coordctl_canary_{name} {kind}"])
        lines.extend(f"coordctl_canary_{name}{{{labels}}} {value}" for labels, value in values)

    series = [(f'probe="{probe}",member="{member}"', found) for (probe, member), found in list(tally.series.items())]
    family(
        "rounds_total", "counter", "rounds, by what came of them", [(f'outcome="{kind}"', count) for kind, count in tally.rounds.items()]
    )
    family("samples_total", "counter", "probes that could be tried", [(labels, one.count) for labels, one in series])
    family("failures_total", "counter", "of these, those that failed", [(labels, one.failed) for labels, one in series])
    family("unreached_total", "counter", "probes that could not be tried", [(labels, one.unreached) for labels, one in series])
    succeeded = [(labels, one.last_success_unix_ms / 1_000) for labels, one in series if one.last_success_unix_ms is not None]
    family("last_success_timestamp_seconds", "gauge", "when it last succeeded", succeeded)
    latencies = [(f'{labels},quantile="{part}"', one.latency_ms(part)) for labels, one in series for part in (0.5, 0.99)]
    family("latency_seconds", "gauge", "of the newest that succeeded", [(labels, ms / 1_000) for labels, ms in latencies if ms is not None])
    return "\n".join(lines) + "\n"


class Exposed:
    """Answers /metrics at an address for as long as it is open. Raises BadRequest when it cannot."""

    def __init__(self, address: str, text: Callable[[], str]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_there = self.path.partition("?")[0] == "/metrics"
                body = text().encode() if is_there else b"there is nothing at this path; there is /metrics\n"
                self.send_response(200 if is_there else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Whoever asks every few seconds is nobody's news."""

        host, _, port = split(address, "--metrics")[0].address.rpartition(":")
        try:
            self._server = http.server.ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
        except OSError as error:
            raise BadRequest(f"--metrics {address} cannot be listened at: {error.strerror}") from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
