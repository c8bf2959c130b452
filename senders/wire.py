"""What every vendor's HTTP has in common: base URLs, waiting times, what an error may say, calls in parallel."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from uuid import UUID

from senders.contract import (
    AccountRefused,
    Message,
    NotSent,
    Outcome,
    OutcomeKind,
    OutcomeUnknown,
    SendError,
    taken_of,
)
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

DEFAULT_TIMEOUT_SECONDS = 10.0
LONGEST_WAIT = timedelta(hours=24)
SHORTEST_USE = timedelta(seconds=1)
"""With less time left than that, nothing is handed over."""

OWN_HOSTS = re.compile(
    r"(^|\.)(sendgrid\.(com|net)|twilio\.com|googleapis\.com|google\.com|push\.apple\.com|notify\.windows\.com"
    r"|push\.services\.mozilla\.com)$"
)
"""Hosts of real providers and push services: never a sandbox, whatever a connection says."""

_EMAIL = re.compile(r"[^\s<>\"',;:]+@[^\s<>\"',;:]+")
_NUMBER = re.compile(r"\+?\d(?:[\s().-]*+\d){6,}")
"""Seven digits or more, whatever stands between them as in a phone number."""
_URL = re.compile(r"https?://\S+")


def base_url(connection: Connection, default: str) -> str:
    """Where a provider's API is: the connection's host, or `default`; without a trailing slash.

    Raises `Misconfigured` when a sandbox's mark stands on a provider's own host, or a key would travel in the clear.
    """
    host = connection.host or default
    if "://" not in host:
        scheme = connection.conn_type if connection.conn_type in {"http", "https"} else "https"
        host = f"{scheme}://{host}"
    parts = urlsplit(host)
    if connection.sandbox:
        refuse_own_host(connection, parts.hostname or "")
    elif parts.scheme != "https":
        raise Misconfigured(
            f"Connection {connection.conn_id!r} points at {parts.scheme}://{parts.netloc}: its key would travel in the "
            'clear. Use https, or mark a sandbox with "sandbox": true in its extra. Nothing was claimed or sent.'
        )
    return host.rstrip("/")


def refuse_own_host(connection: Connection, host: str) -> None:
    """Raises `Misconfigured` when `host` belongs to a real provider: a simulated day must never reach real people."""
    if OWN_HOSTS.search(host.lower()):
        raise Misconfigured(
            f'Connection {connection.conn_id!r} says "sandbox": true, but {host} is the provider itself: a simulated '
            "clock would reach real people. Remove the mark, or point it at a sandbox. Nothing was claimed or sent."
        )


def refuse_unwritable(connection: Connection, credential: str) -> None:
    """Raises `Misconfigured` for a character that no header can carry, before anything is in doubt for it."""
    if not (credential.isascii() and credential.isprintable()):
        raise Misconfigured(
            f"Connection {connection.conn_id!r} has a character in its login or password that no header can carry: "
            "perhaps a line's end, or a dash or a quotation mark of a text editor's. Nothing was claimed or sent."
        )


def timeout_of(connection: Connection) -> float:
    """Seconds to wait for a connection, and again for each part of an answer: extra `timeout_seconds`, default 10. A
    whole text or notification has twice as many, a request of e-mails six times."""
    return positive(connection, "timeout_seconds", DEFAULT_TIMEOUT_SECONDS)


def whole_number(connection: Connection, key: str, default: int, largest: int) -> int:
    """A count of the connection's extra, from 1 to `largest`. Raises `Misconfigured`."""
    found = positive(connection, key, default)
    if found != int(found) or found > largest:
        raise Misconfigured(
            f"Connection {connection.conn_id!r}: {key} must be a whole number from 1 to {largest}, not {found:g}."
        )
    return int(found)


