"""`winback forget`: erase a person from what Winback holds, and never write to them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli import context

if TYPE_CHECKING:
    from outbox.erasures import Forgotten

KINDS = {
    "skipped_messages": ("planned message skipped", "planned messages skipped"),
    "released_codes": ("code back in its pool", "codes back in their pools"),
    "suppressed_addresses": ("address suppressed for good", "addresses suppressed for good"),
    "removed_tags": ("tag taken off", "tags taken off"),
    "decisions": ("decision: the values it saw", "decisions: the values they saw"),
    "messages": ("message: what it said to them", "messages: what they said to them"),
    "attempts": ("attempt: an operator's words", "attempts: operators' words"),
    "delivery_events": ("delivery event: the provider's words", "delivery events: the provider's words"),
    "engagement_events": ("click: the link", "clicks: the links"),
    "webhook_calls": ("webhook: headers and body", "webhooks: headers and bodies"),
}
"""What `outbox.erasure.counts` counts, for a person."""

THEIRS = (
    "contacts",
    "web_push_subscriptions",
    "orders",
    "order_items",
    "site_visits",
    "engagements",
    "campaign_sends",
    "provider_events",
)
"""The raw tables that speak of a contact: the loader's, and nothing that Winback may write to."""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def forget(
        contact: Annotated[str, typer.Argument(help="The contact's id, as in raw.contacts; no address.")],
        by: Annotated[str, typer.Option(help="Who says so, a name or a ticket: kept in the audit.")],
        person: Annotated[
            bool, typer.Option("--person", help="Their other contacts too: those that share an address or a phone.")
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Erase a person: what Winback holds of them goes, their addresses stay suppressed by hash, an audit is kept.

        The right to erasure (GDPR, article 17). Ids and days stay in the ledger, so that every count still adds up. It
        says what is left to delete in your own tables. It may be run again. While a run is being decided it refuses.
        """
        from outbox import erasures
        from outbox.runs import business_now
        from outbox.sql import ledger
        from reports import people
        from warehouse.connect import Role, connect
        from warehouse.errors import WinbackError

        if not by.strip():
            raise typer.BadParameter("must say something: it is kept in the audit", param_hint="--by")
        context.use_warehouse()
        known = people.find(contact)
        if person and known.missing:
            raise WinbackError(f"--person needs to know their other contacts. {known.missing} Nothing was erased.")
        contacts = [contact, *(known.others if person else ())]
        if not yes:
            typer.confirm(f"Erase {_listed(contacts)}? It cannot be undone", abort=True)
        with ledger() as desk, connect(Role.DBT, autocommit=True) as builder:
            done = erasures.forget(desk, contacts, by=by.strip(), at=business_now(desk))
            blanked = erasures.blank_built(builder, contacts)
        for each in done:
            _say(each)
        if blanked:
            typer.echo(f"{blanked} row{'' if blanked == 1 else 's'} blanked in dbt's copies of decisions and requests.")
        if known.missing:
            typer.echo(known.missing)
        if known.others and not person:
            share, was = ("shares", "was") if len(known.others) == 1 else ("share", "were")
            typer.echo(
                f"{_listed(known.others)} {share} an address or a phone with it and {was} not erased; what "
                "they share is suppressed. --person forgets them, too."
            )
        typer.echo(_left_to_do(contacts))
        context.result({"forgotten": contacts, "counts": {each.contact_id: dict(each.counts) for each in done}})


def _say(done: Forgotten) -> None:
    typer.echo(f"Contact {done.contact_id}:")
    told = [(KINDS[kind][rows != 1], rows) for kind, rows in sorted(done.counts.items(), key=_place) if rows]
    for what, rows in told:
        typer.echo(f"  {rows} {what}")
    if not told:
        typer.echo("  nothing was left to erase; the request is on record.")
    if done.may_have_left:
        typer.echo(
            f"  {done.may_have_left} {'message is' if done.may_have_left == 1 else 'messages are'} with a provider or "
            "in doubt just now: nothing can call that back, and nothing is sent again."
        )


def _place(kind: tuple[str, int]) -> int:
    return list(KINDS).index(kind[0])


def _listed(contacts: Sequence[str]) -> str:
    return ("contact " if len(contacts) == 1 else "contacts ") + ", ".join(contacts)


def _left_to_do(contacts: Sequence[str]) -> str:
    """What Winback may not or cannot erase: the user's tables, what dbt builds from them, and other systems."""
    from cli import raw_contract

    where = raw_contract.tables()
    tables = ", ".join(".".join(where[name]) for name in THEIRS)
    return (
        f"Still yours to delete, for {_listed(contacts)}:\n"
        f"  1. their rows in {tables}. While raw.contacts has them, every run reads and archives them again.\n"
        "  2. what dbt built from those: `winback build --full-refresh` on the next day.\n"
        "  3. what providers and backups keep: SendGrid's activity and suppression lists, Twilio's message log.\n"
        "The order matters where a person is known by address: forget first, then delete."
    )
