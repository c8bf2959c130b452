"""Fault experiments: break delivery on purpose, then compare what the providers have with what the ledger says.

`make faults` runs them all with many seeds and prints a table; `make test` runs a short version of each.

Each round (one experiment, one contestant, one seed) has a database of its own, copied from a migrated one, and a
provider sandbox of its own that answers over real HTTP. Workers are processes: `winback dispatch` itself, with a lease
of seconds in place of minutes (`worker.py`, the only thing that is changed), started anew whenever they end. What
breaks them is outside of them: SIGKILL and SIGSTOP, the sandbox's faults, a lock on a table that holds a worker still
at a named point (`points.py`), a killed server. Nothing in the product knows that it is being watched.

An experiment's seeds send through its channels in turn (`Experiment.channels`): e-mail in batches, notifications one by
one to the browsers of `browsers.py`.

**The control** (`naive.py`) does what is usually done: it claims with a lease, tries again after a timeout, and lets
leases expire back to planned. It meets the same faults with the same seeds. If it shows no duplicates, the faults were
too mild to prove anything, and the experiment fails.

One judge (`judge.py`) reads the sandbox's receipts, the ledger, and an audit of every change of state that triggers
wrote in the round's database. `experiments.py` lists everything; `table.py` prints it.
"""
