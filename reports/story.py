"""Turns the rows of `rpt_timeline` into sentences: what happened to one person, without an address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from reports import words
from reports.read import Row
from reports.render import amount, plural, short_day

DELIVERIES: Mapping[str, str] = {
    "accepted": "The provider took the {channel}",
    "delivered": "The {channel} was delivered",
    "deferred": "The receiving side put the {channel} off; the provider tries again",
    "bounced": "The {channel} bounced for good",
    "dropped": "The provider did not try to deliver the {channel}",
    "failed": "The carrier could not deliver the {channel}",
}
ENGAGEMENTS: Mapping[str, str] = {
    "opened": "They opened the {channel}",
    "clicked": "They clicked in the {channel}",
    "unsubscribed": "They unsubscribed from the {channel}",
    "complained": "They called the {channel} spam",
}
OUTCOMES: Mapping[str, str] = {
    "open": "is under way",
    "accepted": "accepted by the provider",
    "not_sent": "provably not sent; it is tried again",
    "rejected": "refused by the provider",
    "unknown": "the answer was lost, so it may or may not have left",
}
DECISIONS: Mapping[str, str] = {
    "send": "Write to them",
    "hold": "Put off",
    "skip": "Leave out",
    "holdout": "Leave alone",
}
SEEN: Mapping[str, str] = {
    "last_purchase_at": "last purchase",
    "last_purchase_on": "last purchase",
    "started_at": "the clock started",
    "purchased_since_at": "bought since",
    "active_since_at": "active again",
    "late_days": "days late",
    "is_known": "known to the shop by then",
    "email_consent": "consent to e-mail",
    "sms_consent": "consent to texts",
    "channels": "can be reached by",
    "obstacles": "what stands in the way",
    "timezone": "time zone",
    "touches_today": "messages already that day",
    "touches_7_days": "messages in seven days",
    "person_contacts": "contacts of the same person",
    "person_id": "the person's oldest contact",
    "holdout_place": "place in the draw of those left alone (0 to 100)",
    "coupon_place": "place in the queue for codes",
}
"""The values a decision saw, in the order in which they are told."""
UNREMARKABLE: Mapping[str, Any] = {"late_days": 0, "is_known": True, "person_contacts": 1}
"""Values that say nothing when they are the usual ones."""


def sentence(row: Row, timezone: str) -> str:
    """One row of the timeline as a sentence without a full stop. A kind without words is named rather than hidden."""
    teller = _TELLERS.get(row["kind"])
    return teller(row, timezone) if teller else words.plain(row["kind"])


def decision(row: Row) -> str:
    """`Leave out: No consent to e-mail`."""
    detail = row["detail"]
    verdict = DECISIONS.get(detail["decision"], detail["decision"])
    if detail["decision"] == "send":
        return f"{verdict}, had the campaign not been in shadow" if detail["mode"] == "shadow" else verdict
    return f"{verdict}: {words.reason(detail['reason']).title}"


def seen(values: Mapping[str, Any], timezone: str) -> list[str]:
    """The values a decision saw, as `last purchase: 2 September 2017`. Empty and usual ones are left out."""
    shown = {
        key: value
        for key, value in values.items()
        if value not in (None, [], {}, "") and not (key in UNREMARKABLE and UNREMARKABLE[key] == value)
    }
    if "person_contacts" not in shown:
        shown.pop("person_id", None)
    if shown.get("started_at") == shown.get("last_purchase_at"):
        shown.pop("started_at", None)
    ordered = sorted(shown, key=lambda key: (list(SEEN).index(key) if key in SEEN else len(SEEN), key))
    return [f"{SEEN.get(key) or words.plain(key).lower()}: {_value(shown[key], timezone)}" for key in ordered]


def clock_time(value: datetime, timezone: str) -> str:
    """`2 Oct 10:00 EDT`."""
    there = value.astimezone(ZoneInfo(timezone))
    return f"{there.day} {there:%b %H:%M %Z}"


def _value(value: Any, timezone: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(item, timezone) for item in value)
    if isinstance(value, dict):
        return ", ".join(
            f"{words.channel(key)} ({words.reason(str(item)).title.lower()})" for key, item in value.items()
        )
    if isinstance(value, str):
        try:
            return short_day(date.fromisoformat(value)) if len(value) == 10 else _instant(value, timezone)
        except ValueError:
            return words.channel(value)
    return str(value)


def _instant(value: str, timezone: str) -> str:
    instant = datetime.fromisoformat(value)
    there = instant.astimezone(ZoneInfo(timezone)) if instant.tzinfo else instant
    return f"{short_day(there.date())}, {there:%H:%M}"


def _purchase(row: Row, _: str) -> str:
    order = row["detail"]
    text = f"They bought for {amount(Decimal(str(order['total'])))} {order['currency']}"
    if order["coupon_code"]:
        text += f", with the code {order['coupon_code']}"
    if order["status"] == "cancelled":
        return f"{text}; the order was cancelled later and counts for nothing"
    if order["status"] == "refunded" or order["refunded_total"]:
        returned = order["refunded_total"] if order["refunded_total"] is not None else order["total"]
        text += f"; {amount(Decimal(str(returned)))} of it was refunded"
    return text


def _decided(row: Row, _: str) -> str:
    return f"Decided on {row['step']} ({row['campaign']}): {decision(row)}"


def _granted(row: Row, timezone: str) -> str:
    grant = row["detail"]
    until = clock_time(datetime.fromisoformat(grant["valid_until"]), timezone)
    return f"The code {grant['code']} of {grant['promotion']} was set aside for them, valid until {until}"


def _planned(row: Row, timezone: str) -> str:
    message = row["detail"]
    ways = ", or else by ".join(words.channel(channel) for channel in message["channels"])
    start = clock_time(datetime.fromisoformat(message["not_before"]), timezone)
    return f"A message of {row['step']} was planned: by {ways}, from {start} on"


def _attempt(row: Row, _: str) -> str:
    attempt = row["detail"]
    text = f"Attempt {attempt['attempt_no']} by {words.channel(attempt['channel'])}: {OUTCOMES[attempt['outcome']]}"
    if attempt["error_code"]:
        text += f" (code {attempt['error_code']})"
    if attempt["segments"]:
        text += f"; {attempt['segments']} {plural(attempt['segments'], 'segment', 'segments')}"
    return text


def _closed(row: Row, _: str) -> str:
    message = row["detail"]
    text = f"The message of {row['step']} {words.MESSAGE_STATES[message['state']]}"
    if message["state"] == "accepted":
        return f"{text}, by {words.channel(message['channel'])}"
    return f"{text}: {words.reason(message['reason']).title}" if message["reason"] else text


def _delivery(row: Row, _: str) -> str:
    event = row["detail"]
    told = DELIVERIES.get(event["kind"], "The provider reported something unknown about the {channel}")
    text = told.format(channel=words.channel(event["channel"]))
    return f"{text} (code {event['code']})" if event["code"] and event["kind"] != "delivered" else text


def _engagement(row: Row, _: str) -> str:
    event = row["detail"]
    if event["is_machine"]:
        return f"A machine opened the {words.channel(event['channel'])}; that does not count as an open"
    told = ENGAGEMENTS.get(event["kind"], "Something unknown came back about the {channel}")
    return told.format(channel=words.channel(event["channel"]))


def _preference(row: Row, timezone: str) -> str:
    wish = row["detail"]
    what = {"unsubscribed": "to be left alone", "resubscribed": "to be written to again", "paused": "for a pause"}
    how = f"{words.channel(wish['channel'])}, {words.plain(wish['source']).lower()}"
    text = f"They asked {what.get(wish['kind'], wish['kind'])} ({how})"
    return f"{text} until {clock_time(datetime.fromisoformat(wish['until']), timezone)}" if wish["until"] else text


def _suppressed(row: Row, timezone: str) -> str:
    stop = row["detail"]
    text = (
        f"Their address went on the stop list ({words.channel(stop['channel'])}: {words.plain(stop['reason']).lower()})"
    )
    if stop["lifted_at"]:
        return f"{text}; taken off on {clock_time(datetime.fromisoformat(stop['lifted_at']), timezone)}"
    return f"{text} until {clock_time(datetime.fromisoformat(stop['until']), timezone)}" if stop["until"] else text


_TELLERS = {
    "purchase": _purchase,
    "decision": _decided,
    "coupon_granted": _granted,
    "coupon_released": lambda row, _: (
        f"The code {row['detail']['code']} went back to {row['detail']['promotion']}: its message never left"
    ),
    "contact_event": lambda row, _: f"The event {row['detail']['name']} was recorded",
    "message_planned": _planned,
    "attempt": _attempt,
    "message_closed": _closed,
    "tag_added": lambda row, _: f"They were given the tag {row['detail']['tag']}",
    "tag_removed": lambda row, _: f"The tag {row['detail']['tag']} was taken off",
    "delivery": _delivery,
    "engagement": _engagement,
    "preference": _preference,
    "suppressed": _suppressed,
}
