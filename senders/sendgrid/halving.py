"""One request, halved until what SendGrid refuses is alone, and the judgement whose fault a refusal is.

SendGrid names the field that caused a 400 ("Errors", Mail Send reference). One under `personalizations.N.to` is that
recipient's. The sender is the account's (`transport` raises `Misconfigured`), other fields outside of recipients are
the campaign's (`TemplateRefused`). What is left names nobody: a `field` that is null, a header or subject, a request
that is too large. Then evidence decides. Where anything of the same step and template was taken, the refusal is the
message's own; where nothing was and all say the same, it is the template's, and nobody is rejected for it. Of a message
that was handed over alone, size, content and subject are its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from senders import wire
from senders.contract import (
    TEMPLATE_REFUSED,
    Message,
    NotSent,
    Outcome,
    OutcomeKind,
    Rejected,
    SendError,
    TemplateRefused,
)
from senders.sendgrid.transport import KEEP_OLD, Unclear
from warehouse.errors import Misconfigured

ENOUGH = 8
"""So many single messages of a request, refused in the same words and none taken: the rest is not asked for."""


@dataclass
class Halved:
    """What became of one request's messages."""

    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    failure: Misconfigured | None = None
    """What is wrong with the account, the campaign or the template."""
    spared: Outcome | None = None
    """What becomes of all that was not handed over any more."""
    is_taken: bool = False
    """Whether any of it was accepted."""
    alone: str | None = None
    """What was said to a message that went alone and was rejected for what may also be everybody's."""

    def stop(self, failure: Misconfigured) -> Outcome:
        """Hands nothing more over. Returns what becomes of the rest."""
        self.failure, self.spared = failure, wire.MISCONFIGURED
        if isinstance(failure, TemplateRefused):
            self.spared = Outcome(OutcomeKind.NOT_SENT, error_code=TEMPLATE_REFUSED, detail=str(failure))
        return self.spared

    def in_time(self, queue: deque[Sequence[Message]]) -> Iterator[Sequence[Message]]:
        """The parts of a queue, one after the other, each without what has become too late by its turn."""
        while queue:
            part = queue.popleft()
            late = wire.kept_back(part)
            self.outcomes |= late
            # Time is over for one, but a process that may hand nothing more over may do so for nobody.
            self.spared = next((each for each in late.values() if each.error_code != wire.TOO_LATE), self.spared)
            if len(late) < len(part):
                yield [message for message in part if message.message_id not in late]


def deliver(
    messages: Sequence[Message],
    post: Callable[[Sequence[Message]], Outcome],
    *,
    is_proven: bool,
    suspected: str | None = None,
) -> Halved:
    """Hands over messages of one request through `post`, one outcome each; raises nothing for a message.

    `is_proven`: the same step and template was accepted before, so that what is refused now is refused for itself.
    `suspected`: what the last message of it that went alone was rejected with; the same again is the template's, for
    where a rate lets one message go at a time everybody goes alone.
    """
    done = Halved()
    unclear: dict[UUID, Unclear] = {}
    queue = deque([messages])
    for part in done.in_time(queue):
        outcome = done.spared
        if outcome is None:
            try:
                outcome = post(part)
                done.is_taken = True
            except Rejected as error:
                shared = isinstance(error, Unclear) and error.is_shared
                if len(part) > 1 and not shared:
                    half = len(part) // 2
                    queue.extendleft((part[half:], part[:half]))
                    continue
                outcome = error.outcome()
                if len(part) > 1:
                    outcome = done.stop(_template_fault(part[0], error))
                elif isinstance(error, Unclear):
                    unclear[part[0].message_id] = error
                    if len(unclear) >= ENOUGH and not (is_proven or done.is_taken) and _are_alike(unclear.values()):
                        done.stop(_template_fault(part[0], error))
            except SendError as error:
                outcome = error.outcome()
                if isinstance(error, NotSent):
                    done.spared = outcome
                elif outcome.retry_after:
                    done.spared = wire.asked_to_wait(outcome.retry_after)
            except Misconfigured as error:
                outcome = done.stop(error)
        done.outcomes |= {message.message_id: outcome for message in part}
    if unclear:
        _judge(messages, unclear, done, is_proven=is_proven, suspected=suspected)
    return done


def _judge(
    messages: Sequence[Message], unclear: dict[UUID, Unclear], done: Halved, *, is_proven: bool, suspected: str | None
) -> None:
    """Whose fault the refusals are that name nobody. Rejects nobody for what is everybody's; where a throttle cut the
    asking short, nothing is decided yet."""
    first = next(iter(unclear.values()))
    if len(messages) == 1 and first.is_own and first.detail != suspected:
        done.alone = first.detail
    elif not (is_proven or done.is_taken) and _are_alike(unclear.values()):
        done.outcomes |= dict.fromkeys(unclear, done.spared or done.stop(_template_fault(messages[0], first)))


def _are_alike(errors: Iterable[Unclear]) -> bool:
    return len({error.detail for error in errors}) == 1


def _template_fault(message: Message, error: Rejected) -> TemplateRefused:
    return TemplateRefused(
        f"SendGrid refuses every message of {message.campaign} {message.step} that it was asked to take, and names no "
        f"recipient: {error.detail} Correct the step's template. {KEEP_OLD} Nobody was rejected for it."
    )
