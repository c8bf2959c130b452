"""What verbs say about numbers and codes, in words that a person at a terminal knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from senders.contract import EMAIL, SMS, WEBPUSH

_MESSAGES = {EMAIL: ("e-mail", "e-mails"), SMS: ("text", "texts"), WEBPUSH: ("web push", "web pushes")}
CHANNELS = {EMAIL: "e-mail", SMS: "texts", WEBPUSH: "web push"}
"""Ways to somebody."""

_OTHERWISE = {
    "rejected": "refused by the provider",
    "skipped": "stopped at the last moment",
    "expired": "too late to be sent",
    "deferred": "had first to wait for a later hour",
    "planned": "not handed over or not taken by the provider, to be tried again",
    "in_doubt": "in doubt: may or may not have left, and is not sent again by itself",
    "moved": "moved on to the step's next channel",
    "ignored": "settled by another process meanwhile",
}
"""What became of a message that was due and not sent."""

_DECISIONS = {
    "send": "to be written to",
    "hold": "put off",
    "skip": "left out",
    "holdout": "left alone to compare with",
}
_ALERTS = {"accepted": "sent to the team", "in_doubt": "that may not have arrived", "rejected": "refused"}


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 code`, `2,500 codes`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def messages(count: int, channel: str) -> str:
    """`1 e-mail`, `3 texts`."""
    return counted(count, *_MESSAGES.get(channel, (f"{channel} message", f"{channel} messages")))


def sent(now: Mapping[str, Mapping[str, int]], totals: Mapping[str, int], *, waits: bool = False) -> str:
    """What one dispatch did, as a sentence; `now`: channel -> state -> messages, `totals`: state -> messages, `waits`:
    whether something is due and has to wait for its provider."""
    accepted = [messages(states["accepted"], channel) for channel, states in now.items() if states.get("accepted")]
    others = [f"{totals[state]:,} {said}" for state, said in _OTHERWISE.items() if totals.get(state)]
    if not (accepted or others or waits):
        return "Nothing was due, so nothing was sent now."
    return "; ".join([f"Sent now: {_listed(accepted)}" if accepted else "Nothing was sent now", *others]) + "."


def result(values: Mapping[str, Any]) -> str:
    """A verb's line of JSON as one line for a reader. What is nothing, or means nothing to a reader, is left out."""
    told = [tell(values[key]) for key, tell in _RESULTS.items() if key in values]
    if "sent_now" in values:
        told.insert(
            0, sent(values["sent_now"], values.get("totals", {}), waits=bool(values.get("resting"))).removesuffix(".")
        )
    return "; ".join(text for text in told if text)


def _listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _number(one: str, many: str | None = None, after: str = "") -> Callable[[Any], str]:
    return lambda count: f"{counted(count, one, many)}{after}" if count else ""


def _names(before: str) -> Callable[[Any], str]:
    return lambda names: f"{before} {_listed(names)}" if names else ""


def _states(one: str, words: Mapping[str, str]) -> Callable[[Any], str]:
    def tell(states: Mapping[str, int]) -> str:
        return ", ".join(
            f"{counted(count, one)} {words.get(state, 'not sent yet')}" for state, count in states.items() if count
        )

    return tell


def _decided(decisions: Mapping[str, int]) -> str:
    known = [f"{decisions[code]:,} {said}" for code, said in _DECISIONS.items() if decisions.get(code)]
    return ", ".join(known) or "nobody new was due"


_RESULTS: Mapping[str, Callable[[Any], str]] = {
    "enqueued_before": lambda before: (
        "this day was run before: what was decided, granted or sent stays, and nothing is done twice" if before else ""
    ),
    "unknown_contacts": _number("contact", after=" with orders and no row in raw.contacts"),
    "request_count": lambda count: f"{counted(count, 'message')} to check" if count else "no message to check",
    "held": _names("held back by the gate:"),
    "first_live": _names("first live run of"),
    "decisions": _decided,
    "grants": _number("code", after=" set aside"),
    "messages": lambda told: _number("message", after=" planned")(told) if isinstance(told, int) else "",
    "already_there": _number("message", after=" planned before"),
    "tags_added": _number("tag", after=" added"),
    "tags_removed": _number("tag", after=" taken off"),
    "withheld": lambda held: ", ".join(
        f"{campaign} is held ({why.replace('_', ' ')})" for campaign, why in held.items()
    ),
    "misconfigured": _names("nothing was claimed for"),
    "unreachable": _names("could not be reached:"),
    "put_off": lambda waiting: ", ".join(
        f"{messages(count, channel)} waiting for a provider that could not be reached"
        for channel, count in waiting.items()
    ),
    "resting": lambda waiting: ", ".join(
        f"{messages(count, channel)} waiting for a provider that asked to be left alone"
        for channel, count in waiting.items()
    ),
    "stopped": _names("stopped after failed batches:"),
    "braked": _names("stopped, too many of its last messages failed:"),
    "refused": _names("a template is refused for"),
    "notices": _states("alert", _ALERTS),
    "alerts": lambda titles: f"{'it says' if len(titles) == 1 else 'they say'}: {'; '.join(titles)}" if titles else "",
    "pages": lambda pages: "" if pages else "no page: this day has no run",
    "people_reached": lambda count: (
        f"{counted(count, 'person', 'people')} reached by this run" if count else "nobody reached by this run so far"
    ),
    "people_came_back": lambda count: f"{count:,} bought since" if count else "",
}
"""The keys of results that say something to a reader, in the order of their telling."""
