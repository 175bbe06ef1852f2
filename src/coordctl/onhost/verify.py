"""Does the folder of the member on this host hold what was written there? Read here, past the cache, by the version that runs here."""

import json
import sys


def main(said: dict[str, object]) -> None:
    base = str(said["base"])
    sys.path.insert(0, f"{base}/current/lib")
    from coordnode.errors import RecordError
    from coordnode.storage.reader import open_reader

    reader = open_reader(f"{base}/data")
    report = reader.verify()
    try:
        cluster, member = reader.identity().identity
    except (RecordError, FileNotFoundError):  # the report says so
        cluster, member = 0, 0  # type: ignore[assignment]
    print(json.dumps([cluster, member, report]))
