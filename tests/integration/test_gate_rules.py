"""Each rule of the gate, seen to hold on a day that is right and to break on a planted fault."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest
from psycopg.types.json import Jsonb

from expectations import suites
from expectations.suites import DECISIONS, REQUESTS, Judged
from tests.integration.gate_day import CLOCK, DAY, LONG_AGO, SEND_AT, Built, broken, renamed


def test_a_day_that_is_right_breaks_no_rule(built: Built) -> None:
    assert broken(built) == set()


def set_request(assignment: str, contact_id: str = "mailed") -> Callable[[Built], None]:
    def plant(it: Built) -> None:
        it.owner.execute(f"update handoff.send_requests set {assignment} where contact_id = %s", [contact_id])  # noqa: S608

    return plant


def suppressed(it: Built, suppressed_at: datetime = LONG_AGO) -> None:
    it.owner.execute(
        "insert into outbox.suppression (channel, address_hash, reason, source, suppressed_at) values"
        " ('email', outbox.address_hash('email', 'MAILED@example.com '), 'complained', 'provider', %s)",
        [suppressed_at],
    )


def opted_out(it: Built) -> None:
    it.insert(
        "events.preference",
        event_key="x", message_id=it.said("texted", "day30", 400), channel="sms", kind="unsubscribed",
        source="sms_keyword", occurred_at=LONG_AGO, received_at=LONG_AGO,
    )  # fmt: skip


def one_person_twice(it: Built) -> None:
    it.owner.execute("update raw.contacts set email = 'Mailed@example.com' where contact_id = 'offered'")


def granted_to_another(it: Built) -> None:
    it.insert(
        "outbox.coupon_grant",
        promotion="winback_discount10", code="TEN-1", contact_id="drawn", campaign="winback", episode_on=DAY,
        step="day60", as_of=DAY, granted_at=LONG_AGO, valid_until=SEND_AT,
    )  # fmt: skip


def same_code_twice(it: Built) -> None:
    it.owner.execute("update handoff.send_requests set coupon_code = 'TEN-1' where contact_id = 'offered'")


def messaged_before(it: Built) -> None:
    it.said("mailed", "day30", 31)


def messaged_before_by_its_former_key(it: Built) -> None:
    renamed(it, "day30", "month")
    it.said("mailed", "month", 31)


def first_one_of_another_step(it: Built) -> None:
    """The push asks for the episode in which day60 was sent, and day30 never was."""
    it.said("opener", "day60", 60)
    it.owner.execute(
        "update handoff.send_requests set episode_on = %s where contact_id = 'opener'", [DAY - timedelta(days=60)]
    )


def template_says_more(it: Built) -> None:
    """The stored template asks for a fourth recommendation, of which neither the step nor the request knows."""
    it.owner.execute(
        "insert into outbox.template (template_hash, subject, html) values ('more', 'Hi {{ first_name }}',"
        " '<a href=\"{{ rec4_url }}\">{{shop_name}}</a>')"
    )
    it.body = {**it.body, "steps": [{**step, "template_hash": "more"} for step in it.body["steps"]]}
    it.owner.execute("update handoff.send_requests set template_hash = 'more'")


def step_says_less(it: Built) -> None:
    """Neither the steps nor the requests say where the link leads."""
    for step in it.body["steps"]:
        step["merge_fields"] = {name: said for name, said in step["merge_fields"].items() if name != "step_url"}
    it.owner.execute("update handoff.send_requests set merge_fields = merge_fields - 'step_url'")


def test_what_is_the_same_for_everybody_is_the_steps_to_say(built: Built) -> None:
    built.owner.execute("update handoff.send_requests set merge_fields = merge_fields - 'step_url'")
    assert broken(built) == set()


def test_a_stored_template_may_name_what_is_filled_in_later(built: Built) -> None:
    template_says_more(built)
    assert broken(built) == {"merge_fields_complete"}
    built.owner.execute(
        """update handoff.send_requests set merge_fields = merge_fields || '{"rec4_url": "https://x"}'"""
    )
    assert broken(built) == set()


PLANTED: list[tuple[str, Callable[[Built], None]]] = [
    ("only_this_run", set_request(f"run_id = '{uuid.uuid4()}'")),
    ("only_this_run", set_request("as_of = '2017-09-30'")),
    ("only_this_run", set_request("definition_hash = 'another'")),
    ("steps_as_defined", set_request("template_hash = 'another'")),
    ("steps_as_defined", set_request("step = 'day31'")),
    ("steps_as_defined", set_request("channels = '{sms}'")),
    ("steps_as_defined", set_request("channels = '{}'")),
    ("steps_as_defined", set_request("tag = 'another'", "texted")),
    ("consent_for_each_channel", lambda it: it.owner.execute("update raw.contacts set consent_email = null")),
    ("consent_for_each_channel", lambda it: it.owner.execute("update raw.contacts set consent_sms = false")),
    (
        "consent_for_each_channel",
        lambda it: it.owner.execute("update raw.contacts set consent_email = false, updated_at = null"),
    ),
    ("consent_for_each_channel", lambda it: it.owner.execute("delete from raw.contacts where contact_id = 'mailed'")),
    ("nobody_suppressed", suppressed),
    ("nobody_opted_out", opted_out),
    ("address_for_each_channel", lambda it: it.owner.execute("update raw.contacts set email = 'nowhere'")),
    ("address_for_each_channel", lambda it: it.owner.execute("update raw.contacts set phone = '555'")),
    ("address_for_each_channel", lambda it: it.owner.execute("delete from raw.web_push_subscriptions")),
    ("one_person_within_caps", one_person_twice),
    ("codes_once", same_code_twice),
    ("codes_where_promised", set_request("coupon_code = null", "texted")),
    ("codes_where_promised", set_request("coupon_code = 'TEN-1'", "mailed")),
    ("codes_where_promised", set_request("coupon_code = 'INVENTED'", "texted")),
    ("codes_where_promised", set_request("coupon_code = 'TEN-1'", "offered")),
    ("codes_not_granted_before", granted_to_another),
    ("codes_outlive_the_offer", set_request("valid_until = not_before + interval '3 days'", "texted")),
    ("codes_outlive_the_offer", set_request("valid_until = null", "texted")),
    ("codes_outlive_the_offer", lambda it: it.owner.execute("update raw.coupon_codes set expires_at = '2017-10-03'")),
    ("due_and_timely", set_request("due_on = '2017-09-20'")),
    ("due_and_timely", set_request("not_after = not_before")),
    ("due_and_timely", set_request("not_after = not_before + interval '30 days'")),
    ("due_and_timely", set_request("not_before = '2018-10-01', not_after = '2018-10-02'")),
    ("not_messaged_before", messaged_before),
    ("not_messaged_before", messaged_before_by_its_former_key),
    ("follow_ups_have_a_first", set_request("episode_on = '2017-08-01'", "opener")),
    ("follow_ups_have_a_first", first_one_of_another_step),
    ("merge_fields_complete", set_request("merge_fields = merge_fields - 'rec1_name'")),
    ("merge_fields_complete", set_request("""merge_fields = merge_fields || '{"rec1_name": " "}'""")),
    ("merge_fields_complete", set_request("merge_fields = merge_fields - 'rec3_url'")),
    ("merge_fields_complete", set_request("merge_fields = merge_fields - 'coupon_code'", "offered")),
    ("merge_fields_complete", set_request("""merge_fields = merge_fields || '{"step_url": " "}'""", "opener")),
    ("merge_fields_complete", step_says_less),
    ("merge_fields_complete", template_says_more),
    ("template_is_stored", set_request("template_hash = 'another'")),
    ("no_address_in_merge_fields", set_request("""merge_fields = merge_fields || '{"x": "to Mailed@Example.com"}'""")),
    ("decisions_add_up", lambda it: it.owner.execute("update cohorts.fct_decisions set decision = 'perhaps'")),
    ("decisions_add_up", lambda it: it.owner.execute("update cohorts.fct_decisions set reason = null")),
    (
        "decided_by_this_definition",
        lambda it: it.owner.execute("update cohorts.fct_decisions set definition_hash = ''"),
    ),
    ("cohorts_are_decided", lambda it: it.owner.execute("delete from cohorts.fct_decisions where decision = 'skip'")),
    (
        "each_send_has_its_request",
        lambda it: it.owner.execute("delete from handoff.send_requests where step = 'day30'"),
    ),
    ("each_send_has_its_request", lambda it: it.request("mailed", "day30", 30)),
    ("each_request_has_its_decision", lambda it: it.request("drawn", "day30", 30)),
    ("each_request_has_its_decision", set_request("episode_on = '2017-09-02'")),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(PLANTED)])
def test_a_planted_fault_breaks_its_rule(built: Built, rule: str, plant: Callable[[Built], None]) -> None:
    plant(built)
    assert rule in broken(built)


def test_a_consent_withdrawn_after_the_clock_is_left_to_the_claim(built: Built) -> None:
    built.owner.execute(
        "update raw.contacts set consent_email = false, updated_at = %s", [CLOCK + timedelta(minutes=1)]
    )
    assert "consent_for_each_channel" not in broken(built)


@pytest.mark.parametrize(
    ("limit", "rule"), [("messages_per_day", "within_message_budget"), ("grants_per_day", "within_grant_budget")]
)
def test_a_day_above_its_budget_is_held(built: Built, limit: str, rule: str) -> None:
    built.body = {**built.body, "budget": {"messages_per_day": 4, "grants_per_day": 2}}
    assert rule not in broken(built)
    built.body = {**built.body, "budget": {"messages_per_day": 3, "grants_per_day": 1}}
    assert rule in broken(built)


def test_a_day_that_was_held_leaves_the_next_one_its_budget(built: Built) -> None:
    """Its people are asked for again: were they counted with the next day's, that one would be held, too, and so on."""
    built.body = {**built.body, "budget": {"messages_per_day": 4, "grants_per_day": 2}}
    yesterday = DAY - timedelta(days=1)
    for number in range(4):
        built.request(f"late{number}", "day60", 61, f"LATE-{number}" if number < 2 else None, due_on=yesterday)
    assert not {"within_message_budget", "within_grant_budget"} & broken(built)
    built.request("late", "day60", 61, "LATE", due_on=yesterday)
    assert {"within_message_budget", "within_grant_budget"} <= broken(built)


