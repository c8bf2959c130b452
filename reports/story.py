"""Turns the rows of `rpt_timeline` into sentences: what happened to one person, without an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from reports import words
from reports.read import Row
from reports.render import amount, plural
from warehouse.clock import shown

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
    "started_at": "counted from",
    "purchased_since_at": "bought since",
    "active_since_at": "active again",
    "late_days": "days late",
    "is_known": "known to the shop by then",
    "email_consent": "consent to e-mail",
    "sms_consent": "consent to texts",
    "channels": "can be reached by",
    "obstacles": "what stands in the way",
    "timezone": "time zone",
    "is_timezone_malformed": "time zone on file",
    "touches_today": "messages already that day",
    "touches_7_days": "messages in seven days",
    "person_contacts": "contacts of the same person",
    "holdout_place": "place in the draw of those left alone (0 to 100)",
    "coupon_place": "place in the queue for codes",
}
"""The values a decision saw, in the order in which they are told."""
UNREMARKABLE: Mapping[str, Any] = {
    "late_days": 0, "is_known": True, "is_timezone_malformed": False, "person_contacts": 1,
    "touches_today": 0, "touches_7_days": 0,
}  # fmt: skip
"""Values that say nothing when they are the usual ones."""
REPEATED = frozenset({"coupon_assigned", "coupon_released"})
"""Events that a line on the code itself tells."""


@dataclass(frozen=True)
class About:
    """Whom and what a decision's values are told about."""

    person: Row
    """A row of `rpt_contacts`."""
    timezone: str
    """The campaign's zone, in which times are told."""
    step: Row | None = None
    """The step's row of `rpt_steps`, where the run's definition has it."""
    others: Sequence[str] = ()
    """The other contacts of the same person."""
    buyer: str | None = None
    """Which of them it was who bought since."""


def sentence(row: Row, timezone: str) -> str:
    """One row of the timeline as a sentence without a full stop. A kind without words is named rather than hidden."""
    teller = _TELLERS.get(row["kind"])
    return teller(row, timezone) if teller else words.plain(row["kind"])


def is_told(row: Row) -> bool:
    """Whether a row says something that no other one says: that a message was sent, its attempt says."""
    detail = row["detail"]
    if row["kind"] == "message_closed":
        return bool(detail["state"] != "accepted")
    if row["kind"] == "delivery":
        return bool(detail["kind"] != "accepted")
    return not (row["kind"] == "contact_event" and detail["name"] in REPEATED)


def decision(row: Row) -> str:
    """`Leave out: No consent to e-mail`."""
    detail = row["detail"]
    verdict = DECISIONS.get(detail["decision"], detail["decision"])
    if detail["decision"] == "send":
        return f"{verdict}, had the campaign not been in shadow" if detail["mode"] == "shadow" else verdict
    if detail["decision"] == "holdout":
        return f"{verdict}, to compare with"
    return f"{verdict}: {words.decided(detail['reason'], detail['seen']).title}"


def seen(detail: Mapping[str, Any], about: About) -> list[str]:
    """The values a decision saw, as `last purchase: 2017-09-02 16:49 EDT`, without empty, usual and repeated ones."""
    values = {key: value for key, value in detail["seen"].items() if value not in (None, [], {}, "")}
    if values.get("started_at") == values.get("last_purchase_at"):
        values.pop("started_at", None)
    elif values.get("purchased_since_at") == values.get("last_purchase_at"):
        values.pop("last_purchase_at", None)
    channels = about.step["channels"] if about.step else ["email", "sms", "webpush"]
    values["obstacles"] = {
        channel: _obstacle(channel, code, about.person)
        for channel, code in values.get("obstacles", {}).items()
        if channel in channels
    }
    if "sms" not in channels or "sms" in values["obstacles"] or not about.person["has_phone"]:
        values.pop("sms_consent", None)
    if values.get("timezone") == about.person["timezone"]:
        values.pop("timezone", None)
    if detail["decision"] != "holdout":
        values.pop("holdout_place", None)
    values.pop("person_id", None)
    if about.others:
        values.pop("person_contacts", None)
    told = [key for key in values if values[key] != {} and UNREMARKABLE.get(key, ...) != values[key]]
    ordered = sorted(told, key=lambda key: (list(SEEN).index(key) if key in SEEN else len(SEEN), key))
    lines = [_seen(key, values[key], about) for key in ordered]
    if about.others:
        many = plural(len(about.others), "contact", "contacts")
        lines.append(f"the same person as {many} {', '.join(about.others)} (a shared address or phone)")
    return lines


