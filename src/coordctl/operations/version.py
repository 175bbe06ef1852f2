"""Which build this is, and what it runs on."""

import platform

from coordctl.results.version import Version
from coordnode import __version__


def version() -> Version:
    return Version(version=__version__, python=platform.python_version(), platform=platform.system().lower())
