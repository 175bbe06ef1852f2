"""The only room that prints: results as tables or JSON, errors as one sentence, and the exit codes.

May import results, errors. Promises: data on stdout, everything else on stderr; colour only where somebody looks at it.
"""
