"""What another tool sent: read from a file, once, and never sent again, however late it is learnt."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import register
from outbox import imports
from outbox.imports import Imported
from tests.integration.dbt_days import at, begin, build, contact, database, decisions, order
from tests.integration.handoff_stub import DAY, Shop, campaign
from tests.integration.outbound import Outbound
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

STEPS = imports.steps_of(
    {
        "winback": {
            "steps": [
                {"key": "day30", "step_days": 30},
                {"key": "day60", "step_days": 60, "renamed_from": "two_months"},
            ]
        }
    }
)
PEOPLE = ("raw", "contacts")
MARKED = "select contact_id, step, episode_on::text, sent_on::text, channel from outbox.imported_send order by 1, 2, 3"


def read(tmp_path: Path, *lines: str, header: str = "contact_id,campaign,step,sent_on") -> Imported:
    file = tmp_path / "history.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return imports.import_history(file, STEPS, PEOPLE)


def test_an_episode_that_the_file_does_not_know_began_the_steps_days_before_it_was_sent(
    shop: Shop, tmp_path: Path
) -> None:
    shop.contact("a")
    done = read(
        tmp_path, "a,winback,day30,2017-09-30,email,", "a,winback,two_months,2017-09-30,,2017-07-30",
        header="contact_id,campaign,step,sent_on,channel,episode_on",
    )  # fmt: skip
    assert (done.lines, done.added, done.unknown_contacts) == (2, 2, 0)
    assert shop.rows(MARKED) == [
        ("a", "day30", "2017-08-31", "2017-09-30", "email"),
        ("a", "day60", "2017-07-30", "2017-09-30", None),
    ]


def test_reading_it_twice_changes_nothing_and_a_repeated_line_counts_once(shop: Shop, tmp_path: Path) -> None:
    shop.contact("a")
    lines = ("a,winback,day30,2017-09-30", "a,winback,day30,2017-09-30")
    assert read(tmp_path, *lines) == Imported(2, 1, 0, 1, 0, ())
    assert read(tmp_path, *lines) == Imported(2, 0, 1, 1, 0, ())
    assert len(shop.rows(MARKED)) == 1


def test_lines_whose_contact_nobody_knows_are_counted_named_and_kept(shop: Shop, tmp_path: Path) -> None:
    shop.contact("a")
    strangers = [f"x{number},winback,day30,2017-09-30" for number in range(12)]
    done = read(tmp_path, "a,winback,day30,2017-09-30", *strangers)
    assert (done.added, done.unknown_contacts) == (13, 12)
    assert list(done.unknown_lines) == list(range(3, 13))


def test_every_kind_of_mistake_is_told_with_its_lines_and_nothing_is_imported(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(WinbackError) as refused:
        read(
            tmp_path,
            "a,winback,day30,2017-09-30,email,2017-08-31",
            ",winback,day30,2017-09-30,,",
            "a,winbak,day30,2017-09-30,,",
            "a,winback,day31,2017-09-30,,",
            *["a,winback,day30,2017-02-29,,"] * 11,
            "a,winback,day30,2089-01-01,,",
            "a,winback,day30,2017-09-30,fax,",
            "a,winback,day30,2017-09-30,,2017-10-01",
            "a,winback,day30,2017-09-30,,yesterday",
            header="contact_id,campaign,step,sent_on,channel,episode_on",
        )
    told = str(refused.value)
    assert "Nothing was imported" in told
    assert "line 3: contact_id is empty" in told
    assert "line 4: campaign: there is no 'winbak'; there are winback" in told
    assert "line 5: step: there is no 'day31'; there are winback day30, winback day60" in told
    assert "lines 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 1 more: sent_on is no day such as 2026-03-31" in told
    assert "line 17: sent_on lies in the future" in told
    assert "line 18: channel: there is no 'fax'; there are email, sms and webpush" in told
    assert "line 19: episode_on lies after sent_on" in told
    assert "line 20: episode_on is no day" in told
    assert "line 2:" not in told
    assert shop.rows(MARKED) == []


def test_a_file_whose_columns_shifted_puts_no_address_into_an_error(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(WinbackError) as refused:
        read(
            tmp_path,
            "a,ann@shop.example,winback,day30,email,",
            "a,winback,bob@shop.example,2017-09-30,,",
            "a,winback,+12125550142,2017-09-30,,",
            "a,winback,day30,2017-09-30,Cy Lee,",
            "a,winback,,2017-09-30,,",
            header="contact_id,campaign,step,sent_on,channel,episode_on",
        )
    told = str(refused.value)
    assert not any(word in told for word in ("ann@", "bob@", "1212", "Lee"))
    assert "line 2: campaign: a value that is no key" in told
    assert "lines 3 and 4: step: a value that is no key" in told
    assert "line 5: channel: a value that is no key" in told
    assert "line 6: step: empty; there are" in told


def test_a_first_line_that_is_no_header_is_not_repeated(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(WinbackError) as refused:
        read(tmp_path, "b,winback,day30,2017-09-30", header="ann@shop.example,winback,Ann Lee,2017-09-30")
    assert "found column 1 (no column's name), winback, column 3" in str(refused.value)
    assert "ann@" not in str(refused.value)
    assert "Ann Lee" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a header"),
        ("contact_id,step,sent_on\na,day30,2017-09-30\n", "expected a header"),
        ("contact_id,campaign,step,sent_on,colour\na,winback,day30,2017-09-30,red\n", "found contact_id, campaign"),
        ("contact_id,campaign,step,sent_on\n", "holds no line below its header"),
        ("contact_id,campaign,step,sent_on\na,winback,day30\n", "line 2: 3 cells where the header has 4"),
        ("contact_id,campaign,step,sent_on\na,winback,day30,\xff\n", "cannot be read as CSV in UTF-8"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_line(shop: Shop, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "history.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(WinbackError, match="Nothing was imported") as refused:
        imports.import_history(file, STEPS, PEOPLE)
    assert words in str(refused.value)
    assert shop.rows(MARKED) == []


def test_a_step_that_another_tool_sent_is_not_frozen_and_takes_no_code(shop: Shop, tmp_path: Path) -> None:
    had, other = shop.contact(), shop.contact()
    run_id = shop.open_run()
    for number, contact_id in enumerate((had, other)):
        shop.request(run_id, contact_id, code=f"A{number}", promotion="p")
    read(tmp_path, f"{had},winback,day30,{DAY - timedelta(days=3)}")
    done = shop.enqueue(run_id)
    assert (done.requests, done.messages, done.already_there, done.grants) == (2, 1, 1, 1)
    assert shop.rows("select contact_id from outbox.message") == [(other,)]


def test_a_genuine_new_episode_is_sent_though_another_tool_sent_the_one_before(shop: Shop, tmp_path: Path) -> None:
    had = shop.contact()
    read(tmp_path, f"{had},winback,day30,{DAY - timedelta(days=30)}")
    run_id = shop.open_run()
    shop.request(run_id, had)
    assert shop.enqueue(run_id).messages == 1


def test_a_planned_message_is_stopped_at_the_claim_when_its_history_is_read_after_all(
    shop: Shop, tmp_path: Path
) -> None:
    had, other = shop.contact(), shop.contact()
    shop.planned(had)
    shop.planned(other)
    read(tmp_path, f"{had},winback,day30,{DAY - timedelta(days=1)}")
    outbound = Outbound()
    outbound.simulate()
    assert [message.recipient.email for _, message in outbound.sent] == [f"{other}@example.com"]
    assert shop.rows("select contact_id, state, reason from outbox.message order by 1") == [
        (had, "skipped", "already_messaged"),
        (other, "accepted", None),
    ]


def test_a_step_that_was_renamed_since_the_file_was_read_is_still_the_one_they_had(shop: Shop, tmp_path: Path) -> None:
    had = shop.contact()
    shop.define(campaign(steps=[{"key": "day61", "renamed_from": "day60"}, {"key": "day30"}]))
    shop.planned(had, step="day61", step_days=60)
    read(tmp_path, f"{had},winback,two_months,{DAY - timedelta(days=1)}")
    outbound = Outbound()
    outbound.simulate()
    assert outbound.sent == []
    assert shop.rows("select state, reason from outbox.message") == [("skipped", "already_messaged")]


@pytest.mark.parametrize("change", ["delete from", "truncate", "update"])
def test_nobody_takes_history_back(shop: Shop, tmp_path: Path, change: str) -> None:
    read(tmp_path, "a,winback,day30,2017-09-30")
    with pytest.raises(psycopg.errors.RestrictViolation):
        shop.owner.execute(f"{change} outbox.imported_send" + (" set step = 'x'" if change == "update" else ""))
    for role in (Role.DBT, Role.ANALYST, Role.WEBHOOK):
        with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into outbox.imported_send select * from outbox.imported_send")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(register(["import_history", "db"]), ["import-history", *arguments])


def test_the_verb_says_what_it_marked_and_whom_nobody_knows(shop: Shop, tmp_path: Path) -> None:
    shop.contact("a")
    file = tmp_path / "history.csv"
    file.write_text(
        "contact_id,campaign,step,sent_on\na,winback,day60,2017-09-30\n"
        "b,winback,day30_push,2017-09-30\na,winback,day90,2017-09-30\n"
    )
    result = run(str(file))
    assert result.exit_code == 0, result.output
    assert "3 lines read: 3 steps marked as sent, 0 marked before, 0 repeated in the file." in result.output
    assert "1 line names a contact that raw.contacts does not have (line 3)" in result.output
    assert json.loads(result.output.splitlines()[-1])["added"] == 3
    episodes = dict(shop.rows("select step, (sent_on - episode_on)::text from outbox.imported_send"))
    assert episodes == {"day60": "60", "day30_push": "33", "day90": "90"}


def test_a_file_that_is_not_there_is_an_error_that_names_it(shop: Shop, tmp_path: Path) -> None:
    result = run(str(tmp_path / "none.csv"))
    assert isinstance(result.exception, WinbackError)
    assert "none.csv cannot be read" in str(result.exception)


@pytest.mark.slow
def test_a_day_decides_that_they_had_it_already_and_says_so(
    postgres: str, template_database: str, tmp_path: Path
) -> None:
    with database(postgres, template_database), connect(Role.OWNER, autocommit=True) as connection:
        for contact_id, email in {"had": "had", "twin_of_had": "had", "had_long_ago": "long", "never": "never"}.items():
            contact(connection, contact_id, email=f"{email}@example.com")
            order(connection, f"o-{contact_id}", contact_id, at("2017-09-01"))
        read(tmp_path, "had,winback,day30,2017-09-28", "had_long_ago,winback,day30,2017-08-30")
        run_id = begin(connection, "2017-10-01")
        build()
        told = {who: decided for (who, step), decided in decisions(run_id).items() if step == "day30"}
    assert told["had"] == told["twin_of_had"] == "skip/already_messaged"
    assert told["had_long_ago"] == told["never"] == "send"
