from __future__ import annotations

import itertools
import uuid
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors, sql

from tests.integration.handoff_stub import SEND_AT, Shop
from tests.integration.outbound import Outbound
from warehouse.connect import Role, connect

MESSAGE = ("planned", "sending", "accepted", "rejected", "in_doubt", "skipped", "expired")
ATTEMPT = ("open", "accepted", "not_sent", "rejected", "unknown")
NOTICE = ("planned", "sending", "accepted", "rejected", "in_doubt")
RUN = ("building", "built", "validated", "enqueued", "failed", "abandoned")

ATTEMPT_OPENED = (
    "insert into outbox.attempt (message_id, attempt_no, channel, worker, opened_at, lease_until)"
    " values (%s, %s, 'email', 'w', now(), now())"
)
NOTICE_RAISED = (
    "insert into outbox.notice (kind, subject, on_day, title, body, raised_at)"
    " values ('k', 's', now(), 't', 'b', now())"
)

ALLOWED = {
    "message": {
        ("planned", "sending"), ("planned", "skipped"), ("planned", "expired"),
        ("sending", "accepted"), ("sending", "rejected"), ("sending", "in_doubt"), ("sending", "planned"),
        ("in_doubt", "accepted"), ("in_doubt", "rejected"), ("in_doubt", "planned"),
    },
    "attempt": {
        ("open", "accepted"), ("open", "not_sent"), ("open", "rejected"), ("open", "unknown"),
        ("unknown", "accepted"), ("unknown", "not_sent"), ("unknown", "rejected"),
    },
    "notice": {
        ("planned", "sending"), ("sending", "accepted"), ("sending", "rejected"), ("sending", "in_doubt"),
        ("sending", "planned"),
    },
    "run": {
        ("building", "built"), ("built", "validated"), ("validated", "enqueued"),
        ("built", "building"), ("validated", "building"),
        *((state, end) for state in ("building", "built", "validated") for end in ("failed", "abandoned")),
    },
}  # fmt: skip
"""The states, written out by hand: what the guard must let through, and nothing else."""


def pairs(ledger: str, states: tuple[str, ...]) -> list[tuple[str, str, str]]:
    return [(ledger, before, after) for before, after in itertools.permutations(states, 2)]


EVERY_STEP = [*pairs("message", MESSAGE), *pairs("attempt", ATTEMPT), *pairs("notice", NOTICE), *pairs("run", RUN)]


def test_the_guards_let_exactly_the_written_transitions_through(shop: Shop) -> None:
    """Every row is led to `before` with the guards off; then the step is taken with them on, and rolled back."""
    shop.planned()
    shop.owner.execute(
        "insert into outbox.notice (kind, subject, on_day, title, body, raised_at) values ('k', 's', now(), "
        "'t', 'b', now())"
    )
    shop.owner.execute(
        "insert into outbox.attempt (message_id, attempt_no, channel, worker, opened_at, lease_until)"
        " select id, 1, 'email', 'w', now(), now() from outbox.message"
    )
    passed: dict[str, set[tuple[str, str]]] = {name: set() for name in ALLOWED}
    for table, before, after in EVERY_STEP:
        try:
            with shop.owner.transaction(force_rollback=True):
                shop.owner.execute("set local session_replication_role = replica")
                shop.owner.execute(led_to(table, before))
                shop.owner.execute("set local session_replication_role = origin")
                shop.owner.execute(led_to(table, after))
                passed[table].add((before, after))
        except errors.RestrictViolation as error:
            assert "no way leads from" in str(error) or "a closed attempt never changes" in str(error)
    assert passed == ALLOWED


def led_to(table: str, state: str) -> sql.Composed:
    """Sets the state of every row, with the columns that its checks ask for."""
    column = {"attempt": "outcome"}.get(table, "state")
    extra = {
        "message": "accepted_at = case when {state} = 'accepted' then now() end,"
        " accepted_channel = case when {state} = 'accepted' then 'email' end",
        "attempt": "closed_at = case when {state} <> 'open' then now() end, evidence = '{{\"source\": \"test\"}}'",
        "notice": "accepted_at = null",
        "run": "detail = 'x'",
    }[table]
    text = sql.SQL("update {table} set {column} = {state}, " + extra)  # noqa: S608
    return text.format(table=sql.Identifier("outbox", table), column=sql.Identifier(column), state=sql.Literal(state))


