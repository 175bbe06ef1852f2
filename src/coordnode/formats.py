"""The numbers by which two builds know whether they can work together. A build's own manifest and /status say them."""

WIRE = 1  # frames on every connection, of clients and members
STORAGE = 1  # every file in a member's folder
LEVEL_MAX = 5  # the highest feature level that this build can apply
