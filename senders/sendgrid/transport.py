"""One call of `/v3/mail/send` through the SDK's client, and the one place where its errors become ours.

202 is acceptance and nothing else is. Whether anything can have left is decided by whether the connection ever stood.
"""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sendgrid
from python_http_client import Client

from senders import wire
from senders.contract import NotSent, OutcomeUnknown, Rejected, SendError, TemplateRefused
from senders.http import Answer, BadUrl, Http, Refused
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

API = "https://api.sendgrid.com"
WHOLE_CALL = 6
"""Waiting times that a whole call has: a thousand messages of 30 MB (SendGrid's limits) take their time to leave."""
PAUSE = timedelta(seconds=60)
"""Where SendGrid asks us to slow down and does not say for how long."""
PERSONS = "personalizations"
"""Where a 400 names another field than those of recipients, it concerns the template, the campaign or the account."""
ACCOUNT_FIELDS = frozenset({"from"})
"""The first word of fields that are everybody's: SendGrid takes no mail from that sender."""
OWN_FIELD = re.compile(r"(personalizations\.\d+\.)?(subject|content)(\.|$)")
"""What is filled in for the person where a request holds one message, and is the template's where it holds several."""
NO_FIELD = (None, "", "null")
"""What stands for the field of an error that is about none; the word in quotes is the API definition's own example."""
KEEP_OLD = "Messages that are planned already keep the old one: they are tried again until their time is over."
RECIPIENT_FIELD = re.compile(r"personalizations(\.\d+)?\.(to|cc|bcc)(\.|$)|personalizations(\.\d+)?$")
"""A 400 that names one of these concerns recipients: the words tell of an address or of one that stands there twice."""