@pytest.mark.parametrize("table", ["message", "run", "notice"])
def test_a_row_begins_in_its_first_state(shop: Shop, table: str) -> None:
    shop.planned()
    shop.owner.execute(
        "insert into outbox.notice (kind, subject, on_day, title, body, raised_at) values ('k', 's', now(), "
        "'t', 'b', now())"
    )
    row = shop.rows(f"select to_jsonb(t) from outbox.{table} t")[0][0]  # noqa: S608
    key = {"run": "run_id"}.get(table, "id")
    later = {**row, key: str(uuid.uuid4()), "state": "rejected" if table != "run" else "built", "subject": "other"}
    with pytest.raises(errors.RestrictViolation, match="begins in its first state"):
        shop.owner.execute(
            f"insert into outbox.{table} select * from jsonb_populate_record(null::outbox.{table}, %s::jsonb)",  # noqa: S608
            [psycopg.types.json.Json(later)],
        )


def test_only_one_attempt_of_a_message_may_have_left(shop: Shop) -> None:
    message_id = shop.planned()
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 1])
    for outcome in ("open", "unknown", "accepted"):
        shop.owner.execute(
            "update outbox.attempt set outcome = %s, closed_at = case when %s = 'open' then null else now() "
            "end, evidence = '{\"source\": \"test\"}'"
            " where attempt_no = 1 and outcome <> %s", [outcome, outcome, outcome]
        )  # fmt: skip
        with pytest.raises(errors.UniqueViolation, match="attempt_one_may_have_left"):
            shop.owner.execute(ATTEMPT_OPENED, [message_id, 2])


@pytest.mark.parametrize(
    "change",
    [
        "channel = 'sms'",
        "address_hash = 'other'",
        "opened_at = opened_at - interval '1 day'",
        "worker = 'another'",
        "consent = '{}'",
    ],
)
def test_an_acceptance_does_not_change_what_was_attempted(shop: Shop, change: str) -> None:
    message_id = shop.planned()
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 1])
    with pytest.raises(errors.RestrictViolation, match="what was attempted never changes"):
        shop.owner.execute(f"update outbox.attempt set outcome = 'accepted', closed_at = now(), {change}")  # noqa: S608


@pytest.mark.parametrize("change", ["closed_at = opened_at", "error_code = 'x'", "worker = 'x'", "consent = '{}'"])
def test_what_is_in_doubt_changes_only_on_a_way_out_of_it(shop: Shop, change: str) -> None:
    message_id = shop.planned()
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 1])
    shop.owner.execute("update outbox.attempt set outcome = 'unknown', closed_at = opened_at + interval '1 minute'")
    with pytest.raises(errors.RestrictViolation, match="never changes"):
        shop.owner.execute(f"update outbox.attempt set {change}")  # noqa: S608
    late = (
        "update outbox.attempt set outcome = 'accepted', closed_at = now(), evidence = '{\"source\": \"late answer\"}'"
    )
    shop.owner.execute(late)


@pytest.mark.parametrize("outcome", ["not_sent", "rejected"])
def test_after_an_attempt_that_never_left_there_may_be_another(shop: Shop, outcome: str) -> None:
    message_id = shop.planned()
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 1])
    shop.owner.execute("update outbox.attempt set outcome = %s, closed_at = now()", [outcome])
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 2])


def test_an_outcome_is_never_null_for_a_predicate_is_not_true_of_null(shop: Shop) -> None:
    message_id = shop.planned()
    with pytest.raises(errors.NotNullViolation):
        shop.owner.execute(
            "insert into outbox.attempt (message_id, attempt_no, channel, worker, opened_at, lease_until, outcome)"
            " values (%s, 1, 'email', 'w', now(), now(), null)", [message_id]
        )  # fmt: skip


@pytest.mark.parametrize("evidence", [None, "{}", '{"source": " "}', '{"source": "operator"}',
                                      '{"source": "operator", "by": ""}'])  # fmt: skip
def test_unknown_is_left_only_with_evidence(shop: Shop, evidence: str | None) -> None:
    message_id = shop.planned()
    shop.owner.execute(ATTEMPT_OPENED, [message_id, 1])
    shop.owner.execute("update outbox.attempt set outcome = 'unknown', closed_at = now()")
    with pytest.raises(errors.RestrictViolation, match="only with evidence"):
        shop.owner.execute("update outbox.attempt set outcome = 'accepted', evidence = %s", [evidence])
    shop.owner.execute("update outbox.attempt set outcome = 'accepted', evidence = '{\"source\": \"provider log\"}'")


@pytest.mark.parametrize(
    "change",
    [
        "accepted_at = accepted_at + interval '1 day'", "accepted_channel = 'sms'", "reason = 'x'", "channel_no = 2",
        "not_before = not_before - interval '1 day'", "closed_at = null",
    ],
)  # fmt: skip
def test_what_was_accepted_never_changes(shop: Shop, change: str) -> None:
    shop.planned(channels=["email", "sms"])
    assert Outbound().simulate().totals == {"accepted": 1}
    with connect(Role.SENDER, autocommit=True) as connection:
        connection.execute("update outbox.message set reason = reason")
        with pytest.raises(errors.RestrictViolation, match="what was accepted never changes"):
            connection.execute(f"update outbox.message set {change}")  # type: ignore[arg-type]  # noqa: S608


