"""Other engines than coordnode behind coordctl's verbs: etcd and ZooKeeper.

The seam is narrow, and it was there already: the words of docs/protocol.md, in which verbs ask (`hot/cluster`) and claims speak
(`runner/wish.Speech`). `local/clusters.spoken` finds an engine's part by its name. An engine answers those words that can be answered
safely with what it has, and says of each other one why not (`lacks`).

    a verb, a claim ─ words → ENGINE/words (pure: a generator for each word) ─ requests → ENGINE/asking, or talk and line → members
                                   │
                                 lines (pure: who of a line holds, what to show of it)

    load ─ words → unblocked ─→ the same talk and line ←─ blocking ←─ probes        looking, examining ─→ each member, of itself

May import of coordctl: hot, local, runner; of coordnode: client, errors, ids, light, ranges. Promises: whoever speaks to coordnode
loads nothing of it; no lock is believed in for longer than the engine's quorum confirmed; what may have happened is never called failed.
"""
