"""Clients that work on a cluster while it is broken, in processes of their own: a kind for each service, and what each was told.

Each writes a history that `coordctl check --model KIND` judges: docs/checking.md says what the functions mean. `coordctl.chaos.loads.words`
has the names; whatever asks a cluster is imported only in those processes.
"""
