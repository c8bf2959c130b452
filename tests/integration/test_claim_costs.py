"""What a claim reads is what it claims, however much the ledger holds."""

from __future__ import annotations

import uuid

from outbox import claims, runs
from outbox.claims import Rules, Shard
from outbox.sql import ledger
from tests.integration.handoff_stub import SEND_AT, Shop


def test_a_claim_looks_up_the_codes_of_its_messages_and_reads_no_others(shop: Shop) -> None:
    shop.owner.execute(
        "insert into outbox.coupon_grant"
        " (promotion, code, contact_id, campaign, episode_on, step, as_of, granted_at, valid_until)"
        " select 'p', 'old' || n, 'old' || n, 'winback', '2016-01-01', 'day60', '2016-03-01', '2016-03-01',"
        " timestamptz '2016-03-15' + interval '3 years' from generate_series(1, 5000) as n"
    )
    run_id = shop.open_run(holder=f"test {uuid.uuid4()}")
    for number in range(100):
        shop.request(run_id, shop.contact(), code=f"A{number}", promotion="p")
    assert shop.enqueue(run_id).grants == 100
    shop.owner.execute("analyze outbox.coupon_grant; analyze outbox.message")
    with ledger() as desk, desk.transaction():
        (group,) = claims.due_groups(desk, clock=SEND_AT, mode="simulated", shard=Shard())
        rules = Rules.of(runs.definition(desk, group.definition_hash))
        claim = claims.claim(
            desk, group, rules, clock=SEND_AT, mode="simulated", shard=Shard(), worker="test", size=100
        )
        read = desk.execute(
            "select coalesce(seq_tup_read, 0) from pg_stat_xact_user_tables where relname = 'coupon_grant'"
        ).fetchone()
    assert len(claim.opened) == 100
    assert read == (0,)
