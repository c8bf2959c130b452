"""The warehouse: connections by role, the run's clock, address hashing, tokens, the migration runner.

Everything else in Winback may import this package; it imports nothing of Winback.
"""
