"""What becomes of an accepted message: decided by a hash, so the same whatever the order, the process or the run.

A fate hangs on the seed, the channel, the recipient and the day of the sandbox's clock; an address that bounces and a
phone that takes no texts do so every day. Shares are of accepted messages for deliveries, of delivered ones for what
people do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

EMAIL_RATES: Mapping[str, float] = {
    "bounced": 0.01,  # hard, for ever
    "blocked": 0.02,  # refused this once
    "deferred": 0.03,  # delivered, but later
    "opened": 0.35,  # by a person
    "machine_opened": 0.20,  # by a mail service that fetches pictures ahead of the person
    "clicked": 0.12,  # all of them opened
    "unsubscribed": 0.005,
    "complained": 0.0005,
}
SMS_RATES: Mapping[str, float] = {
    "failed": 0.01,  # a landline, for ever
    "undelivered": 0.02,
    "stopped": 0.01,
}
WEBPUSH_RATES: Mapping[str, float] = {"clicked": 0.10}


@dataclass
class Habits:
    """The rates in force: shares of 0 to 1 by channel.

    `people`: those for whom other rates hold, as `{"ann@example.com": {"opened": 1}}`.
    """

    seed: int = 1
    rates: dict[str, dict[str, float]] = field(
        default_factory=lambda: {"email": dict(EMAIL_RATES), "sms": dict(SMS_RATES), "webpush": dict(WEBPUSH_RATES)}
    )
    people: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, channel: str, recipient: str, accepted_at: float) -> Fate:
        """The dice of one message."""
        rates = self.rates[channel] | self.people.get(recipient, {})
        day = datetime.fromtimestamp(accepted_at, UTC).date().isoformat()
        return Fate(f"{self.seed}|{channel}|{recipient}", day, rates)


@dataclass(frozen=True)
class Fate:
    """The dice of one message: each question has its own, thrown by a hash."""

    person: str
    day: str
    rates: Mapping[str, float]

    def share(self, question: str, *, for_ever: bool = False) -> float:
        """A number in [0, 1): the same for the same question, message and seed."""
        text = f"{self.person}|{'' if for_ever else self.day}|{question}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64

    def between(self, question: str, low: float, high: float) -> float:
        """Seconds between `low` and `high`, short waits likelier than long ones."""
        return float(low * (high / low) ** self.share(f"{question} wait"))

    def email(self) -> list[tuple[str, float]]:
        """What happens to an e-mail: (event, seconds after acceptance), in order of time."""
        rates = self.rates
        sent = self.between("processed", 0.5, 4)
        if self.share("bounced", for_ever=True) < rates["bounced"]:
            return [("processed", sent), ("bounce", sent + self.between("bounce", 1, 60))]
        if self.share("blocked") < rates["blocked"]:
            return [
                ("processed", sent),
                ("deferred", sent + 5),
                ("blocked", sent + self.between("blocked", 1800, 14400)),
            ]
        came = [("processed", sent)]
        delivered = sent + self.between("delivered", 1, 45)
        if self.share("deferred") < rates["deferred"]:
            came.append(("deferred", delivered))
            delivered += self.between("deferred", 300, 2400)
        came.append(("delivered", delivered))
        if self.share("machine opened") < rates["machine_opened"]:
            came.append(("machine_open", delivered + self.between("machine", 2, 120)))
        interest = self.share("interest")  # one number for both: who clicks has opened
        opened = delivered + self.between("opened", 120, 8 * 3600)
        if interest < rates["opened"]:
            came.append(("open", opened))
        clicked = opened + self.between("clicked", 4, 240)
        if interest < rates["clicked"]:
            came.append(("click", clicked))
        if self.share("unsubscribed") < rates["unsubscribed"]:
            came.append(("unsubscribe", clicked + self.between("unsubscribed", 5, 60)))
        if self.share("complained") < rates["complained"]:
            came.append(("spamreport", clicked + self.between("complained", 60, 3600)))
        return sorted(came, key=lambda one: one[1])

    def text(self) -> list[tuple[str, float]]:
        """What happens to a text: (status, seconds after acceptance), in order of time; `stop` is an answer. Twilio
        calls back for none of the first status, which its answer says."""
        sent = self.between("sent", 0.5, 5)
        if self.share("failed", for_ever=True) < self.rates["failed"]:
            return [("failed", sent)]
        came = [("sent", sent)]
        done = sent + self.between("delivered", 2, 90)
        if self.share("undelivered") < self.rates["undelivered"]:
            return [*came, ("undelivered", done)]
        came.append(("delivered", done))
        if self.share("stopped") < self.rates["stopped"]:
            came.append(("stop", done + self.between("stopped", 60, 6 * 3600)))
        return came

    def push(self) -> list[tuple[str, float]]:
        """What happens to a notification: shown, and perhaps clicked."""
        shown = self.between("shown", 1, 1800)
        came = [("delivered", shown)]
        if self.share("clicked") < self.rates["clicked"]:
            came.append(("click", shown + self.between("clicked", 3, 3600)))
        return came
