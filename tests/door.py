"""What the test command leaves out and COORD_LONG=1 runs, too: more of the same, by the minute."""

import os

IS_LONG = os.environ.get("COORD_LONG", "0") not in ("", "0")
