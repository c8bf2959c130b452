"""`winback send-test`: one step's message as a contact would get it, through the real provider, to somebody else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import context
from local.sandbox.store import TEST_MARK as MARK
from senders.contract import EMAIL, SMS, WEBPUSH, Outcome, OutcomeKind, Push, Recipient, Subscription, Template
from warehouse.errors import TryLater, WinbackError
from warehouse.machine import elapsed

if TYPE_CHECKING:
    from campaigns.definition import Campaign
    from campaigns.preview import Person

OWN_SUBSCRIPTION = "push"
VALID_FOR = timedelta(hours=1)
NOTHING = "Nothing was sent."
ACCEPTED = "Accepted: the provider has it. Look into the inbox, and into its spam folder."

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_CHANNELS = {EMAIL: "e-mail", SMS: "text", WEBPUSH: "web push"}
_CONTACT = "select first_name, subscriptions from handoff.recipients where contact_id = %s"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command("send-test")
    def send_test(
        step: Annotated[str, typer.Option(help="The step, as in the campaign file: day60.")],
        contact: Annotated[str, typer.Option("--as", help="Whose message it is, by contact_id.")],
        to: Annotated[
            str,
            typer.Option(
                help="Who gets it: an e-mail address, a phone number (+12025550123), or push for the contact's own "
                "browsers."
            ),
        ],
        campaign: Annotated[str | None, typer.Option(help="Its campaign, where several have such a step.")] = None,
    ) -> None:
        """Send one step's message, filled for a contact as `preview` fills it, to an address of yours.

        It goes through the configured provider (or the sandbox, and says so), is marked as a test, carries a sample
        code, and its links unsubscribe nobody. Nothing of it is written down: no decision, no message, no code given
        away; only what people have said since the last dispatch is taken in first.
        An address on the stop list is refused; so is push through a real provider, except to a contact on the
        campaign's allowlist: a customer's browser is nobody's test.

        Exits 0 only when the provider accepted it.
        """
        from senders import registry

        found, document = _step(campaign, step)
        channel = channel_of(to)
        if channel not in document["channels"]:
            listed = ", ".join(_CHANNELS[each] for each in document["channels"]) or "none: it only sets a tag"
            raise WinbackError(
                f"Step {step} of {found.name} has no {_CHANNELS[channel]}; its channels: {listed}. {NOTHING}"
            )
        context.use_warehouse()
        person, subscriptions = _person(found, document, contact)
        if channel == WEBPUSH and not subscriptions:
            raise WinbackError(f"Contact {contact} has no browser that takes web push. {NOTHING}")
        sandboxed = context.use_senders()
        if channel == WEBPUSH and not sandboxed and contact not in found.document()["allowlist"]:
            raise WinbackError(
                f"Contact {contact} is not on the allowlist of {found.name}, and these browsers are real: a test goes "
                "only to who is named there. Add a colleague's contact to `allowlist` in the campaign's file, or test "
                f"with an address of yours. {NOTHING}"
            )
        subscriptions = _not_stopped(channel, to, subscriptions)
        recipient = Recipient(
            email=to if channel == EMAIL else None,
            phone=to if channel == SMS else None,
            subscriptions=subscriptions if channel == WEBPUSH else (),
        )
        message, sampled = _message(found, document, person, channel, recipient)
        sender = registry.sender_for(channel, marked_definition(found.document(), document["key"]))
        outcome = sender.send([message])[message.message_id]
        where = "the local sandbox, which reaches nobody real" if sandboxed else registry.VENDORS[channel][0]
        typer.echo(f"{found.name} {step} as contact {contact} gets it, by {_CHANNELS[channel]}, through {where}.")
        typer.echo(f"Their values come from: {person.origin}.")
        if sampled:
            typer.echo(f"Samples stand in for: {', '.join(sampled)}.")
        _tell(outcome, sandboxed=sandboxed)
        context.result({"outcome": outcome.kind.value, "channel": channel, "sandbox": sandboxed, "sampled": sampled})


def channel_of(to: str) -> str:
    """The channel an address belongs to. Raises `WinbackError`, without repeating it."""
    if to == OWN_SUBSCRIPTION:
        return WEBPUSH
    if _PHONE.fullmatch(to):
        return SMS
    if _EMAIL.fullmatch(to):
        return EMAIL
    raise WinbackError(
        "--to is neither an e-mail address nor a phone number in E.164 (+12025550123) nor the word "
        f"{OWN_SUBSCRIPTION}. {NOTHING}"
    )


def marked_definition(document: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The campaign's document for a test: where SendGrid keeps the subject (a dynamic template), the sender's name
    carries the mark."""
    marked = dict(document)
    dynamic = any(each["key"] == step and each.get("sendgrid_template_id") for each in document["steps"])
    if dynamic and document.get("email"):
        marked["email"] = {**document["email"], "from_name": f"{MARK}{document['email']['from_name']}"}
    return marked


def marked(template: Template) -> Template:
    """The template with the mark of a test in front of what is read first."""
    push = template.push
    return replace(
        template,
        subject=f"{MARK}{template.subject}" if template.subject else None,
        sms=f"{MARK}{template.sms}" if template.sms else None,
        push=Push(**{**asdict(push), "title": f"{MARK}{push.title}"}) if push else None,
    )


