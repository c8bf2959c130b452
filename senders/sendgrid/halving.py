"""One request, halved until what SendGrid refuses is alone, and the judgement whose fault a refusal is.

SendGrid names the field that caused a 400 ("Errors", Mail Send reference). One under `personalizations.N.to` is that
recipient's. One outside of them is the campaign's or the account's (`transport` raises `Misconfigured`). What is left
names nobody: a `field` that is null, a header or subject, a request that is too large. Then evidence decides. Where
anything of the same step and template was taken, the refusal is the message's own; where nothing was and all say the
same, it is the template's, and nobody is rejected for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from senders import wire
from senders.contract import Message, NotSent, Outcome, Rejected, SendError
from senders.sendgrid.transport import Unclear
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


def deliver(messages: Sequence[Message], post: Callable[[Sequence[Message]], Outcome], *, is_proven: bool) -> Halved:
    """Hands over messages of one request through `post`, one outcome each; raises nothing for a message.

    `is_proven`: the same step and template was accepted before, so that what is refused now is refused for itself.
    """
    done = Halved()
    unclear: dict[UUID, Unclear] = {}
    queue = deque([messages])
    while queue:
        part = queue.popleft()
        outcome = done.spared
        if outcome is None:
            try:
                outcome = post(part)
                done.is_taken = True
            except Rejected as error:
                if len(part) > 1:
                    half = len(part) // 2
                    queue.extendleft((part[half:], part[:half]))
                    continue
                outcome = error.outcome()
                if isinstance(error, Unclear):
                    unclear[part[0].message_id] = error
                    if len(unclear) >= ENOUGH and not (is_proven or done.is_taken) and _are_alike(unclear.values()):
                        done.spared = wire.MISCONFIGURED
            except SendError as error:
                outcome = error.outcome()
                if isinstance(error, NotSent):
                    done.spared = outcome
                elif outcome.retry_after:
                    done.spared = wire.asked_to_wait(outcome.retry_after)
            except Misconfigured as error:
                done.failure, outcome = error, wire.MISCONFIGURED
                done.spared = outcome
        done.outcomes |= {message.message_id: outcome for message in part}
    if unclear and not (is_proven or done.is_taken) and _are_alike(unclear.values()):
        _take_back(messages[0], unclear, done)
    return done


def _are_alike(errors: Iterable[Unclear]) -> bool:
    return len({error.detail for error in errors}) == 1


def _take_back(first: Message, unclear: Mapping[UUID, Unclear], done: Halved) -> None:
    """Rejects nobody for what is everybody's. Where a throttle cut the asking short, nothing is decided yet."""
    if done.failure is None and done.spared in (None, wire.MISCONFIGURED):
        done.failure = Misconfigured(
            f"SendGrid refuses every message of {first.campaign} {first.step} in the same words and names no "
            f"recipient: {next(iter(unclear.values())).detail} Correct the step's template. Nobody was rejected for "
            "it; the messages stay planned."
        )
    done.spared = done.spared or wire.MISCONFIGURED
    done.outcomes |= dict.fromkeys(unclear, done.spared)
