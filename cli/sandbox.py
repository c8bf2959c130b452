"""`winback sandbox`: SendGrid, Twilio and a push service on this machine, for running everything without accounts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import context, words

if TYPE_CHECKING:
    from local.sandbox.server import Handle

HELP = """The provider sandbox: sends nothing, shows everything.

It answers like SendGrid, Twilio and a web push service, as strictly as they do, reports deliveries, opens and clicks
back through signed webhooks, and shows every message in an inbox. Senders without a connection use it; it starts on
demand.
"""

FAULT_HELP = """Make the providers misbehave, to see what Winback does.

Kinds: **latency**, **throttle** (429 with Retry-After), **error** (5xx), **drop** (connection cut), **hang**,
**nonsense**, **bad_recipient**; with `--channel webhook`: **duplicate**, **reorder**, **lose**, **latency**.

`winback sandbox fault throttle --channel sms --next 20 --retry-after 5`

`winback sandbox fault drop --channel email --probability 0.1` (the mail is taken, the answer is lost)

`winback sandbox fault bad_recipient --pattern '@example\\.org$'`

`winback sandbox fault --clear`
"""


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

    @group.command()
    def start() -> None:
        """Start it (nothing to do when it runs), and the webhook service with it."""
        handle = _ensure()
        typer.echo(f"The sandbox answers at {handle.url}")
        typer.echo(f"Its inbox:            {handle.inbox_url}")

    @group.command()
    def stop() -> None:
        """Stop it and its webhook service. What was sent stays under .local/sandbox."""
        from local.sandbox import server

        stopped = server.stop()
        typer.echo("The sandbox is stopped." if stopped else "The sandbox was not running.")

    @group.command()
    def status() -> None:
        """Say what it took, what came back, its clock, and the faults in force."""
        from local.sandbox import server

        context.use_warehouse()
        handle = server.running()
        if handle is None:
            typer.echo("The sandbox is not running. Start it with `winback sandbox start`.")
            raise typer.Exit(1)
        _show(handle)

    @group.command(name="open")
    def open_inbox() -> None:
        """Open the inbox in the browser, and print its address."""
        import webbrowser

        handle = _ensure()
        typer.echo(handle.inbox_url)
        webbrowser.open(handle.inbox_url)

    @group.command(help=FAULT_HELP)
    def fault(  # noqa: PLR0917 - one option each
        kind: Annotated[str | None, typer.Argument(help="what goes wrong; see above")] = None,
        channel: Annotated[str, typer.Option(help="email, sms, webpush, webhook, or * for all providers")] = "*",
        probability: Annotated[float | None, typer.Option(help="share of requests that meet it, 0 to 1")] = None,
        next_: Annotated[int | None, typer.Option("--next", help="only the next N requests")] = None,
        seconds: Annotated[float | None, typer.Option(help="how long latency and hang last")] = None,
        retry_after: Annotated[int | None, typer.Option(help="seconds that a 429 asks to wait")] = None,
        status: Annotated[int | None, typer.Option(help="the status of an error, 500 to 599")] = None,
        accepted: Annotated[
            bool | None, typer.Option(help="whether the provider took the message before it misbehaved")
        ] = None,
        pattern: Annotated[str | None, typer.Option(help="bad_recipient: a regular expression of addresses")] = None,
        index: Annotated[int | None, typer.Option(help="bad_recipient: its place in the request, from 0")] = None,
        clear: Annotated[bool, typer.Option("--clear", help="behave again")] = False,
    ) -> None:
        """Make the providers misbehave."""
        handle = _ensure()
        if clear:
            handle.set_faults()
            typer.echo("The sandbox behaves again.")
            return
        if kind is None:
            _show_faults(handle.status()["faults"])
            return
        given: dict[str, Any] = {
            **{"kind": kind, "channel": channel, "probability": probability, "next": next_, "seconds": seconds},
            **{"retry_after": retry_after, "status": status, "accepted": accepted, "pattern": pattern, "index": index},
        }
        handle.add_fault({name: value for name, value in given.items() if value is not None})
        _show_faults(handle.status()["faults"])

    @group.command()
    def reset() -> None:
        """Forget every message, event and fault. Winback's own ledger keeps what it knows."""
        _ensure().reset()
        typer.echo("The sandbox is empty and behaves.")

    app.add_typer(group, name="sandbox", help=HELP)


def _ensure() -> Handle:
    from local.sandbox import server

    context.use_warehouse()
    return server.ensure()


def _show(handle: Handle) -> None:
    status = handle.status()
    taken = status["audiences"]
    typer.echo(f"The sandbox answers at {handle.url}")
    typer.echo(f"Its inbox:       {handle.inbox_url}")
    typer.echo(f"Webhooks go to:  {status['events_url'] or 'nowhere'}")
    customers = ", ".join(words.messages(count, channel) for channel, count in taken["customers"].items())
    alerts, tests = (sum(taken[audience].values()) for audience in ("team", "test"))
    typer.echo(f"To customers:    {customers or 'nothing'}")
    typer.echo(f"To the team:     {words.counted(alerts, 'alert') if alerts else 'no alert'}")
    if tests:
        typer.echo(f"Tests:           {words.counted(tests, 'message')} of `winback send-test`")
    came = status["events"].get("taken", 0)
    typer.echo(f"Came back:       {words.counted(came, 'event')}; {status['pending']} still under way")
    typer.echo(f"Clock:           {_clock(status['clock'])}")
    _show_faults(status["faults"])


def _clock(told: str | None) -> str:
    from warehouse.clock import shown

    return shown(datetime.fromisoformat(told)) if told else "real time"


def _show_faults(faults: list[dict[str, Any]]) -> None:
    typer.echo("Faults:          none" if not faults else f"Faults:          {len(faults)}")
    for fault in faults:
        options = [
            f"{name} {value}" for name, value in fault.items() if value not in (None, "", "*") and name != "kind"
        ]
        typer.echo(f"  {fault['kind']}: {', '.join(options)}")
