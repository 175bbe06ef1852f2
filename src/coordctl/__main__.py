"""`coordctl`: a table of verbs. Stays tiny, so that a command starts fast: a verb's module is loaded once it is chosen."""

import os
import sys

# Verb -> one line for --help. Each is a module of coordctl.commands with main(argv) -> exit code.
VERBS = {
    "check": "is a recorded history what the model allows?",
    "wal": "look into a member's log: dump, verify",
    "schema": "the JSON schema of a verb's -o json",
    "version": "print the version",
}

# Flags that stand before the verb as well as after it -> whether a value follows.
GLOBAL_FLAGS = {"-o": True, "--output": True, "--debug": False}

HELP_END = """
Global flags, before or after the verb:
  -o, --output table|json   how to print the result (default: table)
  --debug                   with an error, show where it arose

coordctl VERB --help explains the verb and its exit codes.
Of all verbs: 0 done or answered, 64 usage, 70 a bug of coordctl, 130 interrupted.
"""

DONE, USAGE, INTERRUPTED = 0, 64, 130


def main() -> int:
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough; the interpreter would complain once more when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code


def _run(argv: list[str]) -> int:
    leading, rest = _split_global(argv)
    if rest and rest[0] in VERBS:
        from importlib import import_module

        return int(import_module(f"coordctl.commands.{rest[0]}").main(_join_global(leading, rest[1:])))
    if rest and rest[0] in ("help", "-h", "--help"):
        sys.stdout.write(_help())
        return DONE
    if rest and rest[0] == "--version":
        return _run(["version", *leading])
    sys.stderr.write(f"coordctl: {_unknown(rest[0]) if rest else 'which verb?'}\n\n{_help()}")
    return USAGE


def _split_global(argv: list[str]) -> tuple[list[str], list[str]]:
    at = 0
    while at < len(argv):
        name, _, value = argv[at].partition("=")
        if name not in GLOBAL_FLAGS:
            break
        at += 2 if GLOBAL_FLAGS[name] and not value else 1
    return argv[:at], argv[at:]


def _join_global(leading: list[str], rest: list[str]) -> list[str]:
    """A verb reads its own flags up to `--`; what follows belongs to somebody else."""
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *leading, *rest[end:]]


def _help() -> str:
    width = max(len(verb) for verb in VERBS)
    lines = [f"  {verb:{width}}   {line}" for verb, line in VERBS.items()]
    return "\n".join(["usage: coordctl VERB [OPTION …]", "", *lines, HELP_END])


def _unknown(verb: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(verb, VERBS, n=1)
    return f"no verb {verb}" + (f"; did you mean {near[0]}?" if near else "")


if __name__ == "__main__":
    sys.exit(main())
