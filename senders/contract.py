"""The words all senders and the outbox share.

A new vendor is one folder that speaks them and passes the same contract cases.

An outcome says what may have happened to the person, not what HTTP said: `unknown` is never resent by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from warehouse.errors import Misconfigured
from warehouse.machine import elapsed

EMAIL, SMS, WEBPUSH = "email", "sms", "webpush"
CHANNELS = (EMAIL, SMS, WEBPUSH)


@dataclass(frozen=True)
class Push:
    """A notification as the browser shows it; every field may hold `{{ variable }}`."""

    title: str
    body: str
    url: str
    icon: str = ""


@dataclass(frozen=True)
class Template:
    """A step's compiled template, all its channels. Placeholders are `{{ variable }}`, nothing else: no logic."""

    template_hash: str
    subject: str | None = None
    html: str | None = None
    text: str | None = None
    sms: str | None = None
    push: Push | None = None


@dataclass(frozen=True)
class Subscription:
    """A browser's push subscription (Push API): endpoint URL and its two keys, base64url."""

    endpoint: str
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


@dataclass(frozen=True)
class Recipient:
    """Where one message goes. Never logged: `repr` shows nothing of it."""

    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    """E.164."""
    subscriptions: Sequence[Subscription] = field(default=(), repr=False)
    """Newest first."""


@dataclass(frozen=True)
class Message:
    """One message to one person through one channel, ready to be rendered and sent."""

    message_id: uuid.UUID
    """Ours. Planted in what is sent, so that every later event finds its way back without an address."""
    channel: str
    recipient: Recipient
    template: Template
    fields: Mapping[str, str] = field(repr=False)
    """Every variable of the template, plain text (the sender escapes where its format needs it)."""
    campaign: str
    step: str
    deliver_before: datetime
    """Aware. After it the message must not arrive any more: `not_after` or the next quiet hours, the earlier one."""
    clock: datetime
    """Aware: the run's time when the message was made ready."""
    clock_read_at: float | None = None
    """`warehouse.machine.elapsed()` when `clock` was read. None: that clock stands still until it is told."""
    unsubscribe_url: str = field(default="", repr=False)
    """https URL for List-Unsubscribe; answers POST with one click (RFC 8058)."""
    why_not: Callable[[], NotSent | None] = field(default=lambda: None, repr=False, compare=False)
    """Asked directly before each call: why it must not be handed over any more, whatever its time."""

    @property
    def now(self) -> datetime:
        """Aware: the run's time at this moment. What has passed since the clock was read counts: a message may have
        waited for slow answers to others."""
        return self.clock + timedelta(seconds=0 if self.clock_read_at is None else elapsed() - self.clock_read_at)

    @property
    def validity(self) -> timedelta:
        """How long the message stays useful from this moment on, never negative: validity periods and TTLs."""
        return max(self.deliver_before - self.now, timedelta())


UNREACHABLE = "unreachable"
"""The error code of `not_sent` where no connection to the provider could be made: nobody there took the message."""


NO_ADDRESS = "no_address"
"""The error code of `rejected` where the contact has no address on the channel."""


TEMPLATE_REFUSED = "template_refused"
"""The error code of `not_sent` where a provider refused a step's template: tried again at growing intervals."""


class OutcomeKind(StrEnum):
    """What happened to one message. The vocabulary is closed."""

    ACCEPTED = "accepted"  # the provider has it and said so
    REJECTED = "rejected"  # the provider refused it for good: this recipient or this content
    NOT_SENT = "not_sent"  # it provably never left: may be tried again
    UNKNOWN = "unknown"  # it may have left: only evidence moves it from here


