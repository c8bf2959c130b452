"""The in-process sender of tests: the same contract, with outcomes told beforehand.

`answer` is asked once for each message and returns an `Outcome` or raises one of the contract's errors; `inbox` holds
what would have reached people (accepted, or unknown and yet delivered).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from senders import render, wire
from senders.contract import (
    EMAIL,
    Message,
    NotSent,
    Outcome,
    OutcomeKind,
    OutcomeUnknown,
    Rejected,
    SendError,
    taken_of,
)
from warehouse.errors import Misconfigured

Answer = Callable[[Message], Outcome]


def accept(message: Message) -> Outcome:
    """The answer of a provider that takes everything."""
    return Outcome(OutcomeKind.ACCEPTED, provider_message_id=f"memory-{message.message_id}")


class MemorySender:
    """A channel without a provider."""

    def __init__(
        self, channel: str = EMAIL, *, batch_size: int = 100, answer: Answer = accept, unreachable_after: int = 1
    ) -> None:
        self.channel = channel
        self.batch_size = batch_size
        self.answer = answer
        self.unreachable_after = unreachable_after
        self.inbox: list[Message] = []

    def send(self, messages: Sequence[Message]) -> Mapping[UUID, Outcome]:
        """Asks `answer` about each message. Raises `Misconfigured` when it does so before anything was taken."""
        outcomes: dict[UUID, Outcome] = {}
        failure: Misconfigured | None = None
        spared: Outcome | None = None
        for message in messages:
            outcome = spared
            if outcome is None:
                try:
                    outcome = self._ask(message)
                except Misconfigured as error:
                    failure, spared = error, wire.MISCONFIGURED
                    outcome = replace(spared, provider_message_id=taken_of(error).get(message.message_id))
                except wire.TooLate as error:
                    outcome = error.outcome()
                except SendError as error:
                    outcome = error.outcome()
                    if isinstance(error, NotSent):
                        spared = outcome
                    elif outcome.retry_after:
                        spared = wire.asked_to_wait(outcome.retry_after)
            outcomes[message.message_id] = outcome
        return wire.settle(outcomes, failure)

    def _ask(self, message: Message) -> Outcome:
        _check(message)
        wire.time_left(message)
        try:
            outcome = self.answer(message)
        except OutcomeUnknown:
            self.inbox.append(message)
            raise
        if outcome.kind in {OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN}:
            self.inbox.append(message)
        return outcome


def _check(message: Message) -> None:
    template, recipient = message.template, message.recipient
    if not (recipient.email or recipient.phone or recipient.subscriptions):
        raise Rejected("The message has no address.", code="no_address")
    for source in (template.subject, template.text, template.html, template.sms):
        render.render_text(source or "", message.fields)
