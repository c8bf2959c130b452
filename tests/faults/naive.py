"""The control: a sender as it is usually written, in a process of its own. It sends twice, and is meant to.

`python -m tests.faults.naive`: claims a batch with a lease (`for update skip locked`), posts it, tries again when no
answer comes, marks it accepted, and takes up whatever was claimed longer ago than the lease. Reads
`WINBACK_DATABASE_URL` and the connection `sendgrid_default`. Ends when nothing is left.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence

import httpx
import psycopg

from warehouse import connections

PLAN = "insert into faults.naive (contact_id, email) select contact_id, email from raw.contacts"
"""A day's messages. Planned again, it does not know them for the same."""
CLAIM = """
update faults.naive set state = 'sending', worker = %(worker)s, claimed_at = statement_timestamp(),
    lease_until = clock_timestamp() + %(lease)s * interval '1 second'
where id in (
    select id from faults.naive
    where state = 'planned' or (state = 'sending' and lease_until < clock_timestamp())
    order by id limit %(size)s for update skip locked
)
returning id, email
"""
TRIES = 4
TAKEN, REFUSED = 202, 400
Row = tuple[uuid.UUID, str]


def main() -> None:
    """Works until nothing is planned and no lease runs."""
    lease = float(sys.argv[1])
    sendgrid = connections.get(connections.SENDGRID)
    size = int(sendgrid.extra["batch_size"])
    with (
        psycopg.connect(os.environ["WINBACK_DATABASE_URL"], autocommit=True) as ledger,
        httpx.Client(timeout=float(sendgrid.extra["timeout_seconds"]), trust_env=False) as client,
    ):

        def mark(batch: Sequence[Row], state: str) -> None:
            ledger.execute("update faults.naive set state = %s where id = any(%s)", [state, [one for one, _ in batch]])

        while True:
            batch: Sequence[Row] = ledger.execute(
                CLAIM, {"worker": str(os.getpid()), "lease": lease, "size": size}
            ).fetchall()
            if batch:
                answer = _post(client, sendgrid, batch)
                if answer == REFUSED and len(batch) > 1:  # somebody in it: one by one
                    for one in batch:
                        alone = _post(client, sendgrid, [one])
                        mark([one], "failed" if alone == REFUSED else "accepted")
                elif answer is not None:
                    mark(batch, "accepted")
            elif ledger.execute("select from faults.naive where state = 'sending'").fetchone() is None:
                return
            else:
                time.sleep(0.1)


def _post(client: httpx.Client, sendgrid: connections.Connection, batch: Sequence[Row]) -> int | None:
    """Posts a batch, again and again while no answer comes. Returns 202 or 400; None: it gives up for now."""
    people = [{"to": [{"email": email}], "custom_args": {"message_id": str(one)}} for one, email in batch]
    payload = {
        "from": {"email": "care@shop.example.com", "name": "Riverside"},
        "subject": "We miss you",
        "content": [{"type": "text/plain", "value": "Come back"}],
        "personalizations": people,
    }
    for attempt in range(TRIES):
        try:
            answer = client.post(
                f"{sendgrid.host}/v3/mail/send", json=payload, headers={"Authorization": f"Bearer {sendgrid.password}"}
            )
        except httpx.HTTPError:
            continue  # no answer: try again
        if answer.status_code in (TAKEN, REFUSED):
            return answer.status_code
        time.sleep(min(0.2 * 2**attempt, 1.0))
    return None


if __name__ == "__main__":
    main()