@dataclass(frozen=True)
class Outcome:
    """What happened to one message, and what is known about it. Holds nothing personal."""

    kind: OutcomeKind
    provider_message_id: str | None = None
    error_code: str | None = None
    """The provider's code, or our short word for it: `http_429`, `21610`, `timeout`."""
    detail: str = ""
    """For people who operate this; without addresses."""
    retry_after: timedelta | None = None
    """How long the provider asked us to wait, with 429 or with 503 (docs/OPERATIONS.md says who waits)."""
    suppress: str | None = None
    """Why this address must not be used again on this channel: `stopped`, `invalid`, `bounced`. None: nothing said."""
    gone_endpoints: Sequence[str] = field(default=(), repr=False)
    """Push: subscriptions that the push service ended (404, 410)."""
    segments: int | None = None
    """Texts: how many segments it costs."""
    encoding: str | None = None
    """Texts: `GSM-7` or `UCS-2`."""
    is_address_fault: bool | None = None
    """Of a rejection: whether this address is to blame, and not the message, the account or the provider: such a one
    counts against no campaign. None: it is, where `suppress` or `gone_endpoints` says so, or there was no address."""

    @property
    def blames_address(self) -> bool:
        """Whether it is a rejection for the address's own sake, said or seen by what else is known."""
        if self.kind is not OutcomeKind.REJECTED:
            return False
        if self.is_address_fault is not None:
            return self.is_address_fault
        return self.suppress is not None or bool(self.gone_endpoints) or self.error_code == NO_ADDRESS


@dataclass(frozen=True)
class Evidence:
    """What a provider's own log has of a message: it was accepted."""

    provider_message_id: str
    status: str
    """In the provider's words."""
    accepted_at: datetime | None = None
    """When, if the log says so."""


@runtime_checkable
class Sender(Protocol):
    """A channel's way out."""

    channel: str
    """`email`, `sms` or `webpush`."""
    batch_size: int
    """How many messages one `send` takes at most."""
    unreachable_after: int
    """So many messages for which nobody could be reached, none being taken meanwhile, mean that the provider is down.
    One, where all go to the same host; more, where each recipient names a host of their own."""

    def send(self, messages: Sequence[Message]) -> Mapping[uuid.UUID, Outcome]:
        """Sends up to `batch_size` messages and returns one outcome each: nothing is raised for a message.

        Raises `warehouse.errors.Misconfigured` when credentials are missing or refused, and `TemplateRefused` when it
        is their template; then none of them has left. Where the provider changes its mind in the middle of a batch,
        the rest is `not_sent`, code `misconfigured` or `TEMPLATE_REFUSED`.
        """
        ...


@dataclass(frozen=True)
class Checked:
    """What a provider says of our credentials, asked without sending anything."""

    words: str
    """For a person who sets this up; without keys and addresses."""
    is_warning: bool = False
    """It works, and not yet for everybody."""


class SendError(Exception):
    """Something went wrong with messages, not with the configuration. `detail` holds no address."""

    kind: OutcomeKind = OutcomeKind.UNKNOWN

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code

    def outcome(self) -> Outcome:
        """What it means for each message it concerns."""
        return Outcome(self.kind, error_code=self.code, detail=self.detail)


class Rejected(SendError):  # noqa: N818 - a word of the contract
    """The provider refused the message for good."""

    kind = OutcomeKind.REJECTED

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        suppress: str | None = None,
        is_address_fault: bool | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.suppress = suppress
        self.is_address_fault = is_address_fault

    def outcome(self) -> Outcome:
        """A rejection, with the reason for which this address must not be used again, if there is one."""
        return replace(super().outcome(), suppress=self.suppress, is_address_fault=self.is_address_fault)


class TemplateRefused(Misconfigured):
    """The provider refuses what all messages of one step and template have in common; nobody is rejected for it.

    Narrower than `Misconfigured`: other templates, steps and campaigns of the channel go on.
    """


class AccountRefused(Misconfigured):
    """The provider refuses the account, and had taken some messages all the same, which it failed at once."""

    def __init__(self, detail: str, taken: Mapping[uuid.UUID, str]) -> None:
        super().__init__(detail)
        self.taken = taken
        """Message -> the provider's id of it, by which its reports are told from another attempt's."""


def taken_of(refusal: Misconfigured) -> Mapping[uuid.UUID, str]:
    """What the provider had taken before it refused the account; mostly nothing."""
    return refusal.taken if isinstance(refusal, AccountRefused) else {}


