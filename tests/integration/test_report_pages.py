"""The pages as a reader gets them: whole, honest, self-contained, and without anybody's address."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import register
from reports import publish, read, render
from tests.integration.report_scenario import Scenario, at, on, winback
from tests.integration.report_story import Story
from warehouse.errors import WinbackError

pytest_plugins = ["tests.integration.report_warehouse"]

LINKS = render.Links(data_docs="../data_docs/index.html", inbox="http://127.0.0.1:8025/inbox")


class _Outline(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "rect", "br"):
            self.tags.append(tag)
        if tag in ("script", "link", "iframe", "img", "object", "embed"):
            self.loaded.append(tag)
        self.loaded.extend(str(values[name]) for name in ("src", "srcset", "xlink:href") if name in values)
        if tag == "a":
            self.links.append(str(values.get("href")))

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag, f"</{tag}> closes something else"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(html: str) -> _Outline:
    parsed = _Outline()
    parsed.feed(html)
    assert parsed.tags == []
    return parsed


def words(html: str) -> str:
    """The page's text, spaces made one."""
    return " ".join(
        " ".join(
            outline(
                html.split("</style>")[1].split("</body>", maxsplit=1)[0].replace("</head>", "").replace("<body>", "")
            ).text
        ).split()
    )


@pytest.fixture(scope="module")
def pages(week: Story, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All pages of the week by what they are of: the runs' names, and `index`."""
    folder = tmp_path_factory.mktemp("reports")
    done = publish.publish(publish.Choice(), folder, LINKS)
    names = {run_id: name for name, run_id in week.runs.items()}
    return {"index": done.index.read_text()} | {names[run]: path.read_text() for run, path in done.pages.items()}


def test_every_run_has_a_page_and_the_days_have_one(pages: dict[str, str]) -> None:
    assert set(pages) == {"index", "second", "third", "third again", "fifth", "sixth", "seventh", "eighth"}


def test_a_page_loads_nothing_from_anywhere(pages: dict[str, str]) -> None:
    for name, html in pages.items():
        assert outline(html).loaded == [], name
        assert "@import" not in html and "url(" not in html and "javascript:" not in html


def test_no_page_shows_an_address_or_a_name(pages: dict[str, str]) -> None:
    for html in pages.values():
        assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", html)
        assert not re.search(r"\+1\d{10}", html)
        assert "Hermenegildo" not in html


def test_the_page_of_a_run_leads_with_what_a_marketer_asks_first(pages: dict[str, str]) -> None:
    text = words(pages["second"])
    assert "Monday, 2 October 2017" in text
    assert "11 people were looked at; 4 people were reached, and 3 of them have bought since." in text
    assert "People reached 4 8 messages were to be sent" in text
    assert "Came back 3 bought within 30 days, 2 of them soon after a click or an open" in text
    assert "Orders and revenue 105.00 USD 20.00 EUR 4 orders, 1 with our code; 1 refund deducted" in text
    assert (
        "Codes left 2 and 0 2 of winback_discount10, enough until 2 October 2017 0 of winback_discount20: empty" in text
    )
    assert text.index("People reached") < text.index("From everybody looked at")


def test_a_page_says_in_words_why_somebody_was_left_out(pages: dict[str, str]) -> None:
    text = words(pages["second"])
    assert "11 looked at = 8 to be written to + 1 put off + 1 left out + 1 left alone to compare with" in text
    for title in (
        "No consent to e-mail",
        "No code left",
        "Left alone to compare with",
        "Bought in the meantime",
        "Refused as malformed",
    ):
        assert title in text
    assert "no_email_consent" not in text


def test_small_numbers_are_shown_as_counts(pages: dict[str, str]) -> None:
    assert "Counts only: of fewer than thirty people, a percentage says nothing." in words(pages["second"])
    assert "Too early to compare" in words(pages["index"])
    assert not re.search(r"\d %", words(pages["index"]))


def test_a_simulated_run_of_made_up_people_is_labelled_so(pages: dict[str, str]) -> None:
    for name in ("index", "second"):
        assert "Simulated: sent to a sandbox, to nobody" in words(pages[name])
        assert "Sample data: the people are made up" in words(pages[name])


def test_times_have_a_zone_and_money_a_currency(pages: dict[str, str]) -> None:
    assert "Started at 2 Oct 2017, 05:00 EDT (simulated)" in words(pages["second"])
    assert "Counted up to 8 Oct 2017, 05:00 EDT" in words(pages["second"])


def test_the_gates_no_stands_at_the_top_with_what_failed(pages: dict[str, str]) -> None:
    text = words(pages["sixth"])
    assert "The gate held back “We miss you”. Nothing of it was sent." in text
    assert "Expect volume as purchases lead one to expect" in text
    assert "../data_docs/index.html" in outline(pages["sixth"]).links
    assert "Held back by the gate" in text


def test_a_failed_run_has_a_page_that_says_so(pages: dict[str, str]) -> None:
    text = words(pages["seventh"])
    assert "This run failed: nothing was handed over for sending. dbt could not build cohorts.fct_decisions" in text
    assert "The run ended before it was decided who is written to. Nothing was sent." in text


def test_a_day_without_anybody_is_a_page_all_the_same(pages: dict[str, str]) -> None:
    text = words(pages["eighth"])
    assert "nobody fell due, or an earlier run of the day had decided already." in text
    assert "There is nothing to draw." in text
    assert "Nothing yet: no message was accepted." in text


def test_the_page_over_the_days_leads_to_each_days_page(pages: dict[str, str], week: Story) -> None:
    links = outline(pages["index"]).links
    for name, run_id in week.runs.items():
        if name != "third again":  # it sent nothing; its day's page is the run that did
            assert any(link.endswith(f"{str(run_id)[:8]}.html") for link in links), name
    assert LINKS.inbox in links


def test_only_the_pages_asked_for_are_written(week: Story, tmp_path: Path) -> None:
    publish.publish(publish.Choice(as_of=date(2017, 10, 2)), tmp_path, render.Links())
    assert sorted(path.name[:14] for path in tmp_path.iterdir()) == ["index.html", "run-2017-10-02"]
    publish.publish(publish.Choice(run_id=week.runs["fifth"]), tmp_path, render.Links())
    assert sorted(path.name[:14] for path in tmp_path.iterdir()) == ["index.html", "run-2017-10-02", "run-2017-10-05"]


def test_the_pages_of_the_week_before_a_day_are_written_again_with_its_own(week: Story, tmp_path: Path) -> None:
    publish.publish(publish.Choice(as_of=on(2)), tmp_path, render.Links())
    publish.publish(publish.Choice(as_of=on(5)), tmp_path, render.Links())
    second, fifth = (next(tmp_path.glob(f"run-2017-10-0{day}*")) for day in (2, 5))
    for page in (second, fifth):
        page.write_text("old")
    done = publish.publish(publish.Choice(as_of=on(2)), tmp_path, render.Links())
    assert (second.read_text() == "old", fifth.read_text() == "old") == (False, True), "a later one is not its business"
    second.write_text("old")
    done = publish.publish(publish.Choice(as_of=on(5)), tmp_path, render.Links())
    assert "old" not in (second.read_text(), fifth.read_text())
    assert {second, fifth} == set(done.pages.values())
    own = publish.publish(publish.Choice(run_id=week.runs["fifth"]), tmp_path, render.Links()).page.headline
    assert (done.page.headline, len(list(tmp_path.iterdir()))) == (own, 3), "the day's own numbers"
    for page in (second, fifth, tmp_path / "index.html"):
        page.write_text("old")
    with pytest.raises(WinbackError, match=r"no run of 2017-10-09 yet. The pages of the days before it were written"):
        publish.publish(publish.Choice(as_of=on(9)), tmp_path, render.Links())
    assert "old" not in [page.read_text() for page in (second, fifth, tmp_path / "index.html")]


def test_a_stretch_of_days_is_counted_by_itself(week: Story, tmp_path: Path) -> None:
    done = publish.publish(publish.Choice(first=date(2017, 10, 3), last=date(2017, 10, 5)), tmp_path, render.Links())
    assert (done.page.headline["people_reached"], done.page.back["people_came_back"]) == (2, 1)
    assert "3 October 2017 to 5 October 2017" in words(done.index.read_text())
    one = publish.publish(publish.Choice(first=date(2017, 10, 3), last=date(2017, 10, 3)), tmp_path, render.Links())
    assert "<title>Tuesday, 3 October 2017 · Winback</title>" in one.index.read_text()


def test_a_day_that_was_never_run_is_an_error_that_says_which_were(week: Story, tmp_path: Path) -> None:
    with pytest.raises(
        WinbackError, match=r"no run of 2017-11-01. It knows runs from 2017-10-02 to 2017-10-08. No page"
    ):
        publish.publish(publish.Choice(as_of=date(2017, 11, 1)), tmp_path, render.Links())
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_build_the_error_says_what_to_do(warehouse: str, tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match="winback build"):
        publish.publish(publish.Choice(), tmp_path, render.Links())


def test_a_campaign_in_shadow_says_that_nothing_was_sent(reports: psycopg.Connection, tmp_path: Path) -> None:
    it = Scenario(reports)
    it.define(winback())
    it.contact("ann")
    it.decide(it.run(on(2), mode="live"), on(2), "ann", "day30", "send", mode="shadow")
    done = publish.publish(publish.Choice(as_of=on(2)), tmp_path, render.Links())
    text = words(next(iter(done.pages.values())).read_text())
    assert "Shadow mode. 1 person would have been written to; nothing was sent." in text
    assert "Simulated" not in text


def test_a_run_that_is_under_way_has_not_ended(reports: psycopg.Connection, tmp_path: Path) -> None:
    """`winback_dispatch` writes the day's page while it is being built, or waits for somebody to approve it."""
    it = Scenario(reports)
    it.define(winback())
    it.run(on(2), state="building")
    done = publish.publish(publish.Choice(as_of=on(2)), tmp_path, render.Links())
    text = words(next(iter(done.pages.values())).read_text())
    assert "The run has not come to its end yet. Nothing of it was sent so far." in text
    assert "ended before" not in text


def test_what_a_page_is_given_is_escaped(reports: psycopg.Connection, tmp_path: Path) -> None:
    it = Scenario(reports)
    it.define(winback(title="<script>alert(1)</script>"))
    it.contact("ann")
    it.decide(it.run(on(2)), on(2), "ann", "day30", "skip", "<b>made up</b>")
    done = publish.publish(publish.Choice(), tmp_path, render.Links())
    for path in [done.index, *done.pages.values()]:
        assert "<script" not in path.read_text() and "<b>made" not in path.read_text()


def test_shares_appear_from_thirty_people_on(reports: psycopg.Connection, tmp_path: Path) -> None:
    it = Scenario(reports)
    it.define(winback())
    run = it.run(on(2))
    for number in range(40):
        it.contact(f"c{number}")
        it.decide(
            run, on(2), f"c{number}", "day30", "send" if number % 4 else "skip", None if number % 4 else "suppressed"
        )
    done = publish.publish(publish.Choice(as_of=on(2)), tmp_path, render.Links())
    text = words(next(iter(done.pages.values())).read_text())
    assert "To be written to 30 75 %" in text


def test_the_verb_prints_a_summary_and_one_line_of_json(week: Story, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(register(), ["report", "--as-of", "2017-10-02", "--out", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.strip().splitlines()
    assert json.loads(lines[-1])["people_reached"] == 4
    assert any("no code left" in line.lower() for line in lines)
    assert "@" not in outcome.stdout


def test_the_summary_says_each_thing_once_with_days_as_they_are_typed(week: Story, tmp_path: Path) -> None:
    order = ["report", "--as-of", "2017-10-02", "--out", str(tmp_path)]
    screen = CliRunner().invoke(register(), order).stdout
    assert "2017-10-02 (Monday)" in screen
    assert "Counted up to 2017-10-08 05:00 EDT" in screen
    assert "left alone to compare with\n" in re.sub(" +\n", "\n", screen)
    assert "left alone to compare with: " not in screen


def test_totals_that_count_differently_say_so(week: Story, tmp_path: Path) -> None:
    done = publish.publish(publish.Choice(), tmp_path, render.Links())
    text = words(done.index.read_text())
    assert "Each day counts for itself: whoever is put off is looked at again the next day" in text
    assert "Somebody whom two steps reached is in both rows" in text
    assert "somebody due two of them counts twice; the figures on top count people once" in text


def test_the_last_task_of_a_dag_run_closes_what_it_left_open_and_nobody_elses(
    reports: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Scenario(reports)
    it.define(winback())
    run = it.run(on(2), "building", holder="winback_daily scheduled__2017-10-02")
    state = "select state from outbox.run where run_id = %s"
    arguments = ["report", "--as-of", "2017-10-02", "--out", str(tmp_path)]
    assert CliRunner().invoke(register(), arguments).exit_code == 0
    assert reports.execute(state, [run]).fetchone() == ("building",)  # somebody looks at a run that is under way
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "winback_daily")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__2017-10-03")
    assert CliRunner().invoke(register(), arguments).exit_code == 0
    assert reports.execute(state, [run]).fetchone() == ("building",)
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__2017-10-02")
    assert CliRunner().invoke(register(), arguments).exit_code == 0
    assert reports.execute(state, [run]).fetchone() == ("failed",)
    assert "This run failed" in words(next(tmp_path.glob("run-*.html")).read_text())


def test_a_page_over_days_still_counts_up_to_the_clock(week: Story) -> None:
    with read.analyst() as connection:
        page = read.page(connection, read.runs(connection))
    assert page.clock == at(8, 5)


def test_as_the_last_task_of_a_run_that_never_began_the_report_is_no_second_failure(
    reports: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = ["report", "--as-of", "2099-01-01", "--out", str(tmp_path)]
    by_hand = CliRunner().invoke(register(), order)
    assert isinstance(by_hand.exception, WinbackError)
    assert "The ledger has no run of 2099-01-01." in str(by_hand.exception)
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__2099-01-01")
    as_task = CliRunner().invoke(register(), order)
    assert as_task.exit_code == 0, as_task.output
    assert json.loads(as_task.stdout.splitlines()[-1]) == {"pages": []}
    assert not list(tmp_path.iterdir())
