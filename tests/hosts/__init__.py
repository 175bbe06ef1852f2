"""Real hosts for tests: sshd, address, hostname, users, files and an init of their own, and nothing of ours on them."""
