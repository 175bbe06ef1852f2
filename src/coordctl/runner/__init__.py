"""Runs a command while something is held: lock run and its kin. docs/lock-run.md is its contract.

    what happened -> rules (pure) -> what to do        the runner: lease, signals, terminal
                                      │ lines over a socket pair
                     ending (pure) <- guard            a forked process above the command: its family, its deadline

May import of coordctl nothing but results, and of coordnode: client, errors, ids. Promises: no process of a job outlives the deadline
of what it holds, whoever of runner and guard is killed; what is held is let go of only once the job is gone; nothing is printed
here, sentences go to whoever called.
"""