# At DEBUG the SDK's client prints payloads, keys and addresses.
for _name in ("python_http_client", "python_http_client.client", "sendgrid"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Unclear(Rejected):
    """A refusal that names no recipient: it may be this message's fault, or its template's and so everybody's.

    `is_own`: it is about size, content or subject, which a message that was handed over alone has to itself.
    `is_shared`: it is about content or subject that all messages of a request have in common.
    """

    def __init__(self, detail: str, *, code: str, is_own: bool = False, is_shared: bool = False) -> None:
        super().__init__(detail, code=code)
        self.is_own = is_own
        self.is_shared = is_shared


class _Answered:
    """An answer in the words of `urllib`, which the SDK's client asks."""

    def __init__(self, answer: Answer) -> None:
        self.getcode = lambda: answer.status_code
        self.read = lambda: answer.body
        self.info = lambda: answer.headers


class _Client(Client):  # type: ignore[misc]
    """The SDK's client over `senders.http`: its own follows redirects with the key, and its waiting time has no end."""

    way: Http

    def _build_client(self, name: str | None = None) -> _Client:
        child = super()._build_client(name)
        child.__class__ = _Client
        child.way = self.way
        return child  # type: ignore[no-any-return]

    def _make_request(self, opener: object, request: urllib.request.Request, timeout: float | None = None) -> _Answered:
        body = request.data if isinstance(request.data, bytes) else None
        answer = self.way.request(request.get_method(), request.full_url, dict(request.header_items()), body)
        if not 200 <= answer.status_code < 300:
            raise Refused(answer)
        return _Answered(answer)


class Transport:
    """The way to one SendGrid account (or its sandbox)."""

    def __init__(self, connection: Connection) -> None:
        if not connection.password:
            raise Misconfigured(
                f"Connection {connection.conn_id!r} has no password: it is SendGrid's API key. Nothing was sent."
            )
        wire.refuse_unwritable(connection, connection.password)
        api = sendgrid.SendGridAPIClient(connection.password, host=wire.base_url(connection, API))
        self._client = _Client(api.client.host, api.client.request_headers, version=3)
        self._client.way = Http(
            "SendGrid",
            connections=None,
            timeout=wire.timeout_of(connection),
            whole=WHOLE_CALL,
            is_direct=connection.sandbox,
        )

    def post(self, payload: Mapping[str, Any]) -> str | None:
        """Hands over one request and returns its `X-Message-Id`.

        Raises `Rejected`, `Unclear`, `NotSent`, `OutcomeUnknown`, `TemplateRefused` where a campaign's set-up is
        refused, and `Misconfigured` where the account or its sender is.
        """
        try:
            answer = self._client.mail.send.post(request_body=dict(payload))
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            raise _translate(error) from None
        if answer.status_code != 202:
            raise OutcomeUnknown(
                f"SendGrid answered {answer.status_code} where only 202 means accepted.",
                code=f"http_{answer.status_code}",
            )
        return answer.headers.get("X-Message-Id") or None

    def scopes(self) -> frozenset[str]:
        """What the key may do: `GET /v3/scopes`. Raises `Misconfigured`, `NotSent`, `OutcomeUnknown`."""
        found = self.read("scopes")
        try:
            return frozenset(str(scope) for scope in found["scopes"])
        except (KeyError, TypeError):
            raise OutcomeUnknown("SendGrid's answer names no scopes.", code="nonsense") from None

    def read(self, *path: str, **query: str) -> Any:
        """The JSON at a path of the API below /v3. Raises as `post` does."""
        try:
            client = self._client
            for part in path:
                client = client._(part)
            answer = client.get(query_params=query or None)
            return json.loads(answer.body)
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            raise _translate(error) from None


def _translate(error: Exception) -> Exception:
    if isinstance(error, Refused):
        return _refused(error.answer)
    if isinstance(error, SendError | Misconfigured):
        return error
    if isinstance(error, BadUrl):
        return Misconfigured("The host of SendGrid's connection makes no URL. Nothing was sent.")
    return OutcomeUnknown(f"SendGrid's answer could not be read ({type(error).__name__}).", code="nonsense")


def _refused(answer: Answer) -> Exception:
    status = answer.status_code
    code, wait = f"http_{status}", wire.retry_after(answer.headers)
    fields, words = _explain(answer.body)
    if status == 429:
        return NotSent("SendGrid asks us to slow down.", wait or PAUSE, code=code)
    if status == 413:
        return Unclear("SendGrid finds the request too large.", code=code, is_own=True)
    if status in {301, 302, 307, 308, 401, 403, 404, 405, 406, 415, 451}:
        return Misconfigured(
            f"SendGrid refused us with {status}: {words}. Check the key, its rights, the sender and the base URL."
        )
    if status < 400 or status == 408 or status >= 500:
        return OutcomeUnknown(f"SendGrid answered {status}.", wait, code=code)
    roots = {name.split(".")[0] for name in fields}
    named = ", ".join(sorted(fields))
    if roots & ACCOUNT_FIELDS and PERSONS not in roots:
        return Misconfigured(f"SendGrid refuses {named}: {words}. Correct the campaign's sender or the account.")
    if any(RECIPIENT_FIELD.match(name) for name in fields):
        return Rejected(f"SendGrid refused it: {words}.", code=code, is_address_fault=True)
    if fields and all(OWN_FIELD.match(name) for name in fields):
        shared = PERSONS not in roots
        return Unclear(f"SendGrid refuses {named}: {words}.", code=code, is_own=True, is_shared=shared)
    if roots and PERSONS not in roots:
        return TemplateRefused(f"SendGrid refuses {named}: {words}. Correct the campaign's set-up. {KEEP_OLD}")
    return Unclear(f"SendGrid refused it: {words}.", code=code)


def _explain(body: bytes) -> tuple[set[str], str]:
    """The fields a refusal names, and its words without addresses."""
    try:
        errors = [entry for entry in json.loads(body)["errors"] if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError):
        return set(), "no reason given"
    fields = {str(entry["field"]) for entry in errors if entry.get("field") not in NO_FIELD}
    return fields, wire.scrub("; ".join(str(entry.get("message", "")) for entry in errors)) or "no reason given"
