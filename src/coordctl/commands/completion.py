"""`coordctl completion`"""

import click

from coordctl.__main__ import VERBS
from coordctl.flags import TAKES_VALUE
from coordctl.report import screen
from coordctl.report.exits import DONE, EXPLAINED, Kind
from coordctl.report.running import run

SCRIPTS = {
    "bash": """\
_coordctl() {
    local -a line found
    local word head=
    read -ra line <<<"${COMP_LINE:0:COMP_POINT}"
    [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && line+=("")
    word=${line[-1]}
    [[ $COMP_WORDBREAKS == *:* ]] && head=${word%"${word##*:}"}  # what stands before a colon stays as it is
    mapfile -t found < <(coordctl completion words -- "${line[@]:1}" 2>/dev/null)
    COMPREPLY=()
    for word in "${found[@]}"; do
        printf -v word %q "${word#"$head"}"  # names of locks are anybody's: they are typed, and never run
        COMPREPLY+=("$word")
    done
}
complete -o default -F _coordctl coordctl
""",
    "zsh": """\
#compdef coordctl
_coordctl() {
    local -a found
    found=("${(@f)$(coordctl completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n "$found" ]] && compadd -a found || _files
}
compdef _coordctl coordctl
""",
    "fish": """\
complete -c coordctl -a '(coordctl completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
""",
}
WORDS = "words"


@click.command(epilog=f"Completed are verbs, and names of clusters, hosts, locks and playbooks. {EXPLAINED[Kind.QUERY]}")
@click.argument("shell", type=click.Choice([*SCRIPTS, WORDS]))
@click.argument("line", nargs=-1)
def command(shell: str, line: tuple[str, ...]) -> int:
    """Print what makes a SHELL complete coordctl's words: source <(coordctl completion bash).

    `words -- LINE …` prints what may stand where the last word of the line was begun; the shells ask for it.
    """
    if shell != WORDS:
        if line:
            raise click.UsageError(f"{line[0]!r} is too much")
        screen.lines(SCRIPTS[shell].splitlines())
        return DONE
    from coordctl.operations.completing import candidates

    screen.lines(candidates(line, VERBS, TAKES_VALUE))
    return DONE


def main(argv: list[str]) -> int:
    return run(command, argv, "completion", Kind.QUERY)
