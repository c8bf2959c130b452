"""One call of `/v3/mail/send` through the SDK's client, and the one place where its errors become ours.

202 is acceptance and nothing else is. Whether anything can have left is decided by whether the connection ever stood.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn

import sendgrid
from python_http_client import Client
from python_http_client.exceptions import HTTPError

from senders import wire
from senders.contract import UNREACHABLE, NotSent, OutcomeUnknown, Rejected, TemplateRefused
from warehouse.connections import Connection
from warehouse.errors import Misconfigured

API = "https://api.sendgrid.com"
PERSONS = "personalizations"
"""Where a 400 names another field than those of recipients, it concerns the template, the campaign or the account."""
ACCOUNT_FIELDS = frozenset({"from"})
"""The first word of fields that are everybody's: SendGrid takes no mail from that sender."""
OWN_FIELD = re.compile(r"(personalizations\.\d+\.)?(subject|content)(\.|$)")
"""What is filled in for the person where a request holds one message, and is the template's where it holds several."""
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


class _NeverConnected(OSError):  # noqa: N818 - a fact, for the translation below
    """No connection (or no TLS) was established: nothing of the request was written."""


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise _NeverConnected(type(error).__name__) from None


class _SecureConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            raise _NeverConnected(type(error).__name__) from None


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Connections that know whether they stood, and no redirects: urllib would carry the key to wherever one points."""

    handler_order = 100

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)

    def _refuse(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> NoReturn:
        raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)

    http_error_301 = http_error_302 = http_error_303 = http_error_307 = http_error_308 = _refuse


class _Client(Client):  # type: ignore[misc]
    def _build_client(self, name: str | None = None) -> _Client:
        child = super()._build_client(name)
        child.__class__ = _Client
        return child  # type: ignore[no-any-return]

    def _make_request(self, opener: Any, request: Any, timeout: float | None = None) -> Any:
        opener.add_handler(_Handler())
        return super()._make_request(opener, request, timeout=timeout)


class Transport:
    """The way to one SendGrid account (or its sandbox)."""

    def __init__(self, connection: Connection) -> None:
        if not connection.password:
            raise Misconfigured(
                f"Connection {connection.conn_id!r} has no password: it is SendGrid's API key. Nothing was sent."
            )
        self._api = sendgrid.SendGridAPIClient(connection.password, host=wire.base_url(connection, API))
        old = self._api.client
        self._api.client = _Client(old.host, old.request_headers, version=3, timeout=wire.timeout_of(connection))

    def post(self, payload: Mapping[str, Any]) -> str | None:
        """Hands over one request and returns its `X-Message-Id`.

        Raises `Rejected`, `Unclear`, `NotSent`, `OutcomeUnknown`, `TemplateRefused` where a campaign's set-up is
        refused, and `Misconfigured` where the account or its sender is.
        """
        try:
            answer = self._api.client.mail.send.post(request_body=dict(payload))
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
        try:
            answer = self._api.client.scopes.get()
            return frozenset(str(scope) for scope in json.loads(answer.body)["scopes"])
        except (ValueError, KeyError, TypeError):
            raise OutcomeUnknown("SendGrid's answer names no scopes.", code="nonsense") from None
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            raise _translate(error) from None

    def read(self, *path: str, **query: str) -> Any:
        """The JSON at a path of the API below /v3. Raises as `post` does."""
        try:
            client = self._api.client
            for part in path:
                client = client._(part)
            answer = client.get(query_params=query or None)
            return json.loads(answer.body)
        except Exception as error:  # noqa: BLE001 - every failure of the SDK is given its meaning here
            raise _translate(error) from None


def _translate(error: Exception) -> Exception:
    if isinstance(error, HTTPError):
        return _refused(error.status_code, error.headers or {}, error.body)
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, _NeverConnected):
        return NotSent(f"SendGrid could not be reached ({error.reason}).", code=UNREACHABLE)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    timed_out = isinstance(cause, TimeoutError)
    return OutcomeUnknown(
        f"No answer from SendGrid that can be trusted ({type(cause).__name__}).",
        code="timeout" if timed_out else "no_answer",
    )


def _refused(status: int, headers: Any, body: bytes) -> Exception:
    code = f"http_{status}"
    fields, words = _explain(body)
    if status == 429:
        wait = wire.retry_after(dict(headers.items())) or timedelta(seconds=60)
        return NotSent("SendGrid asks us to slow down.", wait, code=code)
    if status == 413:
        return Unclear("SendGrid finds the request too large.", code=code, is_own=True)
    if status in {301, 302, 307, 308, 401, 403, 404, 405, 406, 415, 451}:
        return Misconfigured(
            f"SendGrid refused us with {status}: {words}. Check the key, its rights, the sender and the base URL."
        )
    if status < 400 or status == 408 or status >= 500:
        return OutcomeUnknown(f"SendGrid answered {status}.", wire.retry_after(dict(headers.items())), code=code)
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
    fields = {str(entry["field"]) for entry in errors if entry.get("field")}
    return fields, wire.scrub("; ".join(str(entry.get("message", "")) for entry in errors)) or "no reason given"
