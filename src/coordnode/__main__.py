"""`coordnode`: run, init, archive, simulate, version. Loads what a command needs once it is chosen."""

from __future__ import annotations

import sys

from coordnode import streams
from coordnode.light import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

HELP = """\
usage: coordnode COMMAND [OPTION …]

  run        run one member of a cluster
  init       make the folders of new members
  archive    write a member's state into one file
  simulate   run whole clusters under faults in virtual time, and check every promise
  version    print the version

coordnode COMMAND --help explains the command and its exit codes.
Exit codes of all commands: 0 done, 64 usage, 130 interrupted.
"""

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 64, 130


def main() -> int:
    if not __debug__:
        sys.stderr.write("coordnode: python -O and PYTHONOPTIMIZE take out the assertions that guard the data: start it without them\n")
        return USAGE
    try:
        code = _run(sys.argv[1:])
        streams.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        streams.discard()
        return DONE
    except OSError as error:
        if error.filename != streams.OUTPUT:
            raise
        sys.stderr.write(f"coordnode: {streams.OUTPUT}: {error.strerror}\n")
        streams.discard()
        return FAILED
    return code


def _run(argv: list[str]) -> int:
    command, rest = (argv[0], argv[1:]) if argv else ("", [])
    if command in ("help", "-h", "--help"):
        sys.stdout.write(HELP)
        return DONE
    if command in ("version", "--version"):
        from coordnode import __version__

        sys.stdout.write(f"coordnode {__version__}\n")
        return DONE
    if command == "run":
        from coordnode.node.command import main as run

        return run(rest)
    if command == "init":
        from coordnode.node.founding import init

        return init(rest)
    if command == "archive":
        from coordnode.node.archiving import main as archive

        return archive(rest)
    if command == "simulate":
        from coordnode.simulator.command import main as simulate

        return simulate(rest)
    sys.stderr.write(f"coordnode: {f'no command {command}' if command else 'which command?'}\n\n{HELP}")
    return USAGE


def program() -> NoReturn:
    streams.prepare()  # before any file is opened: a member whose standard error was closed would write its log into its own data
    sys.exit(main())


if __name__ == "__main__":
    program()
