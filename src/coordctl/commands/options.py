"""The flags of the verbs that look at a cluster, declared once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from coordctl.commands.units import DURATION

cluster = click.option(
    "-c", "--cluster", metavar="NAME", default="", help="A local cluster, the folder that `up --dir` was given, or an inventory."
)
endpoints = click.option("--endpoints", metavar="LIST", default="", help="Members as host:port, with commas; one is enough.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Data and errors only.")


F = TypeVar("F", bound=Callable[..., Any])


def timeout(default: str) -> Callable[[F], F]:
    help_text = "Bound for the whole command."
    return click.option("--timeout", "timeout_seconds", type=DURATION, default=default, show_default=True, help=help_text)