@pytest.mark.parametrize(
    "change", [{"mode": "shadow"}, {"mode": "allowlist", "allowlist": ["a :b {c}"]}, {"live_from": "2017-10-02"}]
)
def test_modes_bind_a_live_run_and_not_a_simulated_one(built: Built, change: dict[str, object]) -> None:
    built.body = {**built.body, **change}
    assert "mode_allows_it" in broken(built)
    assert "mode_allows_it" not in broken(built, live=False)


def test_a_step_that_was_switched_off_may_ask_for_nothing(built: Built) -> None:
    steps = [{**step, "enabled": step["key"] != "day30"} for step in built.body["steps"]]
    built.body = {**built.body, "steps": steps}
    assert "steps_as_defined" in broken(built)


def test_a_follow_up_may_follow_a_first_one_by_its_former_key(built: Built) -> None:
    built.said("mailed", "month", 400)
    built.decide("mailed", "day30_push", 400)
    built.request("mailed", "day30_push", 400)
    built.insert(
        "raw.web_push_subscriptions",
        endpoint="https://push.example.com/2", contact_id="mailed", p256dh="key", auth="auth", subscribed_at=LONG_AGO,
    )  # fmt: skip
    assert "follow_ups_have_a_first" in broken(built)
    renamed(built, "day30", "month")
    assert "follow_ups_have_a_first" not in broken(built)


