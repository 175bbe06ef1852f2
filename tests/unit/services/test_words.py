"""Every word that a service declares is one of the language, and no tag means two of them."""

from typing import get_args

import pytest

from coordnode.services import commands as c
from coordnode.services.commands.base import NoticeBase, OperationBase, ResultBase

FAMILIES = [
    (OperationBase, {*get_args(c.Operation), *get_args(c.ReadOperation)} - {type(None)}),
    (ResultBase, {*get_args(c.Result)}),
    (NoticeBase, {*get_args(c.Notice)}),
]


@pytest.mark.parametrize(("base", "listed"), FAMILIES, ids=["operations", "results", "notices"])
def test_what_is_declared_is_listed_once_and_has_a_tag_of_its_own(base: type, listed: set[type]) -> None:
    declared = base.__subclasses__()
    assert set(declared) == listed
    tags = [word.__struct_config__.tag for word in declared]
    assert sorted(tags) == sorted(set(tags))
