"""What was decided about one person on a day, why, and what happened next. Reads as an analyst; knows no address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import psycopg

from reports import people, read, story, words
from reports.read import Row, queries
from reports.render import plural
from senders.contract import EMAIL, SMS, WEBPUSH
from warehouse.clock import local_time, shown
from warehouse.errors import WinbackError

ABOUT_ADDRESS = ("bounced", "undeliverable", "invalid", "gone")
"""Reasons of the stop list that are about an address; all others are about the person, whatever address they have.
As `is_about_address` of dbt_project/macros/addresses.sql."""
HINDSIGHT = 6
"""How many earlier things the story begins with."""
UNLISTED: Row = {
    **dict.fromkeys(("country", "region", "timezone")),
    **dict.fromkeys(("has_email", "has_phone", "has_email_consent", "has_sms_consent", "has_push_subscription"), False),
}
"""What is known of a contact without a row in `raw.contacts`."""


@dataclass(frozen=True)
class Line:
    """One thing that happened: when, in the campaign's zone, and what."""

    when: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What was decided about one step, and why."""

    title: str
    reasons: Sequence[str]
    seen: Sequence[str]


@dataclass(frozen=True)
class Explanation:
    """What `winback explain` prints, part by part. Empty parts are left out."""

    contact_id: str
    person: str
    stops: Sequence[str]
    """Entries of the stop list: channel, why, who by, since when."""
    day: date
    heading: str
    verdicts: Sequence[Verdict]
    notes: Sequence[str]
    """In place of verdicts where nothing was decided: why, and when the next step falls due."""
    before: Sequence[Line]
    after: Sequence[Line]
    counted_up_to: str
    decisions: int
    """How many of that day."""
    messages: int
    """How many there are of them, of any day."""
    messages_of_day: int


def explain(contact_id: str, as_of: date | None = None, campaign: str | None = None) -> Explanation:
    """Everything on record about a contact around a day; by default the last one with a decision about them.

    A contact that is only in orders, decisions or messages is told of by those. Raises `WinbackError` where nothing
    knows the contact, the campaign is unknown, or no day was ever run.
    """
    with read.analyst() as connection:
        read.require_reports(connection)
        ask = queries()
        days = list(ask.days_run(connection, contact_id=contact_id))
        person = ask.person(connection, contact_id=contact_id)
        unlisted = person is None
        if person is None:
            if not ask.is_heard_of(connection, contact_id=contact_id):
                raise _unknown(connection, contact_id, as_of)
            person = {**UNLISTED, "contact_id": contact_id}
        day = as_of or next((row["as_of"] for row in days if row["is_decided"]), days[0]["as_of"] if days else None)
        if day is None:
            raise WinbackError(
                "No day was run yet, so nothing was decided about anybody. `winback run --as-of D` runs one."
            )
        run = _run_of(connection, day)
        timezone = _zone(run)
        _check_begun(connection, day, timezone)
        if campaign and run:
            _check_campaign(connection, campaign, run)
        known = people.find(contact_id)
        timeline = [
            row
            for row in _with_stops(list(ask.timeline(connection, contact_id=contact_id)), known)
            if (campaign is None or row["campaign"] in (None, campaign)) and story.is_told(row)
        ]
        decisions = [row for row in timeline if row["kind"] == "decision" and row["as_of"] == day]
        notes = (
            []
            if decisions
            else [
                *_why_nothing(connection, contact_id, day, run, days, known=known, person=None if unlisted else person),
                *_decided_before(timeline, day),
            ]
        )
        start = min((row["happened_at"] for row in decisions), default=local_time(day, time(), timezone))
        clock = ask.clock(connection)["reporting_at"]
        if unlisted:
            notes = [_not_listed(contact_id, timeline), *notes]
        about = _About(connection, person, known, run, timezone)
        verdicts = [about.verdict(row) for row in decisions]
    earlier = [row for row in timeline if row["happened_at"] < start]
    later = [row for row in timeline if row["happened_at"] >= start and row not in decisions]
    return Explanation(
        contact_id=contact_id,
        person="not in raw.contacts" if unlisted else _describe(person),
        day=day,
        stops=list(dict.fromkeys(_stop(row, timezone) for row in known.stops)),  # several browsers are told once
        heading=f"{day} ({day:%A})",
        verdicts=verdicts,
        notes=[*notes, *([known.missing] if known.missing else [])],
        before=_before(_lines(earlier, timezone)),
        after=_lines(later, timezone),
        counted_up_to=shown(clock, timezone) if clock else "the beginning: nothing was run yet",
        decisions=len(decisions),
        messages=len({row["message_id"] for row in timeline if row["message_id"]}),
        messages_of_day=len({row["message_id"] for row in timeline if row["as_of"] == day and row["message_id"]}),
    )


def _before(lines: Sequence[Line]) -> list[Line]:
    """The last few of them, and how many more there are."""
    hidden = len(lines) - HINDSIGHT
    told = f"{hidden} more {plural(hidden, 'line', 'lines')} before that, in reports.rpt_timeline"
    return [*([Line("...", told)] if hidden > 0 else []), *lines[-HINDSIGHT:]]


def _not_listed(contact_id: str, timeline: Sequence[Row]) -> str:
    count = sum(row["kind"] == "purchase" for row in timeline)
    if not count:
        return f"raw.contacts has no contact {contact_id!r} any more. What is on record of them is told."
    orders = f"{count} {plural(count, 'order names', 'orders name')} them in raw.orders"
    return (
        f"raw.contacts has no contact {contact_id!r}, and {orders}: load the contact, or correct contact_id of the "
        "orders. Until then nothing is sent to them."
    )


def _unknown(connection: psycopg.Connection[Any], contact_id: str, as_of: date | None) -> WinbackError:
    known = [row["contact_id"] for row in queries().some_contacts(connection, as_of=as_of)]
    example = f" Contacts that something was decided about: {', '.join(known)}." if known else ""
    return WinbackError(
        f"raw.contacts has no contact {contact_id!r}, and no order or decision is theirs. An id is the shop's own, "
        f"letter by letter.{example} "
        "Nothing was looked up by name or address: those are not known here."
    )


def _check_campaign(connection: psycopg.Connection[Any], campaign: str, run: Row) -> None:
    known = sorted({row["campaign"] for row in queries().steps(connection, runs=[run["run_id"]])})
    if campaign not in known:
        raise WinbackError(f"There is no campaign {campaign!r}. The run of that day knew: {', '.join(known)}.")


def _check_begun(connection: psycopg.Connection[Any], day: date, timezone: str) -> None:
    row = connection.execute("select clock_timestamp() as now").fetchone()
    start = local_time(day, time(), timezone)
    if row is not None and row["now"] < start:
        raise WinbackError(
            f"{day} lies in the future: it begins at {shown(start, timezone)} and it is {shown(row['now'], timezone)}. "
            "Nothing was decided about anybody yet; ask for a day that has begun."
        )


def _run_of(connection: psycopg.Connection[Any], day: date) -> Row | None:
    """The run that decided the day; where none did, the newest, whose campaigns and zone are the best guess."""
    those = read.runs(connection, day, day) or read.runs(connection)
    finished = [row for row in those if row["state"] == "enqueued"] or those
    return finished[-1] if finished else None


def _why_nothing(
    connection: psycopg.Connection[Any],
    contact_id: str,
    day: date,
    run: Row | None,
    days: Sequence[Row],
    *,
    known: people.Known,
    person: Row | None,
) -> list[str]:
    """Why a day has no decision about a contact; `person` is None for whoever is not in `raw.contacts`."""
    notes = [_why_no_decision(day, run, days)]
    timezone = _zone(run)
    last = queries().last_purchase(
        connection,
        contact_id=contact_id,
        as_of=day,
        day_start=local_time(day, time(), timezone),
        timezone=timezone,
    )
    if last is None:
        notes.append("They had bought nothing before that day: the clock of the win-back steps had not started.")
        return notes
    ago, on = last["days_ago"], last["purchased_on"]
    notes.append(f"Their last purchase before that day was on {on}, {ago} {plural(ago, 'day', 'days')} ago.")
    bundle = run["bundle_hash"] if run else None
    due = list(queries().due_dates(connection, bundle_hash=bundle, purchased_on=on, as_of=day))
    notes.extend(_due(row, known, person) for row in due if not row["is_past"] and row["is_enabled"])
    if due and all(row["is_past"] for row in due):
        last_step = f"The last step ({due[-1]['step']}) was due on {due[-1]['due_on']!s}"
        notes.append(f"{last_step}: none is left until they buy again.")
    return notes


def _why_no_decision(day: date, run: Row | None, days: Sequence[Row]) -> str:
    if day not in {row["as_of"] for row in days}:
        ran = f"from {days[-1]['as_of']!s} to {days[0]['as_of']!s}" if days else "on no day at all"
        return f"{day!s} was never run (runs are on record {ran}), so nothing was decided about anybody."
    if run and run["state"] != "enqueued":
        state = words.RUN_STATES.get(run["state"], run["state"])
        return f"The run of that day {state}, so no decision is on record."
    return "They were not due for any step on that day, so nothing was decided about them."


def _decided_before(timeline: Sequence[Row], day: date) -> list[str]:
    earlier = [row for row in timeline if row["kind"] == "decision" and row["as_of"] < day]
    if not earlier:
        return []
    last = earlier[-1]
    when = str(last["as_of"])
    return [f"The last decision about them before was of {when}, on {last['step']}: {story.decision(last)}."]


def _zone(run: Row | None) -> str:
    return str(run["timezone"]) if run else "UTC"


def _due(row: Row, known: people.Known, person: Row | None) -> str:
    """When a step falls due; `person` is None for whoever is not in `raw.contacts`."""
    step = f"{row['step']} ({words.step(row)})"
    if why := _would_be_left_out(row, known, person):
        return f"{step} would fall due on {row['due_on']!s}, and they would be left out: {why}."
    return f"{step} falls due on {row['due_on']!s}, unless they buy before."


def _would_be_left_out(step: Row, known: people.Known, person: Row | None) -> str | None:
    """What is known today to stand in a step's way; None: nothing, or one of its channels is free.

    Of the stop list a person's own wishes count: a dead address may have been replaced since.
    """
    if person is None:
        return "not in raw.contacts"
    has = {EMAIL: person["has_email"], SMS: person["has_phone"], WEBPUSH: person["has_push_subscription"]}
    reachable = {channel for channel in step["channels"] if has.get(channel)}
    stopped = {
        row["channel"]
        for row in known.stops
        if row["reason"] not in ABOUT_ADDRESS
        and row["lifted_at"] is None
        and (row["until"] is None or row["until"].date() > step["due_on"])
    }
    return "on the stop list" if reachable and reachable <= stopped else None


@dataclass(frozen=True)
class _About:
    """What the verdicts on one person are told with."""

    connection: psycopg.Connection[Any]
    person: Row
    known: people.Known
    run: Row | None
    timezone: str

    def verdict(self, row: Row) -> Verdict:
        """One decision in words."""
        detail = row["detail"]
        codes = [code for code in dict.fromkeys([detail["reason"], *detail["reasons"]]) if code]
        reasons = [words.decided(code, detail["seen"]) for code in codes]
        about = story.About(self.person, self.timezone, self._step(row), self.known.others, self._buyer(detail["seen"]))
        return Verdict(
            title=f"{row['step']}: {story.decision(row)}",
            reasons=[f"{reason.title}. {reason.sentence}" for reason in reasons],
            seen=[f"due on {detail['due_on']}", *story.seen(detail, about)],
        )

    def _step(self, row: Row) -> Row | None:
        steps = queries().steps(self.connection, runs=[row["detail"]["run_id"]])
        return next((it for it in steps if (it["campaign"], it["step"]) == (row["campaign"], row["step"])), None)

    def _buyer(self, seen: Row) -> str | None:
        """The other contact of the person who bought, where it was not this one."""
        at = seen.get("purchased_since_at")
        if not at or not self.known.others:
            return None
        asked = [self.person["contact_id"], *self.known.others]
        buyer: Row | None = queries().bought_at(self.connection, contacts=asked, at=at)
        own: Row | None = queries().bought_at(self.connection, contacts=asked[:1], at=at)
        return None if own or buyer is None else str(buyer["contact_id"])


def _with_stops(timeline: list[Row], known: people.Known) -> list[Row]:
    """The timeline with all entries of the stop list: by itself it knows only of addresses that a message went to."""
    if known.missing:
        return timeline
    blank = dict.fromkeys(("campaign", "step", "as_of", "message_id"))
    stops: list[Row] = [
        {**blank, "kind": "suppressed", "happened_at": row["suppressed_at"], "detail": _as_detail(row)}
        for row in known.stops
    ]
    rest = [row for row in timeline if row["kind"] != "suppressed"]
    return sorted([*rest, *stops], key=lambda row: row["happened_at"])


def _as_detail(stop: Row) -> Row:
    """The entry as the timeline's JSON would have it: instants as text."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in stop.items()}


