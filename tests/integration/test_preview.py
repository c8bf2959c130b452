"""`winback preview`, run as a marketer runs it: sample values before anything was decided, real contacts afterwards."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from campaigns import definition
from cli.main import register
from tests.integration.dbt_days import at, begin, insert
from tests.unit import campaign_folder
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

DAY = date(2017, 10, 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> campaign_folder.Folder:
    copied = campaign_folder.copy(tmp_path)
    monkeypatch.setenv("WINBACK_CAMPAIGNS", str(copied.path))
    monkeypatch.setenv("WINBACK_LOCAL", str(tmp_path / "local"))
    return copied


def run(*arguments: str) -> Result:
    return CliRunner().invoke(register(["preview", "db"]), ["preview", *arguments])


def told(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    last: dict[str, object] = json.loads(result.output.strip().splitlines()[-1])
    return last


def message(contact_id: str, step: str, channels: list[str], **fields: str) -> None:
    """A message of an earlier run, as the ledger keeps it: no name, no address."""
    with connect(Role.OWNER) as connection:
        bundle = definition.load(campaign_folder.SHIPPED / "winback.yml")
        run_id = begin(connection, str(DAY), definitions=[bundle.document()])
        body = next(found for found in bundle.document()["steps"] if found["key"] == step)
        insert(
            connection, "outbox.message", run_id=run_id, campaign="winback", contact_id=contact_id, step=step,
            episode_on=DAY - timedelta(days=30), step_days=body["step_days"], as_of=DAY, due_on=DAY, mode="live",
            channels=channels, template_hash=body["template_hash"], merge_fields=body["merge_fields"] | fields,
            consent={},
            definition_hash=bundle.hash, not_before=at("2017-10-01", "10:00"), not_after=at("2017-10-04"),
            planned_at=at("2017-10-01", "05:00"),
        )  # fmt: skip


def test_before_anything_was_decided_every_step_is_shown_with_sample_values(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    result = run()
    assert told(result)["steps"] == 4
    assert told(result)["contacts"] == 0
    assert "Nothing was decided yet, so all values are samples." in result.output
    page = (tmp_path / "local/preview/index.html").read_text()
    assert page.count("<b>Sample values</b>: nobody has had this step yet.") == 4
    assert "30 days after the last purchase." in page
    assert "SendGrid makes this e-mail" not in page


def test_a_mail_that_sendgrid_makes_of_its_own_template_is_said_to_be_that(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    known = "    template: we_miss_you\n"
    folder.change(folder.winback, known, f"{known}    sendgrid_template_id: d-{'0a' * 16}\n")
    told(run())
    page = (tmp_path / "local/preview/index.html").read_text()
    assert page.count(f"SendGrid makes this e-mail of its own template d-{'0a' * 16}") == 1


def test_a_contact_of_an_earlier_message_is_shown_as_they_got_it(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    message(
        "4711", "day60", ["email"], coupon_code="REAL-CODE-1", offer_ends_on="October 15", last_purchase_on="August 2"
    )
    result = run("--contact", "4711", "--step", "day60", "--out", str(tmp_path / "out"))
    assert told(result)["contacts"] == 1
    mail = (tmp_path / "out/winback/day60-4711.html").read_text()
    assert "REAL-CODE-1" in mail
    assert "October 15" in mail
    assert "Hi there," in mail
    page = (tmp_path / "out/index.html").read_text()
    assert "Contact 4711, message of 2017-10-01." in page
    assert "Reached through e-mail." in page
    assert "Sample values for days_away." in page


def test_a_contact_without_a_message_is_an_error_that_names_them_and_writes_nothing(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    result = run("--contact", "4711", "--as-of", "2017-10-01")
    assert isinstance(result.exception, WinbackError)
    assert "Contact '4711' has no message for 2017-10-01" in str(result.exception)
    assert "winback explain 4711" in str(result.exception)
    assert not (tmp_path / "local/preview").exists()


def test_a_contact_that_nobody_knows_is_an_error_that_says_so(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("create schema handoff")
        connection.execute("create table handoff.recipients (contact_id text)")
        connection.execute("grant usage on schema handoff to winback_sender")
        connection.execute("grant select on handoff.recipients to winback_sender")
    result = run("--contact", "nobody")
    assert isinstance(result.exception, WinbackError)
    assert "raw.contacts has no contact 'nobody'" in str(result.exception)
    assert not (tmp_path / "local/preview").exists()


def test_a_day_without_messages_is_shown_with_samples_and_says_so(
    warehouse: str, folder: campaign_folder.Folder
) -> None:
    result = run("--as-of", "2017-10-01")
    assert told(result)["contacts"] == 0
    assert "Nobody was to be written to for 2017-10-01, so all values are samples." in result.output


def test_a_contact_cannot_be_looked_up_without_a_warehouse(
    folder: campaign_folder.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:9/none")
    result = run("--contact", "4711")
    assert isinstance(result.exception, WinbackError)
    assert "cannot be reached" in str(result.exception)


def test_without_a_warehouse_the_files_are_still_checked_and_shown(
    folder: campaign_folder.Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINBACK_DATABASE_URL", "postgresql://nobody:x@127.0.0.1:9/none")
    result = run()
    assert told(result)["steps"] == 4
    assert "No warehouse to take contacts from, so all values are samples." in result.output


def test_a_mistake_in_a_file_ends_the_preview_before_anything_is_written(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    folder.change(folder.template("discount10/sms.txt"), "{{ coupon_code }}", "{{ code }}")
    result = run()
    assert isinstance(result.exception, WinbackError)
    assert "discount10/sms.txt, line 1, {{ code }}: is no variable." in str(result.exception)
    assert not (tmp_path / "local/preview").exists()


def test_a_mistake_takes_the_place_of_what_was_shown_before_it(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    assert told(run())["steps"] == 4
    folder.change(folder.template("discount10/sms.txt"), "{{ coupon_code }}", "{{ code }}")
    assert isinstance(run().exception, WinbackError)
    page = (tmp_path / "local/preview/index.html").read_text()
    assert "discount10/sms.txt, line 1, {{ code }}: is no variable." in page
    assert "hold no mistakes" not in page
    folder.change(folder.template("discount10/sms.txt"), "{{ code }}", "{{ coupon_code }}")
    assert told(run())["steps"] == 4


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--step", "day3", "Did you mean 'day30'"), ("--campaign", "winbak", "Did you mean 'winback'")],
)
def test_a_name_that_is_not_there_is_answered_with_the_nearest(
    warehouse: str, folder: campaign_folder.Folder, option: str, value: str, words: str
) -> None:
    result = run(option, value)
    assert isinstance(result.exception, WinbackError)
    assert words in str(result.exception)
    assert "hold no mistakes" not in result.output


def test_the_folder_that_is_its_own_is_emptied_whatever_an_earlier_version_left_there(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    old = tmp_path / "local/preview/index.html"
    old.parent.mkdir(parents=True)
    old.write_text("<title>Preview</title>")
    assert told(run())["steps"] == 4
    assert "Sample values" in old.read_text()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_of_its_own_is_left_alone(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path, kind: str
) -> None:
    papers, place = tmp_path / "papers", tmp_path / "local/preview"
    papers.mkdir()
    (papers / "thesis.txt").write_text("years of work")
    place.parent.mkdir()
    if kind == "link":
        place.symlink_to(papers)
        result = run()
    else:
        result = run("--out", str(papers / "thesis.txt"))
    assert isinstance(result.exception, WinbackError)
    assert "holds something else than a preview" in str(result.exception)
    assert [each.read_text() for each in papers.iterdir()] == ["years of work"]


def test_a_folder_with_something_else_in_it_is_left_alone(
    warehouse: str, folder: campaign_folder.Folder, tmp_path: Path
) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/thesis.txt").write_text("years of work")
    (tmp_path / "papers/index.html").write_text("<title>Preview</title>")
    result = run("--out", str(tmp_path / "papers"))
    assert isinstance(result.exception, WinbackError)
    assert "holds something else than a preview" in str(result.exception)
    assert (tmp_path / "papers/thesis.txt").exists()
