"""Joins everything into one process: it starts, turns, watches itself and leaves well. Holds no rules of its own.

May import: everything but simulator and checking. Promises: one thread decides, two threads write; nothing that a stranger
sends and no slow disk stops the loop for longer than one turn; the process ends with a sentence, never in silence.

    command    `coordnode run` and `coordnode init`          lanes      the two storage threads
    bootstrap  makes folders of new members                  member     the loop: turns, ticks, what arrives
    recovery   opens a folder, builds the replica            leaving    SIGTERM: hand over, then go
    inbox      what came in since the last turn              status     what HTTP shows
    telemetry  the closed catalogue of events                metrics    counters and histograms
    observer   roles and elections, what turns take          tuning     garbage collector, thread switches, file limit
    commits    where the time of a leader's commits goes     round_trips  of heartbeats, member by member
"""
