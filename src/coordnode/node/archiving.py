"""`coordnode archive`: a member's whole state as one file, taken from its folder while it runs."""

import json
import os
import sys
from collections.abc import Sequence

import msgspec

from coordnode.archives.surviving import look
from coordnode.archives.taking import take
from coordnode.errors import CoordError, FolderRefused, RecordError
from coordnode.node.founding import DONE, FAILED, REFUSED, USAGE, say
from coordnode.storage.reader import open_reader

HELP = """\
usage: coordnode archive --folder DIR --out FILE [--through INDEX] [--cluster-name NAME]
       coordnode archive --folder DIR --look

Writes the state that the member's folder DIR holds at INDEX into FILE: its snapshot, the bytes of journals that this lists, and the log
behind it. The member may run meanwhile; nothing in DIR is changed. INDEX must be committed and applied there; without it everything
in the log is taken, committed or not. FILE has no seal until somebody has read all of it again: that is `coordctl backup`.

With --look nothing is written: what the folder has of the cluster's log is printed as JSON, to be ranked against the other members'.

exit codes: 0 written · 1 failed, there is no FILE · 64 usage · 76 DIR is no member's folder
"""
FLAGS = ("--folder", "--out", "--through", "--cluster-name")


def main(arguments: Sequence[str]) -> int:
    """`coordnode archive`."""
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(HELP)
        return DONE
    said: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        flag, equals, value = waiting.pop(0).partition("=")
        if flag == "--look" and not equals:
            said[flag] = ""
            continue
        if flag not in FLAGS or (not equals and not waiting):
            say(f"{flag}: {'a value is missing' if flag in FLAGS else 'there is no such option'}; see coordnode archive --help")
            return USAGE
        said[flag] = value if equals else waiting.pop(0)
    through = said.get("--through", "")
    if "--folder" not in said or ("--out" in said) == ("--look" in said) or (through and not (through.isascii() and through.isdigit())):
        say("--folder, and --out or --look, and a whole number for --through are needed; see coordnode archive --help")
        return USAGE
    try:
        reader = open_reader(said["--folder"])
        if "--look" in said:
            sys.stdout.write(msgspec.json.encode(look(reader)).decode() + "\n")
            return DONE
        about = take(reader, said["--out"], through=int(through) if through else None, cluster_name=said.get("--cluster-name", ""))
    except (FolderRefused, RecordError, FileNotFoundError) as error:
        say(f"{said['--folder']} is not a member's folder: {error}")
        return REFUSED
    except CoordError as error:
        say(error.sentence)
        return FAILED
    made = {"schema": "coordnode.archive/1", "index": about.index, "term": about.term, "bytes": os.path.getsize(said["--out"])}
    sys.stdout.write(json.dumps(made) + "\n")
    return DONE
