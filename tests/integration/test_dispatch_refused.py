"""What a dispatch gives up where something refuses: a channel, a template, a campaign; and what it leaves alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.dispatch import complain
from outbox import claims, letters
from outbox.dispatch import Dispatcher
from outbox.shared import FAILED_BATCHES
from senders.contract import SMS, TEMPLATE_REFUSED, Message, Outcome, Sender, TemplateRefused
from senders.memory.send import MemorySender
from senders.registry import Senders
from tests.contract.stub import Reply, running
from tests.integration.handoff_stub import BUILT_AT, SEND_AT, UNTIL, Shop, campaign
from tests.integration.outbound import ACCEPT, UNKNOWN, Outbound, states
from warehouse import connections
from warehouse.errors import Misconfigured


def test_a_channel_without_credentials_claims_nothing_and_the_others_are_served(shop: Shop) -> None:
    shop.planned(channels=["sms"])
    shop.planned()
    out = Outbound()

    def factory(channel: str, definition: Mapping[str, Any]) -> Sender:
        if channel == SMS:
            raise Misconfigured("no auth token")
        return out.factory(channel, definition)

    done = Dispatcher(factory).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert (done.totals, done.misconfigured) == ({"accepted": 1}, {"sms": "no auth token"})
    assert shop.value("select count(*) from outbox.attempt where channel = 'sms'") == 0


def test_credentials_that_a_provider_refuses_are_known_before_anything_is_claimed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = {"from_address": "care@shop.example.com", "from_name": "Riverside", "reply_to": "care@shop.example.com"}
    shop.define(campaign(email=email))
    shop.planned_many(3)
    with running() as stub:
        connection = {"conn_type": "http", "host": stub.url, "password": "SG.key", "extra": {"sandbox": True}}
        monkeypatch.setenv(connections.variable(connections.SENDGRID), json.dumps(connection))
        stub.answer = lambda _: Reply(401, {}, b'{"errors": [{"message": "authorization required"}]}')
        done = Dispatcher(Senders(asks_first=True)).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
        assert [(asked.method, asked.path) for asked in stub.requests] == [("GET", "/v3/scopes")], "once, by all lanes"
    assert "SendGrid refused us with 401" in done.misconfigured["email"]
    assert (states(shop), shop.rows("select from outbox.attempt")) == ({"planned": 3}, [])


def test_credentials_refused_while_sending_leave_everything_planned(shop: Shop) -> None:
    shop.planned_many(3)

    def refuse(_: Message) -> Outcome:
        raise Misconfigured("401")

    done = Outbound(email=refuse).simulate()
    assert done.misconfigured == {"email": "401"}
    assert states(shop) == {"planned": 3}
    assert shop.rows("select distinct outcome, error_code from outbox.attempt") == [("not_sent", "misconfigured")]
    assert Outbound().simulate().totals == {"accepted": 3}


def test_a_refused_template_stops_its_own_group_tells_the_team_and_waits_longer_each_time(shop: Shop) -> None:
    other = "cd" * 32
    shop.owner.execute(
        "insert into outbox.template (template_hash, text, subject, html) values (%s, 'x', 'y', 'z')", [other]
    )
    refused = shop.planned(template_hash=other)
    shop.planned_many(2)

    def answer(message: Message) -> Outcome:
        if message.template.template_hash == other:
            raise TemplateRefused("your template is wrong")
        return ACCEPT

    done = Outbound(email=answer).simulate()
    assert (done.misconfigured, done.refused) == ({}, {"winback email": "your template is wrong"})
    assert states(shop) == {"planned": 1, "accepted": 2}
    assert shop.rows("select outcome, error_code from outbox.attempt where message_id = %s", refused) == [
        ("not_sent", TEMPLATE_REFUSED)
    ]
    assert shop.value("select not_before from outbox.message where id = %s", refused) > SEND_AT
    assert shop.rows("select kind, subject from outbox.notice") == [("template_refused", "winback")]
    with pytest.raises(Misconfigured, match="winback email: your template is wrong"):
        complain(done)


def test_templates_refused_in_every_lane_do_not_stop_their_campaign(shop: Shop) -> None:
    shop.planned_many(FAILED_BATCHES * 2)

    def refuse(_: Message) -> Outcome:
        raise TemplateRefused("your template is wrong")

    done = Outbound(batch_size=1, email=refuse).simulate(connections=FAILED_BATCHES + 1)
    assert (set(done.stopped), list(done.refused)) == (set(), ["winback email"])
    assert states(shop) == {"planned": FAILED_BATCHES * 2}


def test_a_template_that_was_taken_is_not_given_up_for_one_message(shop: Shop) -> None:
    shop.planned_many(30)
    seen: list[Message] = []

    def answer(message: Message) -> Outcome:
        seen.append(message)
        if len(seen) == 3:
            raise TemplateRefused("something about this one")
        return ACCEPT

    done = Outbound(batch_size=1, email=answer).simulate(connections=1)
    assert (done.refused, states(shop)) == ({}, {"accepted": 30})


def test_without_a_public_url_nothing_is_claimed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.planned()
    monkeypatch.delenv("WINBACK_PUBLIC_URL")
    assert "unsubscribe" in Outbound().simulate().misconfigured["email"]
    assert states(shop) == {"planned": 1}


def test_without_a_key_to_sign_links_with_nothing_is_claimed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop.planned()
    (tmp_path / "file").touch()
    monkeypatch.delenv("WINBACK_TOKEN_KEY")
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path / "file"))
    assert "WINBACK_TOKEN_KEY is not set" in Outbound().simulate().misconfigured["email"]
    assert (states(shop), shop.rows("select from outbox.attempt")) == ({"planned": 1}, [])


def test_what_cannot_be_made_ready_is_not_in_doubt_and_the_dispatch_fails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.planned_many(4)
    complete, made = letters.complete, itertools.count(1)

    def broken(*arguments: Any) -> Message:
        if next(made) == 2:
            raise KeyError("a bug")
        return complete(*arguments)

    monkeypatch.setattr(letters, "complete", broken)
    out = Outbound(batch_size=1)
    with pytest.raises(KeyError, match="a bug"):
        out.simulate(connections=1)
    assert (len(out.sent), states(shop)) == (1, {"accepted": 1, "planned": 3})
    assert shop.rows("select outcome, error_code, count(*) from outbox.attempt group by 1, 2 order by 1") == [
        ("accepted", None, 1), ("not_sent", "KeyError", 3),
    ]  # fmt: skip
    assert Outbound().simulate().totals == {"accepted": 3}


def test_a_claim_that_breaks_off_gives_back_what_the_lane_holds(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.planned_many(30)
    claimed, calls = claims.claim, itertools.count(1)

    def broken(*arguments: Any, **options: Any) -> claims.Claim:
        if next(calls) == 2:
            raise KeyError("a bug")
        return claimed(*arguments, **{**options, "size": 7})  # fewer than were asked for: the lane claims again

    monkeypatch.setattr(claims, "claim", broken)
    with pytest.raises(KeyError, match="a bug"):
        Outbound().simulate(connections=1)
    assert states(shop) == {"planned": 30}
    assert shop.rows("select distinct outcome, error_code from outbox.attempt") == [("not_sent", "KeyError")]


def test_a_sender_that_breaks_leaves_its_batch_in_doubt_and_not_the_others(shop: Shop) -> None:
    shop.planned_many(3)

    class Broken(MemorySender):
        calls = 0

        def send(self, messages: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise KeyError("a bug")
            return super().send(messages)

    sender = Broken(batch_size=1)
    Dispatcher(lambda *_: sender, connections=1).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert states(shop) == {"in_doubt": 1, "accepted": 2}
    assert shop.value("select error_code from outbox.attempt where outcome = 'unknown'") == "KeyError"


def test_a_sender_that_forgets_a_message_leaves_it_in_doubt(shop: Shop) -> None:
    shop.planned()

    class Forgetful(MemorySender):
        def send(self, messages: Any) -> Any:
            super().send(messages)
            return {}

    Dispatcher(lambda *_: Forgetful()).simulated(BUILT_AT, UNTIL, tell=lambda _: None)
    assert shop.rows("select outcome, error_code from outbox.attempt") == [("unknown", "no_outcome")]


def test_a_campaign_whose_batches_all_fail_stops_itself_and_tells_the_team(shop: Shop) -> None:
    shop.planned_many(FAILED_BATCHES + 4)
    out = Outbound(batch_size=1, email=lambda _: UNKNOWN)
    done = out.simulate(connections=1)
    assert done.stopped == {"winback"}
    # What was claimed together is finished; nothing is claimed after that.
    assert states(shop) == {"in_doubt": FAILED_BATCHES + 4}
    assert shop.rows("select kind, subject, state from outbox.notice") == [("campaign_stopped", "winback", "planned")]
    shop.planned()
    assert Outbound().simulate().totals == {"accepted": 1}


def test_one_failing_campaign_does_not_stop_another(shop: Shop) -> None:
    shop.define(campaign(), campaign(campaign="reactivation", priority=20))
    failing, fine = (
        shop.definition_hash,
        shop.value("select hash from outbox.definition where body ->> 'priority' = '20'"),
    )
    shop.planned_many(45, definition_hash=failing)
    shop.planned(campaign="reactivation", definition_hash=fine)
    out = Outbound(batch_size=4, email=lambda message: UNKNOWN if message.campaign == "winback" else ACCEPT)
    done = out.simulate(connections=1)
    assert done.stopped == {"winback"}
    assert done.totals["accepted"] == 1
    assert states(shop)["planned"] == 25  # the claim of 20 in hand was finished, the next was not begun
