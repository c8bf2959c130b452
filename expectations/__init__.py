"""The gate between deciding and sending (DESIGN, section 9): what must hold before anything is enqueued, campaign by campaign.

`requests.sql` and `decisions.sql` hold the rules, `volume.py` what purchases lead one to expect, `suites.py` makes Great
Expectations suites of both, `gate.py` judges a run and fails closed.
"""
