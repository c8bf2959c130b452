"""The words for codes: what a page or `explain` says of a reason, state or event to somebody who never saw the code.

A code without words is shown as it is, with its underscores taken out, rather than hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reason:
    """Why somebody was not written to."""

    title: str
    """A few words, for a table."""
    sentence: str
    """What it means and, where something can be done, what."""


REASONS: Mapping[str, Reason] = {
    # skips
    "no_email_consent": Reason(
        "No consent to e-mail",
        "They did not agree to marketing e-mail, or nobody knows that they did. Unknown is a no.",
    ),
    "no_sms_consent": Reason("No consent to texts", "They did not agree to marketing texts, or took it back."),
    "no_reachable_channel": Reason(
        "No way to reach them",
        "None of the step's channels leads to them: no address, no number, or no browser that takes notifications.",
    ),
    "invalid_address": Reason(
        "Contact's data unusable",
        "The e-mail address, phone number or time zone on file is malformed, or raw.contacts does not have them at "
        "all. Correct it in the shop's data; `winback explain` says which it is.",
    ),
    "suppressed": Reason(
        "On the stop list",
        "They unsubscribed, asked for a pause, complained, wrote STOP, were stopped by hand or by another system's "
        "list, or their address bounced for good. They are not written to while that holds.",
    ),
    "same_person": Reason(
        "Same person as another contact",
        "Another contact with the same address or phone is written to, so that one person is not written to twice.",
    ),
    "purchased_since": Reason("Bought in the meantime", "They came back by themselves before the message was due."),
    "active_again": Reason(
        "Active again", "They opened, clicked, visited or bought in the meantime, which ends the campaign for them."
    ),
    "already_messaged": Reason(
        "Already had this message", "This step was sent to them before, for the same absence. It is never sent twice."
    ),
    "too_late": Reason(
        "Too late", "The day it was due has passed by more than the campaign allows, so it would no longer make sense."
    ),
    "before_live": Reason(
        "Due before the campaign went live", "Nothing is sent for a day before the campaign's first live day."
    ),
    "step_disabled": Reason(
        "Step switched off", "The campaign file has this step, or the whole campaign, switched off."
    ),
    # holds
    "pool_dry": Reason(
        "No code left",
        "The promotion has no code to give. They wait for codes, and are dropped when that takes too long.",
    ),
    "nothing_to_recommend": Reason(
        "Too few products to show",
        "The step shows more products than the shop has: in stock, with a price, and with a picture and a page whose "
        "addresses begin with https. They wait for products, and are dropped when that takes too long.",
    ),
    "frequency_cap": Reason(
        "Written to enough for now",
        "They had as many messages lately as the caps allow, from all systems. They are tried again tomorrow.",
    ),
    "outranked": Reason(
        "Another campaign goes first",
        "A campaign of higher priority writes to them today. They are tried again tomorrow.",
    ),
    "gate_failed": Reason(
        "Held back by the gate",
        "The day's batch did not pass its checks, so nothing of this campaign was sent. They are tried again tomorrow.",
    ),
    "not_approved": Reason(
        "Not approved", "Somebody had to approve this day and nobody did in time. They are tried again tomorrow."
    ),
    # holdout
    "holdout": Reason(
        "Left alone to compare with",
        "A fixed share of people is never written to, so that one can tell what the campaign itself brings.",
    ),
    # at the last moment
    "not_live": Reason("Campaign not live", "The campaign ran in shadow: it decided, and sent nothing."),
    "expired": Reason("Not sent in time", "Every hour in which it might have been sent had passed."),
    "quiet_hours": Reason("Quiet hours", "It was night where they are until the message made no sense any more."),
    "forgotten": Reason(
        "Forgotten", "They asked to be erased (`winback forget`): nothing that was planned for them leaves any more."
    ),
    "coupon_expired": Reason("Code no longer valid", "The code would have been worthless by the time it arrived."),
    "coupon_released": Reason("Code taken back", "The code it was to carry had gone back to its pool."),
    "skipped": Reason("Stopped at the last moment", "Something had changed between the decision and the sending."),
    # the provider's codes, and our short words for what went wrong with it
    "21211": Reason(
        "Not a phone number",
        "Twilio (21211) knows no such number. It is on the stop list now; correct it in the shop's data.",
    ),
    "21610": Reason("Had replied STOP", "Twilio (21610) holds an opt-out of this number. It is on the stop list now."),
    "21614": Reason(
        "Number takes no texts", "Twilio (21614) says that this number is not a mobile. It is on the stop list now."
    ),
    "no_address": Reason("No address left", "The address or subscription had gone by the time of sending."),
    "no_unsubscribe": Reason(
        "No way to unsubscribe",
        "The message had no unsubscribe link, so it was not handed over. Set the public URL of the webhook service.",
    ),
    "template": Reason(
        "No content for this channel", "The step's template has nothing for this channel. Add it to the template."
    ),
    "too_long": Reason(
        "Message too long", "The message with its values is longer than the channel takes. Shorten the template."
    ),
    "failed": Reason("Refused without a reason", "The provider refused the message and gave no code."),
    "http_400": Reason("Refused as malformed", "The provider did not take this recipient or this content (400)."),
    "http_413": Reason("Refused as too large", "The provider did not take the message because of its size (413)."),
    "http_404": Reason(
        "Browser no longer subscribed", "The push service (404) knows the subscription no more. It is not tried again."
    ),
    "http_410": Reason(
        "Browser no longer subscribed", "The push service (410) has ended the subscription. It is not tried again."
    ),
    "lease_expired": Reason(
        "Worker went silent", "The process that was sending died; whether the message left is not known."
    ),
    "lease_lost": Reason(
        "Kept back", "The process that was to send it had been frozen; it did not leave, and is tried again."
    ),
    "stopped": Reason("Kept back", "The process that was to send it was told to stop; it is tried again."),
    "timeout": Reason(
        "No answer in time", "The provider did not answer in time; whether the message left is not known."
    ),
    "no_answer": Reason("No answer", "The connection broke before the answer; whether the message left is not known."),
    "nonsense": Reason(
        "Unreadable answer", "The provider's answer made no sense; whether the message left is not known."
    ),
    "unreachable": Reason("Provider unreachable", "The provider could not be reached; it is tried again."),
    "released": Reason("Released by a person", "An operator settled what had been in doubt."),
}

KINDS: Mapping[str, str] = {
    "skip": "Left out",
    "hold": "Put off, tried again the next day",
    "holdout": "Left alone to compare with",
    "stopped": "Stopped at the last moment",
    "refused": "Refused by the provider",
}

STAGES: Mapping[str, str] = {
    "evaluated": "Looked at",
    "send": "To be written to",
    "accepted": "Handed over",
    "delivered": "Delivered",
    "opened": "Opened by a person",
    "clicked": "Clicked",
    "came_back": "Came back",
}

CHANNELS: Mapping[str, str] = {"email": "e-mail", "sms": "text", "webpush": "web push"}

MESSAGE_STATES: Mapping[str, str] = {
    "planned": "is waiting for its hour",
    "sending": "is with the provider right now",
    "accepted": "was sent",
    "rejected": "was refused by the provider",
    "in_doubt": "may or may not have left; it is never sent again by itself",
    "skipped": "was stopped at the last moment",
    "expired": "was not sent in time",
}

STOPS: Mapping[str, str] = {
    "unsubscribed": "they unsubscribed",
    "paused": "they asked for a pause",
    "complained": "they called a message spam",
    "stopped": "they wrote STOP",
    "bounced": "it bounced for good",
    "undeliverable": "several messages in a row could not be delivered",
    "invalid": "it is not usable",
    "gone": "the browser is no longer subscribed",
    "operator": "stopped by hand",
    "forgotten": "they asked to be forgotten",
    "imported": "taken over from another system",
}
"""Why an address is on the stop list."""

SOURCES: Mapping[str, str] = {
    "one_click": "one click in the mail",
    "preference_page": "on the preferences page",
    "sms_keyword": "by text",
    "provider": "the provider reported it",
    "sendgrid": "SendGrid reported it",
    "twilio": "Twilio reported it",
}
"""Who put it there; anything else is a name that was given."""

RUN_STATES: Mapping[str, str] = {
    "building": "has not come to its end: the day is being worked out, or that broke off",
    "built": "has not come to its end: the gate has not judged it yet, or that broke off",
    "validated": "has not come to its end: the gate has judged it, and nothing was handed over for sending yet",
    "enqueued": "finished: decisions, codes and messages are on record",
    "failed": "failed: nothing was handed over for sending",
    "abandoned": "was given up: another run took over after it had gone silent",
}

ALERTS: Mapping[str, str] = {
    "pool_dry": "No codes left",
    "pool_low": "Codes running low",
    "gate_failed": "Held back by the gate",
    "run_failed": "The run failed",
    "campaign_stopped": "A campaign stopped itself",
    "provider_unreachable": "A provider could not be reached",
    "template_refused": "A provider refuses a template",
}

ALERT_STATES: Mapping[str, str] = {
    "planned": "not sent yet",
    "sending": "being sent",
    "accepted": "sent to the team",
    "rejected": "refused by the provider: nobody was told",
    "in_doubt": "may not have arrived",
}

CREDITS: Mapping[str | None, str] = {
    "click": "after a click",
    "open": "after opening",
    "push_click": "after clicking the push",
    None: "bought since, without a click or an open in time",
}


def plain(code: str) -> str:
    """A code as words: `no_email_consent` -> `No email consent`."""
    return code.replace("_", " ").capitalize()


INVALID: Mapping[str, Reason] = {
    "contact": Reason(
        "Not among the shop's contacts",
        "Orders or visits name this contact, and raw.contacts did not have them when it was decided. Load the contact, "
        "or correct the id in what names it.",
    ),
    "timezone": Reason(
        "Time zone unusable",
        "The time zone on file is none that exists, so nobody can tell when it is night there. Correct it in "
        "raw.contacts (such as America/New_York), or leave it empty: then the campaign's own counts.",
    ),
    "address": Reason(
        "Address unusable",
        "The e-mail address or phone number on file is malformed, and nothing else leads to them. Correct it in "
        "raw.contacts.",
    ),
}
"""What `invalid_address` was for one contact, as far as the values that were seen tell it."""


def decided(code: str | None, seen: Mapping[str, Any]) -> Reason:
    """The words for a decision's reason, as exact as the values it saw allow."""
    if code != "invalid_address":
        return reason(code)
    if seen.get("is_known") is False:
        return INVALID["contact"]
    if seen.get("is_timezone_malformed"):
        return INVALID["timezone"]
    return INVALID["address"] if code in (seen.get("obstacles") or {}).values() else reason(code)