@pytest.mark.parametrize("days", [0, 3, 7, 30])
def test_a_message_may_wait_as_long_as_its_campaign_says(built: Built, days: int) -> None:
    built.body = {**built.body, "max_late_days": days}
    patience = timedelta(days=days + 1) - timedelta(hours=10)
    built.owner.execute("update handoff.send_requests set not_after = not_before + %s", [patience])
    built.owner.execute("update handoff.send_requests set valid_until = not_after where valid_until < not_after")
    assert "due_and_timely" not in broken(built)
    built.owner.execute("update handoff.send_requests set not_after = not_after + interval '2 days'")
    assert "due_and_timely" in broken(built)


@pytest.mark.parametrize(
    "planted",
    [
        {"contact_id": "mailed", "decision": "holdout", "reason": "holdout"},
        {"contact_id": "drawn", "decision": "send", "reason": None},
        {"contact_id": "drawn", "decision": "hold", "reason": "pool_dry"},
        {"contact_id": "mailed", "seen": Jsonb({})},
    ],
    ids=["held out, not drawn", "drawn, not held out", "drawn, and waits", "of nobody known"],
)
def test_held_out_is_whom_the_draw_names_and_nobody_else(built: Built, planted: dict[str, object]) -> None:
    built.decide(**{"step": "day60", "days": 60, **planted})
    assert "holdout_as_drawn" in broken(built)


