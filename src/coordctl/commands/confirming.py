"""What stands before an act that others feel: a question that names cluster and environment, and in prod the name typed again."""

import click

from coordctl.inventory.model import Inventory
from coordctl.report import screen

yes = click.option("--yes", is_flag=True, help="The answer to the question.")
confirm = click.option("--confirm", metavar="NAME", default="", help="The answer for a cluster in prod: its name.")


def is_confirmed(inventory: Inventory, what: str, *, yes: bool, confirm: str) -> bool:
    if inventory.environment == "prod":
        if confirm == inventory.name:
            return True
        screen.error(f"{what} {inventory.name} (prod)? Say so with --confirm {inventory.name}")
        return False
    return yes or screen.confirmed(f"{what} {inventory.name} ({inventory.environment})?", "--yes")
