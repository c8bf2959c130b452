"""The senders: each vendor a folder, all of them behind the words of `contract.py`.

A sender speaks HTTP through its vendor's SDK and says what happened to each message; it never touches a table.
"""