class NotSent(SendError):  # noqa: N818 - a word of the contract
    """The message provably never left; it may be tried again."""

    kind = OutcomeKind.NOT_SENT

    def __init__(self, detail: str = "", retry_after: timedelta | None = None, *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after

    def outcome(self) -> Outcome:
        """Not sent, with how long the provider asked us to wait."""
        return replace(super().outcome(), retry_after=self.retry_after)


class OutcomeUnknown(SendError):  # noqa: N818 - a word of the contract
    """The message may have left; it must not be tried again without evidence. `retry_after` is about the others."""

    def __init__(self, detail: str = "", retry_after: timedelta | None = None, *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after

    def outcome(self) -> Outcome:
        """Unknown, with how long the provider asked us to leave it alone."""
        return replace(super().outcome(), retry_after=self.retry_after)


class DeliveryKind(StrEnum):
    """What carriers did with a message."""

    ACCEPTED = "accepted"  # the provider took it (SendGrid `processed`, Twilio `queued`, `sent`)
    DELIVERED = "delivered"  # the receiving side took it
    DEFERRED = "deferred"  # it was put off; another attempt follows
    BOUNCED = "bounced"  # the receiving side refused it for good
    DROPPED = "dropped"  # the provider did not try: suppressed, invalid
    FAILED = "failed"  # the carrier could not deliver it
    UNKNOWN = "unknown"  # a type we do not know: kept, never guessed


class AddressFault(StrEnum):
    """What a delivery event says of the address itself, where its kind does not: `bounced` always means for good."""

    INVALID = "invalid"  # there is nobody, or nothing that takes this channel: never again
    STOPPED = "stopped"  # the person opted out by a keyword that the provider heard
    UNSUBSCRIBED = "unsubscribed"  # the person unsubscribed where the provider heard it
    COMPLAINED = "complained"  # the person called an earlier message spam
    SOFT = "soft"  # not this time: several of them within a while are believed


class EngagementKind(StrEnum):
    """What a person (or a machine in front of them) did with a message."""

    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class DeliveryEvent:
    """One delivery event, normalised. `event_key` is unique to it, so that a replay adds nothing."""

    event_key: str
    provider: str
    channel: str
    kind: DeliveryKind
    occurred_at: datetime
    message_id: uuid.UUID | None = None
    provider_message_id: str | None = None
    code: str | None = None
    detail: str | None = None
    address_fault: AddressFault | None = None
    """None: nothing is said of the address."""


@dataclass(frozen=True)
class EngagementEvent:
    """One engagement event, normalised."""

    event_key: str
    provider: str
    channel: str
    kind: EngagementKind
    occurred_at: datetime
    message_id: uuid.UUID | None = None
    provider_message_id: str | None = None
    is_machine: bool = False
    url: str | None = None


@dataclass(frozen=True)
class Preference:
    """What a person asked for, by keyword or link. `address` is hashed where it is stored and never kept."""

    event_key: str
    channel: str
    kind: str
    """`unsubscribed`, `resubscribed` or `paused`."""
    source: str
    occurred_at: datetime
    message_id: uuid.UUID | None = None
    address: str | None = field(default=None, repr=False)
    until: datetime | None = None


Event = DeliveryEvent | EngagementEvent | Preference


class Verdict(StrEnum):
    """What a webhook call was worth. Only `verified` ones are parsed into events; every one is stored."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"  # no signature where one is due
    WRONG_SIGNATURE = "wrong_signature"  # signed by someone else, or altered on the way
    STALE = "stale"  # signed too long ago, or in the future: a replay
    UNVERIFIABLE = "unverifiable"  # we have no key to judge by: refused until there is one
    MALFORMED = "malformed"  # verified, but not what the provider documents
    OVERSIZED = "oversized"  # not read to its end


@dataclass(frozen=True)
class WebhookCall:
    """One call as it came. `repr` shows nothing of it: a body names people."""

    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    """As the provider was told it, query included: some sign it."""
    received_at: datetime
    """Aware, real time: what freshness is judged by."""
    occurred_at: datetime
    """Aware, business time: for events that carry no time of their own. Live, the same as `received_at`."""


class Unreadable(ValueError):  # noqa: N818 - a word of the contract
    """A verified body is not what its provider documents. The message says what was expected; the body is kept."""
