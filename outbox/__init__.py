"""The ledger: runs, decisions, grants, messages, attempts, notices. It remembers, and it never sends twice.

`migrations/` holds the tables and what nobody may do to them, `queries/` every statement by name, one file a
subject with the
module of the same name: `runs`, `enqueue`, `claims`, `outcomes`, `notices`. `dispatch` is the loop that sends.
"""
