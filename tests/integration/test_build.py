from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.build import check_mode
from cli.main import main, register
from outbox.sql import ledger, queries
from senders import registry
from senders.contract import Outcome, OutcomeKind
from tests.integration.handoff_stub import BUILT_AT, DAY, Shop, campaign
from tests.integration.outbound import ACCEPT, Outbound
from warehouse import connections, dbt
from warehouse.errors import Misconfigured, WinbackError

runner = CliRunner()
NOTICES: list[str] = []


@pytest.fixture(autouse=True)
def sandboxed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections of a sandbox that nobody calls, dbt that builds what the test put there, and a team that listens."""
    for conn_id in (*connections.SENDERS, connections.ALERTS):
        document = {"host": "http://127.0.0.1:9", "login": "AC1", "password": "x", "extra": {"sandbox": True}}
        monkeypatch.setenv(connections.variable(conn_id), json.dumps(document))
    NOTICES.clear()
    monkeypatch.setattr(registry, "notifier", lambda: listen)
    monkeypatch.setattr(dbt, "run", lambda *_, **__: [])
    yield


def listen(title: str, body: str, notice_id: str) -> Outcome:
    NOTICES.append(f"{title}\n{body}")
    return ACCEPT


def winback(*arguments: str) -> dict[str, Any]:
    """Runs a verb to its good end and returns its line of JSON. Raises what it raised."""
    done = runner.invoke(register(), arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return answer


def build(*more: str) -> dict[str, Any]:
    return winback("build", "--as-of", DAY.isoformat(), *more)


def test_a_build_opens_a_run_with_its_definitions_and_leaves_it_built(shop: Shop) -> None:
    answer = build()
    assert (answer["as_of"], answer["mode"], answer["notices"]) == ("2017-10-01", "simulated", {})
    assert shop.rows("select run_id::text, state, clock, target from outbox.run") == [
        (answer["run_id"], "built", BUILT_AT, "prod")
    ]
    assert shop.value("select count(*) from outbox.definition where body ->> 'title' = 'We miss you'") == 1


def test_a_full_refresh_is_asked_for_and_never_the_default(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(dbt, "run", lambda arguments, **_: asked.append(list(arguments)))
    build()
    build("--full-refresh")
    assert asked == [list(dbt.BUILD), [*dbt.BUILD, "--full-refresh"]]


def test_the_team_hears_of_a_dry_pool_before_any_gate(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> list[str]:
        run_id = shop.value("select run_id from outbox.run where state = 'building'")
        row = {"run_id": run_id, "kind": "pool_dry", "subject": "winback_discount10", "on_day": DAY}
        shop.insert("handoff.notice_requests", {**row, "title": "The pool is dry", "body": "3 people are held."})
        return []

    monkeypatch.setattr(dbt, "run", run)
    assert build()["notices"] == {"accepted": 1}
    assert NOTICES == ["The pool is dry\n3 people are held."]
    assert build()["notices"] == {}  # once a pool and day


def test_a_failing_build_ends_its_run_and_tells_the_team_without_values(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any, **__: Any) -> list[str]:
        raise WinbackError(
            "The dbt build failed at model stg_x: duplicate key\nDETAIL: Key (email)=(robin@example.com)"
        )

    monkeypatch.setattr(dbt, "run", run)
    with pytest.raises(WinbackError, match="stg_x"):
        build()
    assert shop.rows("select state, detail from outbox.run") == [
        ("failed", "The dbt build failed at model stg_x: duplicate key")
    ]
    assert shop.rows("select kind, state from outbox.notice") == [("run_failed", "accepted")]
    assert "stg_x" in NOTICES[0]
    assert "robin" not in NOTICES[0]


def test_an_interrupted_build_is_a_failed_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(dbt, "run", run)
    runner.invoke(register(), ["build", "--as-of", DAY.isoformat()])
    assert shop.value("select state from outbox.run") == "failed"


def test_building_again_enters_the_same_run(shop: Shop) -> None:
    assert build("--holder", "me")["run_id"] == build("--holder", "me")["run_id"]
    shop.owner.execute("update outbox.run set lease_until = now()")
    assert build("--holder", "you")["run_id"] != shop.value("select run_id::text from outbox.run where holder = 'me'")
    assert shop.value("select state from outbox.run where holder = 'me'") == "abandoned"


def test_without_anyone_to_tell_nothing_is_built(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Any:
        raise Misconfigured("no alerts connection")

    monkeypatch.setattr(registry, "notifier", nobody)
    with pytest.raises(Misconfigured):
        build()
    assert shop.value("select count(*) from outbox.run") == 0


def test_a_day_in_the_future_is_refused(shop: Shop) -> None:
    with pytest.raises(WinbackError, match="lies in the future"):
        winback("build", "--as-of", "2999-01-01")
    assert shop.value("select count(*) from outbox.run") == 0


def test_a_simulation_is_refused_where_live_runs_are_kept(shop: Shop) -> None:
    build()
    with ledger() as desk:
        check_mode(desk, "simulated")
        with pytest.raises(WinbackError, match="holds simulated runs"):
            check_mode(desk, "live")


def test_from_build_to_dispatch_through_the_command(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_SHARDS", "4")
    run_id = uuid.UUID(build()["run_id"])
    shop.request(run_id, shop.contact(), code="A1", promotion="p", definition_hash=winback_hash(shop))
    judge(shop, run_id)

    frozen = winback("enqueue", "--run", str(run_id))
    assert (frozen["messages"], frozen["grants"], frozen["shards"]) == (1, 1, ["1/1"])  # a simulated run has one clock
    assert winback("enqueue", "--run", str(run_id)) == frozen

    out = Outbound()
    monkeypatch.setattr(registry, "Senders", lambda **_: out.factory)
    sent = winback("dispatch", "--run", str(run_id), "--shard", "1/1")
    assert (sent["totals"], sent["messages"]) == ({"accepted": 1}, {"accepted": 1})
    assert sent["sent_now"] == {"email": {"accepted": 1}}
    again = runner.invoke(register(), ["dispatch", "--as-of", "2017-10-01"])
    assert "Nothing was due, so nothing was sent now.\n" in again.output
    answer = json.loads(again.output.splitlines()[-1])
    assert (answer["totals"], answer["sent_now"], answer["messages"]) == ({}, {}, {"accepted": 1})
    assert winback("dispatch")["run_id"] == str(run_id)
    assert len(out.sent) == 1


def test_a_refused_hand_off_ends_its_run_so_that_the_day_can_be_built_again(shop: Shop) -> None:
    run_id = uuid.UUID(build()["run_id"])
    shop.request(run_id, shop.contact(), definition_hash=winback_hash(shop))
    judge(shop, run_id)
    shop.owner.execute("delete from handoff.send_requests")
    with pytest.raises(WinbackError, match="has changed since the gate judged it"):
        winback("enqueue", "--run", str(run_id))
    assert shop.value("select state from outbox.run") == "failed"
    assert build()["run_id"] != str(run_id)


def test_a_day_that_nobody_approved_is_held(shop: Shop) -> None:
    run_id = uuid.UUID(build()["run_id"])
    shop.request(run_id, shop.contact(), definition_hash=winback_hash(shop))
    judge(shop, run_id)
    frozen = winback("enqueue", "--run", str(run_id), "--not-approved")
    assert (frozen["messages"], frozen["withheld"]) == (0, {"winback": "not_approved"})


def test_dispatch_exits_with_an_error_when_a_channel_could_not_be_served(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.planned(channels=["sms"])
    shop.planned()
    out = Outbound()

    def factory(channel: str, definition: Any) -> Any:
        if channel == "sms":
            raise Misconfigured("no auth token")
        return out.factory(channel, definition)

    monkeypatch.setattr(registry, "Senders", lambda **_: factory)
    with pytest.raises(Misconfigured, match="sms: no auth token"):
        winback("dispatch")
    assert len(out.sent) == 1


def test_dispatch_fails_with_advice_when_a_provider_cannot_be_reached(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens at port 9: the real sender meets what a firewall or an outage would give it."""
    real = {"host": "https://127.0.0.1:9", "login": "", "password": "not-to-be-seen"}
    for conn_id in connections.SENDERS:
        monkeypatch.setenv(connections.variable(conn_id), json.dumps(real))
    sender = {"from_address": "shop@example.com", "from_name": "Riverside", "reply_to": "shop@example.com"}
    shop.define(campaign(email=sender))
    now = datetime.now(UTC)
    shop.planned(run_mode="live", not_before=now - timedelta(minutes=1), not_after=now + timedelta(days=3))
    monkeypatch.setattr("sys.argv", ["winback", "dispatch"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()
    assert ended.value.code == 75, error
    assert error.startswith("winback: email through sendgrid: SendGrid could not be reached (ConnectionRefusedError).")
    assert "1 message waits for it, it has not left." in error
    assert "Check the connection sendgrid_default" in error
    assert "not-to-be-seen" not in out + error
    assert json.loads(out.splitlines()[-1])["unreachable"] == ["email"]
    assert shop.rows("select state from outbox.message") == [("planned",)]
    assert [notice.splitlines()[0] for notice in NOTICES] == ["email: the provider cannot be reached"]


def test_a_live_run_is_not_sent_through_sandboxes(shop: Shop) -> None:
    shop.planned(run_mode="live")
    run_id = shop.value("select run_id from outbox.run")
    with pytest.raises(WinbackError, match="is live, and the senders' connections are all sandboxes"):
        winback("dispatch", "--run", str(run_id))


def test_release_settles_a_message_in_doubt(shop: Shop) -> None:
    message_id = shop.planned()
    Outbound(email=lambda _: Outcome(OutcomeKind.UNKNOWN)).simulate()
    answer = winback("release", str(message_id), "--by", "Kim", "--evidence", "not in the provider's log")
    assert answer == {"by": "Kim", "message_id": str(message_id), "state": "planned"}
    assert runner.invoke(register(), ["release", str(message_id), "--by", " ", "--evidence", "x"]).exit_code == 2


def winback_hash(shop: Shop) -> str:
    """The hash of the real campaign, which the build registered; its bundle is the run's."""
    shop.bundle_hash = shop.value("select definition_hash from outbox.run order by created_at desc limit 1")
    return str(
        shop.value("select body #>> '{campaigns,winback}' from outbox.definition where hash = %s", shop.bundle_hash)
    )


def judge(shop: Shop, run_id: uuid.UUID) -> None:
    """What the gate leaves behind of a built run."""
    from outbox import runs

    with ledger() as connection:
        totals = queries.handoff_totals(connection, run_id=run_id)
        names = runs.definition(connection, shop.bundle_hash)["campaigns"]
        runs.mark_validated(
            connection, run_id, request_count=totals["request_count"], request_checksum=totals["request_checksum"],
            verdict={name: {"result": "passed"} for name in names},
        )  # fmt: skip