def _stop(row: Row, timezone: str) -> str:
    text = f"{story.stopped(row)}, since {shown(row['suppressed_at'], timezone)}"
    if row["is_anothers"]:
        text += f", under contact {row['whose']}, who is the same person"
    if row["lifted_at"]:
        return f"{text}; taken off again on {shown(row['lifted_at'], timezone)}"
    return f"{text}, until {shown(row['until'], timezone)}" if row["until"] else text


def _lines(rows: Sequence[Row], timezone: str) -> list[Line]:
    """The rows as lines; what a provider reports twice in a row is told once."""
    lines: list[Line] = []
    for row in rows:
        line = Line(shown(row["happened_at"], timezone), story.sentence(row, timezone))
        if row["kind"] == "purchase" or not lines or line.what != lines[-1].what:
            lines.append(line)
    return lines


def _describe(person: Row) -> str:
    where = ", ".join(value for value in (person["country"], person["region"], person["timezone"]) if value)
    email = _address(person["has_email"], person["has_email_consent"], "e-mail address")
    phone = _address(person["has_phone"], person["has_sms_consent"], "phone number")
    push = "takes web push" if person["has_push_subscription"] else "no web push"
    return f"{where or 'place unknown'} · {email} · {phone} · {push}"


def _address(has_one: bool, consents: bool, what: str) -> str:
    if not has_one:
        return f"no {what}"
    return f"{what} with consent" if consents else f"{what} without consent"
