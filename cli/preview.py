"""`winback preview`: every template filled for real contacts, as HTML files: a marketer's first stop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli import context, days
from warehouse.errors import WinbackError

if TYPE_CHECKING:
    import psycopg

    from campaigns.definition import Bundle
    from campaigns.preview import Page, Person

CONTACTS_A_STEP = 3

_REQUESTS = """
select contact_id, channels, merge_fields, as_of
from handoff.send_requests
where campaign = %(campaign)s and step = %(step)s
    and (%(contact)s::text is null or contact_id = %(contact)s)
    and (%(as_of)s::date is null or as_of = %(as_of)s)
order by as_of desc, contact_id
limit %(limit)s
"""
_MESSAGES = """
select contact_id, channels, merge_fields, as_of
from outbox.message
where campaign = %(campaign)s and step = %(step)s
    and (%(contact)s::text is null or contact_id = %(contact)s)
    and (%(as_of)s::date is null or as_of = %(as_of)s)
order by as_of desc, contact_id
limit %(limit)s
"""
_NAMES = "select contact_id, first_name from handoff.recipients where contact_id = any(%s)"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command()
    def preview(
        *,
        campaign: Annotated[str | None, typer.Option(help="Only this campaign.")] = None,
        step: Annotated[str | None, typer.Option(help="Only this step.")] = None,
        contact: Annotated[str | None, typer.Option(help="Only this contact, by contact_id.")] = None,
        as_of: Annotated[
            datetime | None,
            typer.Option(parser=days.day, metavar="YYYY-MM-DD", help="Only what was decided for this day."),
        ] = None,
        out: Annotated[Path | None, typer.Option(help="Where to write; .local/preview otherwise.")] = None,
        open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    ) -> None:
        """Check the campaign files and show every template as its recipient would see it. Sends nothing.

        Real contacts come from the newest hand-off and from earlier messages; until there are any, sample values stand
        in, and the page says so.
        """
        from campaigns import definition
        from campaigns.preview import outdate, write
        from warehouse import settings

        here = settings.read()
        folder = out or here.local / "preview"
        try:
            bundle = definition.load_all(here.campaigns)
        except WinbackError as error:
            if (old := outdate(folder, str(error), is_own=out is None)) and open_it:
                typer.launch(old.as_uri())
            raise
        wanted = steps(bundle, campaign, step)
        typer.echo(f"The campaign files hold no mistakes: {', '.join(bundle.campaigns)}.")
        notes: list[str] = []
        pages = _pages(wanted, contact, as_of, notes)
        try:
            index = write(folder, pages, notes, is_own=out is None)
        except FileExistsError:
            raise WinbackError(
                f"{folder} holds something else than a preview. Nothing was written; empty it, or give another "
                "folder with --out."
            ) from None
        except OSError as error:
            raise WinbackError(
                f"{folder} cannot be written ({error.strerror}), so the preview is not complete. Mend that, or give "
                "another folder with --out."
            ) from error
        for note in notes:
            typer.echo(note)
        typer.echo(f"Preview: {index}")
        if open_it:
            typer.launch(index.as_uri())
        people = {filled.person.contact_id for page in pages for filled in page.filled} - {None}
        context.result({"page": str(index), "steps": len(pages), "contacts": len(people)})


def steps(bundle: Bundle, campaign: str | None, step: str | None) -> list[tuple[Any, dict[str, Any]]]:
    """The (campaign, step document) pairs that were asked for. Raises `WinbackError` for a name that is not there."""
    from campaigns.problems import did_you_mean

    if campaign is not None and campaign not in bundle.campaigns:
        raise WinbackError(f"There is no campaign {campaign!r}.{did_you_mean(campaign, bundle.campaigns)}")
    listed = [
        (found, document)
        for name, found in bundle.campaigns.items()
        if campaign in {None, name}
        for document in found.document()["steps"]
    ]
    if step is not None and step not in [document["key"] for _, document in listed]:
        raise WinbackError(f"There is no step {step!r}.{did_you_mean(step, [key['key'] for _, key in listed])}")
    return [(found, document) for found, document in listed if step in {None, document["key"]}]


def _pages(
    wanted: Sequence[tuple[Any, dict[str, Any]]], contact: str | None, as_of: datetime | None, notes: list[str]
) -> list[Page]:
    from campaigns.preview import Page, fill, nobody
    from warehouse.connect import Role, connect

    people: dict[str, list[Person]] = {}
    try:
        context.use_warehouse()
        with connect(Role.SENDER) as connection:
            for found, document in wanted:
                parameters = {
                    "campaign": found.name,
                    "step": document["key"],
                    "contact": contact,
                    "as_of": as_of.date() if as_of else None,
                    "limit": CONTACTS_A_STEP,
                }
                people[found.name + document["key"]] = people_of(connection, parameters)
            if contact is not None and not any(people.values()):
                _refuse(connection, contact, as_of)
    except WinbackError as error:
        if contact is not None:
            raise
        notes.append(f"No warehouse to take contacts from, so all values are samples. {error}")
    if not notes and not any(people.values()):
        notes.append(
            f"Nobody was to be written to for {as_of.date()}, so all values are samples. Leave out --as-of."
            if as_of is not None
            else "Nothing was decided yet, so all values are samples. `winback run --as-of DAY` decides on contacts."
        )
    why = "nobody has had this step yet"
    if contact is not None:
        why = f"contact {contact} has not had this step"
    elif as_of is not None:
        why = f"nobody was to have this step on {as_of.date()}"
    pages = []
    for found, document in wanted:
        template = found.templates.get(document["template_hash"])
        shown = people.get(found.name + document["key"]) or [nobody(why)]
        pages.append(Page(found, document, [fill(template, document, person) for person in shown] if template else []))
    return pages


def _refuse(connection: psycopg.Connection, contact: str, as_of: datetime | None) -> NoReturn:
    """Raises `WinbackError`: an id that nobody knows, or somebody of whom there is no message to show."""
    if exists(connection, "handoff.recipients"):
        known = connection.execute("select from handoff.recipients where contact_id = %s", [contact]).fetchone()
        if known is None:
            raise WinbackError(
                f"raw.contacts has no contact {contact!r}: an id is the shop's own, letter by letter. "
                "No preview was written."
            )
    day = f" for {as_of.date()}" if as_of is not None else ""
    raise WinbackError(
        f"Contact {contact!r} has no message{day} in these steps, planned or sent, so there is nothing of theirs to "
        f"show. `winback explain {contact}` tells what was decided about them; without --contact the preview shows "
        "others, or samples. No preview was written."
    )


def people_of(connection: psycopg.Connection, parameters: dict[str, Any]) -> list[Person]:
    """Contacts of the current hand-off first, then of earlier messages, each once."""
    from campaigns.preview import Person

    found: dict[str, Person] = {}
    for relation, query, origin in (
        ("handoff.send_requests", _REQUESTS, "decided for"),
        ("outbox.message", _MESSAGES, "message of"),
    ):
        if not exists(connection, relation):
            continue
        for contact_id, channels, fields, day in connection.execute(query, parameters):
            found.setdefault(contact_id, Person(contact_id, f"{origin} {day}", fields, channels=channels))
    names: dict[str, str] = {}
    if found and exists(connection, "handoff.recipients"):
        names = dict(connection.execute(_NAMES, [list(found)]).fetchall())
    return [
        Person(person.contact_id, person.origin, person.fields, names.get(key), person.channels)
        for key, person in list(found.items())[: parameters["limit"]]
    ]


def exists(connection: psycopg.Connection, relation: str) -> bool:
    return connection.execute("select to_regclass(%s)", [relation]).fetchone() != (None,)