def reason(code: str | None) -> Reason:
    """The words for a reason; a code nobody has written words for yet is shown, not hidden."""
    if code is None:
        return Reason("No reason given", "The decision carries no reason.")
    if code.isdigit():
        return REASONS.get(code) or Reason(
            f"Refused with code {code}", "The provider's documentation says what the code means."
        )
    return REASONS.get(code) or Reason(plain(code), f"On record as {code!r}.")


def channel(code: str) -> str:
    """`sms` -> `text`."""
    return CHANNELS.get(code, code)


def step(row: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """A step as its condition: `30 days after the last purchase`, `3 days after opening "It has been a while"`.

    `row` and `steps` (by key) are rows of `rpt_steps`.
    """
    if row.get("trigger") == "event":
        parent = (steps or {}).get(row["after_step"])
        what = f"the {parent['after_days']}-day message" if parent and parent.get("after_days") else row["after_step"]
        verb = {"opened": "opening", "clicked": "clicking"}.get(
            row["event"], plain(row["event"] or "event").lower() + ":"
        )
        return f"{_days(row['wait_days'])} after {verb} {what}"
    since = "after the last purchase" if row.get("clock_kind") == "last_purchase" else "without any activity"
    return f"{_days(row['after_days'])} {since}" if row.get("after_days") is not None else str(row["step"])


def _days(count: int | None) -> str:
    return "at once" if not count else "1 day" if count == 1 else f"{count} days"
