"""One week in a small shop, counted by hand. The numbers that the report tests expect are those of this page.

| who | day | decided | what happened |
| --- | --- | --- | --- |
| ann | 2 | day30 send | delivered, opened by a machine alone; bought on the 4th for 50 USD |
| ben | 2 | day30 send | opened on the 2nd at 20:00; bought on the 3rd at 9:00 for 30 USD, on the 6th for 20 EUR |
| cat | 2 | day60 send, text, T10-1 | clicked on the 3rd; bought on the 7th with T10-1 for 40 USD, 15 of it given back |
| dan | 2 | day60 send, T10-2 | refused by the provider; the code went back |
| eve | 2 | day60 send, T10-3 | in doubt |
| fay | 2 | day90 send, T20-1 | bounced: not reached; bought on the 5th for 99 USD, which is nobody's success |
| gus | 2 | day90 hold: pool_dry | |
| hal | 2 | day30 skip: no_email_consent | |
| ida | 2 | day30 holdout | bought on the 4th |
| jon | 2 | day30 send | bought at 9:30, before the message: stopped, purchased_since |
| lea | 2 | day30 send | opened |
| gus | 3 | day90 send, T20-2 | opened, unsubscribed; the order of the 4th was cancelled, the next lies in the future |
| kim | 3 | day30 skip: suppressed | the day was run twice; the second time gus was skip: already_messaged |
| lea | 5 | day30_push send | clicked at 10:30; bought on the 6th at 9:00 for 25 USD |
| mia | 6 | day30 hold: gate_failed | the gate held the day |
| | 7 | | the run failed |
| | 8 | | nobody was due |

The reporting clock is the 8th, 5:00: what lies after it has not happened.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import psycopg

from tests.integration.report_scenario import Scenario, at, on, winback

PEOPLE = ("ann", "ben", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "lea", "mia", "zoe")
PASSED = {"winback": {"result": "passed", "failed": []}}
HELD = {"winback": {"result": "held", "failed": ["expect_volume_as_purchases_lead_one_to_expect"]}}
LEA = on(2, month=9)
"""The day lea's clock started: her push belongs to the same episode as her e-mail."""


@dataclass
class Story:
    """What the story's rows are called."""

    runs: dict[str, uuid.UUID] = field(default_factory=dict)
    messages: dict[str, uuid.UUID] = field(default_factory=dict)


def tell(connection: psycopg.Connection) -> Story:
    """Writes the week into the ledger."""
    it, story = Scenario(connection), Story()
    it.define(winback())
    it.codes("winback_discount10", ["T10-1", "T10-2", "T10-3", "T10-4"])
    it.codes("winback_discount20", ["T20-1"])
    it.codes("winback_discount20", ["T20-2"], loaded_at=at(3, 4))
    for who in PEOPLE:
        it.contact(who, consent_email=who != "hal")
    _past_purchases(it)
    _second(it, story)
    _third(it, story)
    _fifth(it, story)
    held = story.runs["sixth"] = it.run(on(6), verdict=HELD)
    it.decide(held, on(6), "mia", "day30", "hold", "gate_failed", reasons=["gate_failed"])
    it.notice("gate_failed", "winback", on(6), "Winback of 6 October is held back")
    story.runs["seventh"] = it.run(on(7), "failed", detail="dbt could not build cohorts.fct_decisions")
    story.runs["eighth"] = it.run(on(8), verdict=PASSED)
    return story


def _past_purchases(it: Scenario) -> None:
    for who in ("ann", "ben", "dan", "hal", "ida", "jon", "lea"):
        it.order(f"{who}-0", who, at(2, 15, month=9))
    it.order("zoe-0", "zoe", at(20, 15, month=9))
    it.order("ann-1", "ann", at(4, 12), "50.00")
    it.order("ann-2", "ann", at(8, 6), "70.00")  # after the reporting clock
    it.order("ben-1", "ben", at(3, 9), "30.00")
    it.order("ben-2", "ben", at(6, 9), "20.00", currency="EUR")
    it.order("cat-1", "cat", at(7, 11), "40.00", coupon_code="T10-1", refunded_total="15.00")
    it.order("fay-1", "fay", at(5, 10), "99.00")
    it.order("gus-1", "gus", at(4, 9), "60.00", status="cancelled")
    it.order("gus-2", "gus", at(20, 9), "61.00")  # after the reporting clock
    it.order("ida-1", "ida", at(4, 10), "12.00")
    it.order("jon-1", "jon", at(2, 9, 30), "13.00")
    it.order("lea-1", "lea", at(6, 9), "25.00")