def _seen(key: str, value: Any, about: About) -> str:
    label = SEEN.get(key) or words.plain(key).lower()
    if key == "started_at" and about.step and about.step["trigger"] == "event":
        label = f"{about.step['after_step']} was {about.step['event']}"
    if key == "is_timezone_malformed":
        return f"{label}: was none that exists; now it is {about.person['timezone'] or 'empty'}"
    text = f"{label}: {_value(value, about.timezone)}"
    if key == "purchased_since_at" and about.buyer:
        return f"{text}, as contact {about.buyer}, who is the same person"
    return text


def _obstacle(channel: str, code: str, person: Row) -> str:
    if code == "invalid_address":
        return words.INVALID["address"].title.lower()
    if code != "no_reachable_channel":
        return words.reason(code).title.lower()
    if channel == "sms" and person["has_phone"] and not person["has_sms_consent"]:
        return "no consent to texts"
    return {"email": "no e-mail address", "sms": "no phone number"}.get(channel, "no browser that takes notifications")


def _value(value: Any, timezone: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(item, timezone) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{words.channel(key)} ({item})" for key, item in value.items())
    if isinstance(value, str):
        try:
            return value if len(value) == 10 and date.fromisoformat(value) else _instant(value, timezone)
        except ValueError:
            return words.channel(value)
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _instant(value: str, timezone: str) -> str:
    instant = datetime.fromisoformat(value)
    return shown(instant, timezone) if instant.tzinfo else f"{instant:%Y-%m-%d %H:%M}"


def _sum(value: float | str | None) -> str:
    return amount(None if value is None else Decimal(str(value)))


def _purchase(row: Row, _: str) -> str:
    order = row["detail"]
    text = f"They bought for {_sum(order['total'])} {order['currency'] or '(no currency)'}"
    if order["coupon_code"]:
        text += f", with the code {order['coupon_code']}"
    if order["status"] == "cancelled":
        return f"{text}; the order was cancelled later and counts for nothing"
    if order["status"] == "refunded" or order["refunded_total"]:
        returned = order["refunded_total"] if order["refunded_total"] is not None else order["total"]
        text += f"; {_sum(returned)} of it was refunded"
    return text


def _decided(row: Row, _: str) -> str:
    return f"Decided on {row['step']} ({row['campaign']}): {decision(row)}"


def _granted(row: Row, timezone: str) -> str:
    grant = row["detail"]
    until = shown(datetime.fromisoformat(grant["valid_until"]), timezone)
    return f"The code {grant['code']} of {grant['promotion']} was set aside for them, valid until {until}"


def _planned(row: Row, timezone: str) -> str:
    message = row["detail"]
    ways = ", or else by ".join(words.channel(channel) for channel in message["channels"])
    start = shown(datetime.fromisoformat(message["not_before"]), timezone)
    return f"The {row['step']} message was planned: by {ways}, from {start} on"


def _attempt(row: Row, _: str) -> str:
    attempt = row["detail"]
    way, outcome = words.channel(attempt["channel"]), attempt["outcome"]
    if outcome == "accepted":
        text = f"The {row['step']} message was sent by {way}"
        if attempt["attempt_no"] > 1:
            text += f", at try {attempt['attempt_no']}"
    else:
        text = f"Sending the {row['step']} message by {way}, try {attempt['attempt_no']}: {OUTCOMES[outcome]}"
    notes = [f"code {attempt['error_code']}"] if attempt["error_code"] else []
    if attempt["segments"]:
        notes.append(f"{attempt['segments']} {plural(attempt['segments'], 'segment', 'segments')}")
    return f"{text} ({', '.join(notes)})" if notes else text


def _closed(row: Row, _: str) -> str:
    message = row["detail"]
    text = f"The {row['step']} message {words.MESSAGE_STATES[message['state']]}"
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
    return f"{text} until {shown(datetime.fromisoformat(wish['until']), timezone)}" if wish["until"] else text


def _suppressed(row: Row, timezone: str) -> str:
    stop = row["detail"]
    text = f"Their address went on the stop list: {stopped(stop)}"
    if stop["lifted_at"]:
        return f"{text}; taken off on {_instant(stop['lifted_at'], timezone)}"
    return f"{text}, until {_instant(stop['until'], timezone)}" if stop["until"] else text


def stopped(stop: Mapping[str, Any]) -> str:
    """`e-mail, they unsubscribed (one click)`: channel, why and by whom of an entry of the stop list."""
    why = words.STOPS.get(stop["reason"]) or words.plain(stop["reason"]).lower()
    source = stop.get("source")
    who = f" ({words.SOURCES.get(source) or source})" if source else ""
    return f"{words.channel(stop['channel'])}, {why}{who}"


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
