"""What the tests of runners share."""

import uuid

import pytest


@pytest.fixture
def mark() -> str:
    """Stands in the command line of everything that a test starts, as the note and in scripts."""
    return uuid.uuid4().hex