def _step(campaign: str | None, step: str) -> tuple[Campaign, Mapping[str, Any]]:
    """The one step of that name. Raises `WinbackError` for none, for several, and for mistakes in the files."""
    from campaigns import definition
    from cli import preview
    from warehouse import settings

    wanted = preview.steps(definition.load_all(settings.read().campaigns), campaign, step)
    if not wanted:
        raise WinbackError(f"Campaign {campaign} has no step {step!r}. {NOTHING}")
    if len(wanted) > 1:
        names = ", ".join(found.name for found, _ in wanted)
        raise WinbackError(f"Several campaigns have a step {step!r}: {names}. Say which with --campaign. {NOTHING}")
    return wanted[0]


def _person(found: Campaign, document: Mapping[str, Any], contact: str) -> tuple[Person, tuple[Subscription, ...]]:
    """Whom it is filled for, with the values of their latest message of the step, and their browsers.

    Raises `WinbackError` for a contact that nobody knows, and where nothing was built yet.
    """
    from campaigns.preview import Person
    from cli import preview
    from warehouse.connect import Role, connect

    with connect(Role.SENDER) as connection:
        if not preview.exists(connection, "handoff.recipients"):
            raise WinbackError(
                "Nothing was built in this warehouse yet, so no contact can be looked up. `winback run --as-of DAY` "
                f"builds (a campaign in shadow sends nothing). {NOTHING}"
            )
        known = connection.execute(_CONTACT, [contact]).fetchone()
        if known is None:
            raise WinbackError(
                f"raw.contacts has no contact {contact!r}: an id is the shop's own, letter by letter. {NOTHING}"
            )
        parameters = {"campaign": found.name, "step": document["key"], "contact": contact, "as_of": None, "limit": 1}
        people = preview.people_of(connection, parameters)
    first_name, subscriptions = known
    person = people[0] if people else Person(contact, "no message of this step yet", {}, first_name)
    return person, tuple(Subscription(each["endpoint"], each["p256dh"], each["auth"]) for each in subscriptions or ())


def _not_stopped(channel: str, to: str, subscriptions: Sequence[Subscription]) -> tuple[Subscription, ...]:
    """The browsers that no suppression stops. Raises `WinbackError`, without repeating it, for a suppressed address."""
    from cli.dispatch import fold_wishes
    from outbox import runs, suppressions
    from outbox.sql import ledger

    asked = [each.endpoint for each in subscriptions] if channel == WEBPUSH else [to]
    with ledger() as connection:
        now = runs.database_now(connection)
        fold_wishes(connection, now)
        stopped = suppressions.stopped(connection, channel, asked, at=now)
    if stopped.issuperset(asked):
        which = "All browsers of the contact are" if channel == WEBPUSH else "The address given with --to is"
        raise WinbackError(
            f"{which} on the stop list (outbox.suppression says since when and why). A test is no reason to write "
            f"there; use another address. {NOTHING}"
        )
    return tuple(each for each in subscriptions if each.endpoint not in stopped)


def _message(
    found: Campaign, document: Mapping[str, Any], person: Person, channel: str, recipient: Recipient
) -> tuple[Any, list[str]]:
    """The message, its code a sample and its links harmless; and the variables that are samples."""
    from campaigns.preview import values
    from senders import links
    from senders.contract import Message

    kept = {name: value for name, value in person.fields.items() if name != "coupon_code"}
    fields, sampled = values(document, replace(person, fields=kept))
    harmless = links.test_url()
    fields |= {"unsubscribe_url": harmless, "preferences_url": harmless}
    now, read_at = datetime.now(UTC), elapsed()
    message = Message(
        message_id=uuid.uuid4(),  # in no ledger: what a provider reports of it finds nobody
        channel=channel,
        recipient=recipient,
        template=marked(found.templates[document["template_hash"]]),
        fields=fields,
        campaign=f"{found.name} test",  # a category and a push topic of its own
        step=document["key"],
        deliver_before=now + VALID_FOR,
        clock=now,
        clock_read_at=read_at,
        unsubscribe_url=harmless,
    )
    return message, list(sampled)


def _tell(outcome: Outcome, *, sandboxed: bool) -> None:
    """Says what became of it. Raises `WinbackError` for anything but acceptance."""
    said = f" ({' '.join(part for part in (outcome.error_code, outcome.detail) if part)})"
    why = said if said != " ()" else ""
    if outcome.kind is OutcomeKind.ACCEPTED:
        typer.echo(_in_the_sandbox() if sandboxed else ACCEPTED)
    elif outcome.kind is OutcomeKind.REJECTED:
        raise WinbackError(f"Rejected: the provider refused it{why}. {NOTHING}")
    elif outcome.kind is OutcomeKind.NOT_SENT:
        raise TryLater(f"Not sent{why}: it never left, and may be tried again later.")
    else:
        raise WinbackError(
            f"Unknown: no answer that can be trusted{why}. It may have left or not; look into the inbox before you "
            "try again."
        )


def _in_the_sandbox() -> str:
    """Where a test is to be seen that reached nobody, and what time it bears."""
    from local.sandbox import server
    from warehouse.clock import shown

    handle = server.running()
    if handle is None:
        return "Accepted: the sandbox has it. Nobody real gets it; see its inbox."
    told = handle.status()["clock"]
    dated = f" It is dated by the sandbox's simulated clock, {shown(datetime.fromisoformat(told))}." if told else ""
    return f"Accepted: the sandbox has it; look at {handle.inbox_url}.{dated}"
