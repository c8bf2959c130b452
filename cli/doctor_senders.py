"""What `winback doctor` asks of the providers, of our public address, and about who is told when things fail."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from cli.checkup import Check, Line, failed, ok, warning
from senders import links, registry
from senders.contract import CHANNELS, EMAIL, SMS, WEBPUSH
from warehouse import connections, settings
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

HTTP_SECONDS = 10.0
LARGEST_ANSWER = 10_000
SECOND_WAYS = ("alerts_smtp", "alerts_webhook")
"""Connections by which Airflow tells of a failed run without us (dags/winback_alert.py)."""
NAMES = {EMAIL: "e-mail", SMS: "texts", WEBPUSH: "web push"}


def checks() -> dict[str, Check]:
    """By subject."""
    return {
        **{NAMES[channel]: partial(sender, channel) for channel in CHANNELS},
        "public address": public_address,
        "webhook keys": webhook_keys,
        "alerts": alerts,
    }


def campaign_documents() -> Mapping[str, Mapping[str, Any]]:
    """Campaign -> its document; none where the files hold mistakes, which the line on campaigns tells."""
    from campaigns import definition
    from warehouse.errors import WinbackError

    try:
        bundle = definition.load_all(settings.read().campaigns)
    except WinbackError:
        return {}
    return {name: found.document() for name, found in bundle.campaigns.items()}


def sender(channel: str) -> Iterator[Line]:
    """Whether the channel's connection is there, whole, and taken by its provider."""
    subject, (_, conn_id) = NAMES[channel], registry.VENDORS[channel]
    documents = {
        name: document
        for name, document in campaign_documents().items()
        if any(channel in step["channels"] for step in document["steps"])
    }
    connection = connections.find(conn_id)
    if connection is None:
        yield _missing(subject, conn_id, used=bool(documents))
        return
    others = [found for each in connections.SENDERS if (found := connections.find(each)) is not None]
    if any(other.sandbox != connection.sandbox for other in others):
        yield failed(
            subject,
            "some senders are marked as sandboxes and some are not: a run is simulated or live, never both",
            "Mark all of them or none.",
        )
    for document in documents.values():
        registry.sender_for(channel, document)
    registry.messages_per_second(channel)
    checked = registry.check(channel)
    if connection.sandbox:
        yield warning(
            subject,
            f"{checked.words}; the connection is marked as a sandbox, so nobody real is reached",
            f"Give {conn_id} the provider's own address and key, and take the mark off all three senders.",
        )
    elif checked.is_warning:
        yield warning(subject, checked.words)
    else:
        yield ok(subject, checked.words)


def _missing(subject: str, conn_id: str, *, used: bool) -> Line:
    advice = f"Set {connections.variable(conn_id)}, or add {conn_id} in Airflow (docker/env.example shows its fields)."
    if not any(connections.find(each) for each in connections.SENDERS):
        return warning(subject, "no sender has a connection: everything goes to the local sandbox", advice)
    if not used:
        return ok(subject, "no connection, and no step that needs one")
    return failed(subject, "no connection, and steps that use it: nothing of theirs would be sent", advice)


def public_address() -> Iterator[Line]:
    """Whether the webhook service answers under the address that links carry."""
    import httpx

    subject = "public address"
    if not os.environ.get("WINBACK_TOKEN_KEY"):
        yield warning(
            subject,
            "WINBACK_TOKEN_KEY is not set: links are signed with a key that only this machine has",
            "Set the same key for the worker and the webhook service (openssl rand -base64 32), and keep it for ever.",
        )
    try:
        url = links.public_url()
    except Misconfigured:
        yield failed(
            subject,
            f"{links.VARIABLE} is not set: nobody could unsubscribe, so nothing would be sent",
            "Set it to the address under which `winback events serve` is reached from outside (https://...).",
        )
        return
    if not url.startswith("https://"):
        yield failed(subject, f"{links.VARIABLE} is not https", "One-click unsubscribe (RFC 8058) demands https.")
    try:
        with httpx.stream("GET", f"{url}/health", timeout=HTTP_SECONDS, follow_redirects=False) as answer:
            status, body = answer.status_code, b""
            for part in answer.iter_bytes(4096):
                body += part
                if len(body) > LARGEST_ANSWER:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield failed(
            subject,
            f"/health cannot be reached ({type(error).__name__}): nobody could unsubscribe, no event would come in",
            f"Start `winback events serve` and see that {links.VARIABLE} leads to it, from outside, too.",
        )
        return
    if status == 200 and _is_ours(body):
        yield ok(subject, "the webhook service answers there, and its warehouse with it")
    elif status == 503:
        yield failed(subject, "the webhook service answers and cannot reach its warehouse (503)", "Read its log.")
    else:
        yield failed(
            subject,
            f"something answers there with {status}, and it is not our webhook service",
            f"See that {links.VARIABLE} leads to `winback events serve` and to nothing that redirects.",
        )


def _is_ours(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"status": "ok"})
    except ValueError:
        return False


def webhook_keys() -> Iterator[Line]:
    """Whether the calls of each provider can be verified; unverified ones are refused."""
    for vendor, conn_id in registry.VENDORS.values():
        module = importlib.import_module(f"senders.{vendor}.events")
        connection = connections.find(conn_id)
        if connection is None or not hasattr(module, "is_ready"):
            continue
        try:
            ready = module.is_ready(connection)
        except Misconfigured as error:
            yield failed("webhook keys", str(error))
            continue
        if ready:
            yield _verified(module, connection)
        else:
            yield failed(
                "webhook keys",
                f"no key to verify the calls of {conn_id} by: they are refused, bounces and opt-outs with them",
                "docker/env.example shows where it goes; the provider's settings show the key. With an API key of "
                "Twilio's (SK...) the account's auth token goes into the extra webhook_secret.",
            )


def _verified(vendor: ModuleType, connection: Connection) -> Line:
    """Some sign the address they were told, too: which one that is."""
    words = f"calls for {connection.conn_id} can be verified"
    if not hasattr(vendor, "addresses"):
        return ok("webhook keys", words)
    try:
        told = " and ".join(f"{address} ({what})" for what, address in vendor.addresses(connection).items())
    except Misconfigured as error:
        if connection.extra.get("webhook_url"):
            return failed("webhook keys", str(error), "Correct webhook_url in the connection's extra.")
        return failed(
            "webhook keys",
            f"nothing says to which address calls for {connection.conn_id} are posted, and they are signed for it: "
            "behind a proxy all of them would be refused, opt-outs with them",
            f"Set {links.VARIABLE} for the webhook service, too, or webhook_url in the connection's extra.",
        )
    return ok("webhook keys", f"{words} as posted to {told}")


def alerts() -> Iterator[Line]:
    """Who is told, and by which second way when the outbox is what fails."""
    if connections.find(connections.ALERTS) is None and not any(map(connections.find, connections.SENDERS)):
        yield warning("alerts", "no connection: alerts go to the local sandbox", "Set AIRFLOW_CONN_ALERTS.")
    else:
        try:
            registry.notifier()
            yield ok("alerts", "the team is told by e-mail")
        except Misconfigured as error:
            yield failed("alerts", str(error))
    if any(connections.find(conn_id) for conn_id in SECOND_WAYS):
        yield ok("alerts", "there is a second way out when the outbox is what fails")
    else:
        yield warning(
            "alerts",
            "no second way out: when the warehouse or SendGrid is down nobody is told",
            f"Add the connection {' or '.join(SECOND_WAYS)} in Airflow.",
        )
