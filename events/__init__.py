"""The webhook service: what providers and people tell us, verified, kept raw, and then as events.

A small FastAPI application (`app`) with a pool of insert-only connections (`store`). Each vendor judges and reads its
own calls in `senders/<vendor>/events.py`; `calls` leads a call through that, `preferences` answers people, `intake`
folds in what landed in `raw.provider_events` by other means.
"""
