"""What operations return, and so what `-o json` prints. Fields are only ever added; `coordctl schema VERB` prints the schema.

A file is a family of verbs, and its types are imported from there: a verb loads its own family only. May import nothing. Promises: what
says `coordctl.VERB/1` is what VERB prints, and of a stream the type of each line; `schemas.SCHEMAS` finds it by that.
"""
