"""Breaking a cluster on purpose, so that it always heals: playbooks, faults and their undo, the embedded proxy.

What decides is pure: `lined`, `values`, `targets`, `faults`, `grammar`, `playbook`, `radius`, `verdicts`, `pace`, `schedule`,
`holding`. Each mechanism is a module of its own, and all keep the promises of `undo.Mechanism`. May import local, facts, transport,
inventory, results. Promises: what would undo a fault is durable before the fault; only what is surely ours is touched; a
fault that was not seen to work, or not seen to be gone, is never called so.
"""