def _second(it: Scenario, story: Story) -> None:
    run = story.runs["second"] = it.run(on(2), verdict=PASSED, request_count=8)
    for who in ("ann", "ben", "jon", "lea"):
        it.decide(
            run,
            on(2),
            who,
            "day30",
            "send",
            seen={"last_purchase_at": "2017-09-02T19:00:00+00:00", "email_consent": True},
        )
    for who in ("cat", "dan", "eve"):
        it.decide(run, on(2), who, "day60", "send")
    it.decide(run, on(2), "fay", "day90", "send")
    it.decide(run, on(2), "gus", "day90", "hold", "pool_dry")
    it.decide(run, on(2), "hal", "day30", "skip", "no_email_consent", seen={"email_consent": False})
    it.decide(run, on(2), "ida", "day30", "holdout", "holdout")
    said = story.messages
    said["ann"] = it.message(run, on(2), "ann")
    said["ben"] = it.message(run, on(2), "ben")
    said["lea"] = it.message(run, on(2), "lea", episode_on=LEA)
    said["jon"] = it.message(run, on(2), "jon", state="skipped", reason="purchased_since")
    grant = it.grant("winback_discount10", "T10-1", "cat", "day60", on(2))
    said["cat"] = it.message(run, on(2), "cat", "day60", channels=("sms", "email"), grant=grant)
    it.tag("cat", "coupon_winback10", at(2, 10), said["cat"])
    grant = it.grant("winback_discount10", "T10-2", "dan", "day60", on(2), released_at=at(2, 10))
    said["dan"] = it.message(
        run, on(2), "dan", "day60", state="rejected", reason="http_400", error_code="http_400", grant=grant
    )
    grant = it.grant("winback_discount10", "T10-3", "eve", "day60", on(2))
    said["eve"] = it.message(
        run, on(2), "eve", "day60", state="in_doubt", reason="timeout", error_code="timeout", grant=grant
    )
    grant = it.grant("winback_discount20", "T20-1", "fay", "day90", on(2))
    said["fay"] = it.message(run, on(2), "fay", "day90", grant=grant)
    for who in ("ann", "ben", "lea"):
        it.delivery(said[who], "delivered", at(2, 10, 1))
    it.delivery(said["cat"], "delivered", at(2, 10, 1), "sms")
    it.delivery(said["fay"], "bounced", at(2, 10, 1))
    it.engagement(said["ann"], "opened", at(2, 10, 2), machine=True)
    it.engagement(said["ben"], "opened", at(2, 20))
    it.engagement(said["lea"], "opened", at(2, 15))
    it.engagement(said["cat"], "clicked", at(3, 12), "sms")
    it.notice("pool_dry", "winback_discount20", on(2), "No code of winback_discount20 is left")


def _third(it: Scenario, story: Story) -> None:
    run = story.runs["third"] = it.run(on(3), verdict=PASSED)
    it.decide(run, on(3), "gus", "day90", "send", due_on=on(2), episode_on=on(2, month=9))
    it.decide(run, on(3), "kim", "day30", "skip", "suppressed")
    grant = it.grant("winback_discount20", "T20-2", "gus", "day90", on(3))
    said = story.messages["gus"] = it.message(run, on(3), "gus", "day90", grant=grant)
    it.delivery(said, "delivered", at(3, 10, 1))
    it.engagement(said, "opened", at(3, 11))
    it.preference(said, "unsubscribed", at(3, 11, 5))
    again = story.runs["third again"] = it.run(on(3), verdict=PASSED, created_at=at(3, 6))
    later = {"archived_at": at(3, 6)}
    it.decide(
        again, on(3), "gus", "day90", "skip", "already_messaged", due_on=on(2), episode_on=on(2, month=9), **later
    )
    it.decide(again, on(3), "kim", "day30", "skip", "suppressed", **later)


def _fifth(it: Scenario, story: Story) -> None:
    run = story.runs["fifth"] = it.run(on(5), verdict=PASSED)
    it.decide(run, on(5), "lea", "day30_push", "send", episode_on=LEA)
    said = story.messages["lea push"] = it.message(
        run, on(5), "lea", "day30_push", channels=("webpush",), episode_on=LEA
    )
    it.delivery(said, "delivered", at(5, 10, 1), "webpush")
    it.engagement(said, "clicked", at(5, 10, 30), "webpush")
