"""The `winback` command, one file a verb.

A verb gathers what its work needs (connections, clock, definitions) and calls the package that does it.
Nothing is decided here.
"""
