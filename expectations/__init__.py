"""The gate between deciding and sending: what must hold before anything is enqueued.

`requests.sql` and `decisions.sql` hold the rules, `volume.py` what purchases lead one to expect, `suites.py` fills the
rules in for one campaign, `gate.py` judges a run with Great Expectations and fails closed.
"""
