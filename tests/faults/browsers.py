"""The browsers of the rounds: subscriptions at several push services, and what the sandbox has to know of them.

All of them have one pair of keys: what is broken here is delivery, not encryption.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from local.sandbox import keys
from tests.integration.handoff_stub import Shop

_PRIVATE = ec.generate_private_key(ec.SECP256R1())
P256DH = keys.b64url(keys.public_point(_PRIVATE.public_key()))
AUTH = keys.b64url(b"one for them all")
KNOWN = {
    "private_key": keys.b64url(_PRIVATE.private_numbers().private_value.to_bytes(32, "big")),
    "auth": AUTH,
}

SERVICES = 4
"""Push services that the endpoints are spread over: one that throttles must not be everybody's."""
SUBSCRIBE = """
insert into raw.web_push_subscriptions (endpoint, contact_id, p256dh, auth, subscribed_at)
select 'https://push' || right(contact_id, 5)::integer %% %(services)s || '.example.com/' || %(kind)s || '/'
    || contact_id, contact_id, %(p256dh)s, %(auth)s, %(at)s
from raw.contacts
where right(contact_id, 5)::integer %% 4 = any(%(quarters)s)
on conflict do nothing
"""
NEWEST, OLDER = ("newest", "2017-06-01"), ("older", "2017-03-01")


def subscribe(shop: Shop, browser: tuple[str, str] = NEWEST, quarters: Iterable[int] = range(4)) -> None:
    """A browser for everybody in these quarters of the people: the newest one, or one that was there before."""
    kind, at = browser
    values = {"services": SERVICES, "kind": kind, "p256dh": P256DH, "auth": AUTH, "at": at, "quarters": list(quarters)}
    shop.owner.execute(SUBSCRIBE, values)


def tell(shop: Shop, path: Path, *, ended: str = "false", unknown: str = "false") -> None:
    """Writes what the push services know. Two conditions on a subscription `s` of quarter `q`: it has ended (410), or
    they never heard of it (404)."""
    rows = shop.rows(
        f"select endpoint, {ended}, {unknown} from (select s.*, right(contact_id, 5)::integer %% 4 as q"  # noqa: S608
        " from raw.web_push_subscriptions s) as s",
    )
    known = {endpoint: {**KNOWN, "ended": over} for endpoint, over, strange in rows if not strange}
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(known))
    beside.replace(path)
