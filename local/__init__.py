"""What lets one machine without accounts run it all: embedded PostgreSQL, sample data, the provider sandbox, the demo.

Nothing of the product imports this package but `cli`; a real deployment never reaches it.
"""