def test_the_day_after_a_held_day_is_not_held_for_its_share(built: Built) -> None:
    """Those held are decided again, those held out are settled: 300 people, and none of them held out."""
    drawn = [number for number in range(300) if not is_drawn(f"late{number}")]
    for number in drawn:
        built.decide(f"late{number}", "day60", 61, due_on=DAY - timedelta(days=1))
    assert len(drawn) > 250
    assert "holdout_as_drawn" not in broken(built)
    built.decide("late", "day60", 61, seen=Jsonb({"person_id": next(n for n in names("who") if is_drawn(n))}))
    assert "holdout_as_drawn" in broken(built)


def names(beginning: str) -> Iterator[str]:
    return (f"{beginning}{number}" for number in count())


def is_drawn(person_id: str) -> bool:
    """Whether the draw holds this person out of ten of a hundred, computed once more by other means."""
    return int.from_bytes(hashlib.sha256(f"winback:{person_id}".encode()).digest()[:4]) < 2**32 // 10


def test_a_step_that_only_tags_has_its_request_among_the_tags(built: Built) -> None:
    built.decide("mailed", "day60", 60)
    assert "each_send_has_its_request" in broken(built)
    tag = {
        "run_id": built.run_id, "as_of": DAY, "contact_id": "mailed", "campaign": "winback", "step": "day60",
        "episode_on": DAY - timedelta(days=60), "tag": "quiet",
    }  # fmt: skip
    built.insert("handoff.tag_requests", **tag, action="remove")
    assert "each_send_has_its_request" in broken(built)
    built.insert("handoff.tag_requests", **tag, action="add")
    assert "each_send_has_its_request" in broken(built), "of a step with channels a tag is no message"
    steps = [{**step, "channels": [] if step["key"] == "day60" else step["channels"]} for step in built.body["steps"]]
    built.body = {**built.body, "steps": steps}
    built.owner.execute("delete from handoff.send_requests where step = 'day60'")
    built.owner.execute("delete from cohorts.fct_decisions where step = 'day60' and contact_id <> 'mailed'")
    assert "each_send_has_its_request" not in broken(built)


def test_parameters_are_written_out_as_literals_that_great_expectations_leaves_alone() -> None:
    rule = suites.Rule(
        "x", "x", suites.fill("select :text::text, :at from {batch}", {"text": "it's {a} :b", "at": CLOCK})
    )
    assert rule.for_great_expectations("select ':c' as d") == (
        r"select 'it''s {{a}} \:b'::text, '2017-10-01 09:00:00+00:00'::timestamptz from (select '\:c' as d)"
        "\n/* {batch} */"
    )
    with pytest.raises(KeyError):
        suites.fill("select :missing", {})


def test_every_rule_says_what_it_is_about(built: Built) -> None:
    judged = Judged(built.run_id, True, CLOCK, [DAY], built.definition_hash, built.body)
    rules = suites.rules(REQUESTS, judged) + suites.rules(DECISIONS, judged)
    assert len({rule.name for rule in rules}) == len(rules) > 20
    assert all(rule.about.endswith(".") and "{batch}" in rule.query for rule in rules)
