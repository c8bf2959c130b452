"""The campaigns: the only place a marketer edits. One YAML file a campaign, its templates beside it.

`definition.py` turns a file into a validated object, or into an error that names file, line and key.
"""