@pytest.mark.parametrize("state", ["rejected", "skipped", "expired"])
@pytest.mark.parametrize("change", ["reason = 'x'", "closed_at = now()", "channel_no = 2"])
def test_what_was_closed_unsent_never_changes(shop: Shop, state: str, change: str) -> None:
    shop.planned(channels=["email", "sms"])
    for step in ("sending", "rejected") if state == "rejected" else (state,):
        shop.owner.execute("update outbox.message set state = %s, reason = 'why', closed_at = %s", [step, SEND_AT])
    with pytest.raises(errors.RestrictViolation, match=f"what (was )?{state} never changes"):
        shop.owner.execute(f"update outbox.message set {change}")  # noqa: S608


@pytest.mark.parametrize("change", [
    "address_hash = 'x'", "channel = 'sms'", "reason = 'bounced'", "source = 'x'", "suppressed_at = now()",
    "suppressed_at = suppressed_at - interval '1 day'", "event_received_at = now()",
])  # fmt: skip
def test_an_opt_out_says_the_same_as_long_as_it_holds(shop: Shop, change: str) -> None:
    suppressed(shop)
    with connect(Role.SENDER, autocommit=True) as connection, pytest.raises(errors.RestrictViolation, match="its end"):
        connection.execute(f"update outbox.suppression set {change}")  # type: ignore[arg-type]  # noqa: S608


@pytest.mark.parametrize("change", ["lifted_at = null", "lifted_at = now()", "until = null", "reason = 'x'"])
def test_an_opt_out_is_lifted_once(shop: Shop, change: str) -> None:
    suppressed(shop)
    with connect(Role.SENDER, autocommit=True) as connection:
        connection.execute(
            "update outbox.suppression set until = until + interval '1 day', source = 'list',"
            " suppressed_at = suppressed_at - interval '1 day'"
        )
        connection.execute("update outbox.suppression set lifted_at = suppressed_at + interval '2 days'")
        with pytest.raises(errors.RestrictViolation, match="its end is moved while it holds, and it is lifted once"):
            connection.execute(f"update outbox.suppression set {change}")  # type: ignore[arg-type]  # noqa: S608


@pytest.mark.parametrize("change", ["lifted_at = now()", "until = now()"])
def test_nothing_ends_the_stop_of_somebody_who_was_forgotten(shop: Shop, change: str) -> None:
    suppressed(shop, reason="forgotten", until=None)
    with pytest.raises(errors.RestrictViolation, match="has no end"):
        shop.owner.execute(f"update outbox.suppression set {change}")  # noqa: S608


def suppressed(shop: Shop, **changes: object) -> None:
    """An opt-out that ends in a month."""
    row = {"channel": "email", "address_hash": b"a", "reason": "paused", "source": "test", "suppressed_at": SEND_AT,
           "until": SEND_AT + timedelta(days=30), **changes}  # fmt: skip
    shop.insert("outbox.suppression", row)


@pytest.mark.parametrize(
    "change",
    [
        "merge_fields = '{}'", "channels = '{sms}'", "contact_id = 'x'", "not_after = now()", "consent = '{}'",
        "coupon_grant_id = null", "template_hash = repeat('cd', 32)", "mode = 'allowlist'",
    ],
)  # fmt: skip
def test_what_was_decided_is_frozen(shop: Shop, change: str) -> None:
    shop.planned(code="A1", promotion="p")
    with pytest.raises(errors.RestrictViolation, match="frozen"):
        shop.owner.execute(f"update outbox.message set {change}")  # noqa: S608


@pytest.mark.parametrize("column", ["template_hash", "definition_hash", "run_id"])
def test_a_message_names_a_run_a_definition_and_a_template_that_are_there(shop: Shop, column: str) -> None:
    message_id = shop.planned()
    with pytest.raises(errors.ForeignKeyViolation, match=f"outbox.message: {column} 0{{8}}-0000-.* is not in outbox"):
        shop.owner.execute(
            "insert into outbox.message select (jsonb_populate_record(m, jsonb_build_object("
            " 'id', gen_random_uuid(), 'contact_id', 'x', %s::text, '00000000-0000-0000-0000-000000000000'))).*"
            " from outbox.message m where id = %s",
            [column, message_id],
        )


@pytest.mark.parametrize("column", ["definition_hash", "run_id"])
def test_a_decision_names_a_run_and_a_definition_that_are_there(shop: Shop, column: str) -> None:
    shop.planned()
    with pytest.raises(errors.ForeignKeyViolation, match=f"outbox.decision: {column} 0{{8}}-0000-.* is not in outbox"):
        shop.owner.execute(
            "insert into outbox.decision select (jsonb_populate_record(d, jsonb_build_object("
            " 'contact_id', 'x', %s::text, '00000000-0000-0000-0000-000000000000'))).* from outbox.decision d",
            [column],
        )