def positive(connection: Connection, key: str, default: float) -> float:
    """A number above 0 of the connection's extra. Raises `Misconfigured`."""
    try:
        found = float(connection.extra.get(key, default))
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < math.inf:
        raise Misconfigured(f"Connection {connection.conn_id!r}: {key} must be a number above 0.")
    return found


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long a provider asks us to wait; None where it says nothing that can be read.

    `Retry-After` is seconds or a date (RFC 9110, 10.2.3); SendGrid's `X-RateLimit-Reset` is a Unix time.
    """
    lower = {str(name).lower(): str(text).strip() for name, text in headers.items()}
    given, reset = lower.get("retry-after", ""), lower.get("x-ratelimit-reset", "")
    seconds: float | None = None
    if _is_number(given):
        seconds = float(given[:9])
    elif given:
        moment = _http_date(given)
        seconds = None if moment is None else (moment - datetime.now(UTC)).total_seconds()
    elif _is_number(reset):
        seconds = float(reset[:12]) - time.time()
    return None if seconds is None else min(max(timedelta(seconds=seconds), timedelta()), LONGEST_WAIT)


def _is_number(text: str) -> bool:
    """Digits alone, and of ASCII: there are others that no number can be made of."""
    return text.isascii() and text.isdigit()


def _http_date(text: str) -> datetime | None:
    """A date in one of the three forms of RFC 9110, 5.6.7; None where it is none. All of them mean UTC, those without
    a zone, too, wherever this machine stands."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def scrub(text: object, limit: int = 200) -> str:
    """A provider's words without URLs, addresses and numbers that could be phones, on one line, cut at `limit`."""
    words = " ".join(str(text).split())
    if "://" in words:
        words = _URL.sub("…", words)
    if "@" in words:
        words = _EMAIL.sub("…", words)
    words = _NUMBER.sub("…", words)
    return words[:limit]


TOO_LATE = "too_late"


class TooLate(NotSent):
    """A message's time was over before the provider was called: a provider's queue must not deliver it at night."""

    def __init__(self) -> None:
        super().__init__("Its time was over before the provider was called.", code=TOO_LATE)


def time_left(message: Message, least: timedelta = SHORTEST_USE) -> timedelta:
    """How long a message is still of use, asked directly before its call. Raises `TooLate` for less than `least`, and
    `NotSent` where it must not be handed over any more."""
    if (held_back := message.why_not()) is not None:
        raise held_back
    left = message.validity
    if left < least:
        raise TooLate
    return left


def kept_back(messages: Iterable[Message]) -> dict[UUID, Outcome]:
    """`not_sent` for those of one request that may not go any more, asked directly before its call."""
    found: dict[UUID, Outcome] = {}
    for message in messages:
        try:
            time_left(message)
        except NotSent as error:
            found[message.message_id] = error.outcome()
    return found


def settle(outcomes: dict[UUID, Outcome], failure: Misconfigured | None) -> dict[UUID, Outcome]:
    """The outcomes of a batch. Raises `failure` when nothing of the batch has left or was decided."""
    if failure is not None and all(outcome.kind is OutcomeKind.NOT_SENT for outcome in outcomes.values()):
        taken = {each: found.provider_message_id for each, found in outcomes.items() if found.provider_message_id}
        raise AccountRefused(str(failure), taken) if taken else failure
    return outcomes


MISCONFIGURED = Outcome(
    OutcomeKind.NOT_SENT, error_code="misconfigured", detail="The provider refused our credentials or settings."
)


def asked_to_wait(wait: timedelta) -> Outcome:
    """What becomes of messages that are not handed over because the provider wants to be left alone."""
    return NotSent("The provider asked us to wait.", wait, code="asked_to_wait").outcome()


def in_parallel(
    pool: Executor, messages: Sequence[Message], send_one: Callable[[Message], Outcome], *, pause: bool
) -> dict[UUID, Outcome]:
    """One call a message, many at once; one outcome each, whatever `send_one` raises.

    With `pause`, the first `not_sent` spares the calls that have not begun: they get the same answer; so does a
    failure with a Retry-After, and none that comes `TooLate`. Raises `Misconfigured` when nothing can have left.
    """
    spared: list[Outcome] = []
    failures: list[Misconfigured] = []

    def attempt(message: Message) -> Outcome:
        if spared:
            return spared[0]
        try:
            outcome = send_one(message)
        except Misconfigured as error:
            failures.append(error)
            spared.append(MISCONFIGURED)
            outcome = replace(MISCONFIGURED, provider_message_id=taken_of(error).get(message.message_id))
        except TooLate as error:
            return error.outcome()
        except SendError as error:
            outcome = error.outcome()
        except Exception as error:  # noqa: BLE001 - the call had begun: whatever broke, the message may have left
            outcome = OutcomeUnknown("The answer could not be understood.", code=type(error).__name__).outcome()
        if pause and outcome.kind is OutcomeKind.NOT_SENT:
            spared.append(replace(outcome, provider_message_id=None, segments=None, encoding=None))  # its own
        elif pause and outcome.retry_after:
            spared.append(asked_to_wait(outcome.retry_after))
        return outcome

    outcomes = dict(zip([message.message_id for message in messages], pool.map(attempt, messages), strict=True))
    return settle(outcomes, failures[0] if failures else None)