def test_the_id_of_a_run_never_changes(shop: Shop) -> None:
    shop.planned()
    with pytest.raises(errors.RestrictViolation, match="never changes"):
        shop.owner.execute("update outbox.run set run_id = gen_random_uuid()")


def test_a_shifted_episode_of_the_same_step_is_excluded_until_the_first_is_closed_unsent(shop: Shop) -> None:
    message_id = shop.planned()
    copy = (
        "insert into outbox.message select (jsonb_populate_record(null::outbox.message, to_jsonb(m) || "
        "jsonb_build_object('id', gen_random_uuid(), 'state', 'planned', 'episode_on', m.episode_on + %s, "
        "'closed_at', null))).* from outbox.message m where m.id = %s"
    )
    with pytest.raises(errors.ExclusionViolation):
        shop.owner.execute(copy, [2, message_id])
    shop.owner.execute(copy, [30, message_id])
    shop.owner.execute("update outbox.message set state = 'skipped' where id = %s", [message_id])
    with pytest.raises(errors.UniqueViolation, match="message_step_once"):
        shop.owner.execute(copy, [0, message_id])
    shop.owner.execute(copy, [-2, message_id])


def test_nothing_is_ever_deleted_from_the_ledger_not_even_by_its_owner(shop: Shop) -> None:
    shop.planned(code="A1", promotion="p")
    for (table,) in shop.rows("select tablename from pg_tables where schemaname = 'outbox'"):
        name = sql.Identifier("outbox", table)
        with pytest.raises(errors.RestrictViolation, match="ledger"):
            shop.owner.execute(sql.SQL("truncate {} cascade").format(name))
        if shop.owner.execute(sql.SQL("select from {}").format(name)).fetchone():
            with pytest.raises(errors.RestrictViolation, match="ledger"):
                shop.owner.execute(sql.SQL("delete from {}").format(name))


@pytest.mark.parametrize("table", ["decision", "definition", "template", "contact_event", "transition"])
def test_archives_never_change(shop: Shop, table: str) -> None:
    shop.planned(code="A1", promotion="p")
    column = shop.value(
        "select column_name from information_schema.columns where table_schema = 'outbox' and table_name = %s"
        " and data_type = 'text' limit 1", table
    )  # fmt: skip
    with pytest.raises(errors.RestrictViolation, match="append-only"):
        shop.owner.execute(
            sql.SQL("update {} set {} = 'x'").format(sql.Identifier("outbox", table), sql.Identifier(column))
        )


def test_a_code_is_released_only_when_its_message_provably_never_left(shop: Shop) -> None:
    shop.planned(code="A1", promotion="p")
    release = "update outbox.coupon_grant set released_at = granted_at + interval '1 day'"
    with pytest.raises(errors.RestrictViolation, match="may have left"):
        shop.owner.execute(release)
    shop.owner.execute("update outbox.message set state = 'skipped'")
    shop.owner.execute(release)
    with pytest.raises(errors.RestrictViolation, match="released once"):
        shop.owner.execute("update outbox.coupon_grant set released_at = null")


def test_a_code_has_one_owner_until_it_is_released(shop: Shop) -> None:
    shop.planned(code="A1", promotion="p")
    again = (
        "insert into outbox.coupon_grant (promotion, code, contact_id, campaign, episode_on, step, as_of, "
        "granted_at, valid_until) select promotion, code, 'other', campaign, episode_on, step, as_of, "
        "granted_at, valid_until from outbox.coupon_grant"
    )
    with pytest.raises(errors.UniqueViolation, match="coupon_grant_code"):
        shop.owner.execute(again)
    shop.owner.execute("update outbox.message set state = 'skipped'")
    shop.owner.execute("update outbox.coupon_grant set released_at = granted_at")
    shop.owner.execute(again)


def test_one_run_at_a_time_is_open(shop: Shop) -> None:
    shop.open_run()
    with pytest.raises(errors.UniqueViolation, match="run_one_at_a_time"):
        shop.owner.execute(
            "insert into outbox.run (mode, clock, definition_hash, target, holder, lease_until)"
            " values ('live', now(), %s, 'prod', 'x', now())", [shop.bundle_hash]
        )  # fmt: skip


def test_the_guard_holds_for_the_sender_role_too(shop: Shop) -> None:
    shop.planned()
    with connect(Role.SENDER, autocommit=True) as connection:
        with pytest.raises(errors.RestrictViolation):
            connection.execute(
                "update outbox.message set state = 'accepted', accepted_at = now(), accepted_channel = 'email'"
            )
        connection.execute("update outbox.message set not_before = %s", [SEND_AT + timedelta(hours=1)])
