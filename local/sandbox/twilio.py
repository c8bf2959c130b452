"""Twilio: the Messages resource of API version 2010-04-01, creating, reading and listing.

Sources: Twilio's "Messages resource", "Error and warning dictionary" and "Test credentials" (the numbers +1500555000x
that fail in a known way also fail here).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import sqlite3
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import phonenumbers
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.sandbox import gsm
from local.sandbox.core import Core, misbehaving
from local.sandbox.faults import Fault
from local.sandbox.store import Accepted, Planned

VERSION = "2010-04-01"
MAX_BODY = 1600
MAX_VALIDITY_SECONDS = 36_000
E164 = re.compile(r"\+[1-9]\d{6,14}")
SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,6}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")
MAGIC_TO = {
    "+15005550001": (21211, "Invalid 'To' Phone Number: {}"),
    "+15005550002": (21612, "The 'To' phone number: {}, is not currently reachable using the 'From' phone number."),
    "+15005550003": (
        21408,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {}",
    ),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number: {}, is not a valid mobile number"),
}
MAGIC_FROM = {
    "+15005550001": (21212, "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    "+15005550007": (
        21606,
        "The 'From' phone number {} is not a valid, SMS-capable inbound phone number or short code for your account.",
    ),
    "+15005550008": (21611, "This 'From' number {} has exceeded the maximum number of queued messages"),
}
ERROR_CODES = {"undelivered": 30003, "failed": 30006}
ERROR_WORDS = {30003: "Unreachable destination handset", 30006: "Landline or unreachable carrier"}


def routes(core: Core) -> list[Route]:
    """Twilio under /twilio."""

    async def create(request: Request) -> Response:
        if refused := _unauthorised(core, request):
            return refused
        form = await request.form()
        refused, to = _check(core, form)
        if refused is not None:
            return refused
        message = _accepted(core, form, to)
        core.accept([message])
        return JSONResponse(_resource(core, message, _first_status(message), None), 201)

    async def read(request: Request) -> Response:
        if refused := _unauthorised(core, request):
            return refused
        sid = request.path_params["message"]
        rows = core.store.rows("select * from message where channel = 'sms' and provider_id = ?", (sid,))
        if not rows:
            return refuse(
                404,
                20404,
                f"The requested resource /{VERSION}/Accounts/{core.keys.twilio_sid}/Messages/{sid}.json was not found",
            )
        return JSONResponse(_read(core, rows[0]))

    async def messages(request: Request) -> Response:
        return _unauthorised(core, request) or JSONResponse(_page(core, request))

    async def account(request: Request) -> Response:
        return _unauthorised(core, request) or JSONResponse(
            {"sid": core.keys.twilio_sid, "friendly_name": "Winback sandbox", "status": "active", "type": "Full"}
        )

    base = f"/{VERSION}/Accounts/{{account}}"
    return [
        Route(f"{base}/Messages.json", misbehaving(core, "sms", create, refuse_for), methods=["POST"]),
        Route(f"{base}/Messages.json", messages, methods=["GET"]),
        Route(f"{base}/Messages/{{message}}.json", read, methods=["GET"]),
        Route(f"{base}.json", account, methods=["GET"]),
    ]


def refuse(status: int, code: int, message: str) -> JSONResponse:
    """An error as Twilio writes it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return JSONResponse(body, status)


def refuse_for(fault: Fault) -> Response:
    """Twilio's own words for a rate limit and for its troubles."""
    if fault.kind == "throttle":
        answer = refuse(429, 20429, "Too Many Requests")
        answer.headers["Retry-After"] = str(fault.retry_after)
        return answer
    return refuse(fault.status, 20500, "An internal server error has occurred")


def _unauthorised(core: Core, request: Request) -> Response | None:
    expected = base64.b64encode(f"{core.keys.twilio_sid}:{core.keys.twilio_token}".encode()).decode()
    given = request.headers.get("authorization", "")
    account = request.path_params["account"].removesuffix(".json")
    if not secrets.compare_digest(given.encode(), f"Basic {expected}".encode()) or account != core.keys.twilio_sid:
        return refuse(401, 20003, "Authenticate")
    return None


def _check(core: Core, form: FormData) -> tuple[Response | None, str]:
    """What Twilio would refuse, and the number the text goes to (the form's, tidied)."""
    to, sender, body = (str(form.get(name) or "") for name in ("To", "From", "Body"))
    service = str(form.get("MessagingServiceSid") or "")
    to = re.sub(r"[\s().-]", "", to)
    if not to:
        return refuse(400, 21604, "A 'To' phone number is required."), to
    if not sender and not service:
        return refuse(400, 21603, "A 'From' phone number is required."), to
    if not body and not form.get("MediaUrl") and not form.get("ContentSid"):
        return refuse(400, 21602, "Message body is required."), to
    if len(body) > MAX_BODY:
        return refuse(400, 21617, "The concatenated message body exceeds the 1600 character limit"), to
    if not _is_phone(to) or core.faults.is_bad("sms", to):
        return refuse(400, 21211, f"Invalid 'To' Phone Number: {to}"), to
    if sender and not SENDER.fullmatch(sender):
        return refuse(400, *_worded(MAGIC_FROM["+15005550001"], sender)), to
    if service and not re.fullmatch(r"MG[0-9a-fA-F]{32}", service):
        return refuse(400, 21701, f"The Messaging Service Sid {service} is invalid."), to
    if sender == to:
        return refuse(400, 21266, "'To' and 'From' number cannot be the same"), to
    for magic, number in ((MAGIC_FROM, sender), (MAGIC_TO, to)):
        if number in magic:
            return refuse(400, *_worded(magic[number], number)), to
    if core.store.suppressed("sms", to, core.now()):
        return refuse(400, *MAGIC_TO["+15005550004"]), to
    return _check_options(form), to


def _check_options(form: FormData) -> Response | None:
    validity = form.get("ValidityPeriod")
    if validity is not None and not (str(validity).isdigit() and 1 <= int(str(validity)) <= MAX_VALIDITY_SECONDS):
        return refuse(
            400, 21624, f"The ValidityPeriod {validity} is invalid: an integer between 1 and {MAX_VALIDITY_SECONDS}"
        )
    callback = str(form.get("StatusCallback") or "")
    if callback:
        parts = urlsplit(callback)
        if parts.scheme not in ("http", "https") or not parts.hostname or "_" in parts.hostname:
            return refuse(400, 21609, f"The 'StatusCallback' URL {callback} is not a valid URL.")
    return None


def _worded(refusal: tuple[int, str], number: str) -> tuple[int, str]:
    code, words = refusal
    return code, words.format(number)


def _is_phone(number: str) -> bool:
    if not E164.fullmatch(number):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:  # a country code that there is not
        return False


def _accepted(core: Core, form: FormData, to: str) -> Accepted:
    at, sid = core.now(), "SM" + secrets.token_hex(16)
    body, sender = str(form.get("Body") or ""), str(form.get("From") or "")
    callback = str(form.get("StatusCallback") or "") or None
    ours = parse_qs(urlsplit(callback).query).get("message_id", [None])[0] if callback else None
    service = str(form.get("MessagingServiceSid") or "") or None
    detail = {
        "from": sender or None,
        "body": body,
        "messaging_service_sid": service,
        "segments": gsm.segments(body),
        "encoding": gsm.encoding(body),
        "validity_period": int(str(form.get("ValidityPeriod") or MAX_VALIDITY_SECONDS)),
        "status_callback": callback,
    }
    common = {
        **{"SmsSid": sid, "MessageSid": sid, "AccountSid": core.keys.twilio_sid, "ApiVersion": VERSION},
        **{"To": to, "From": sender or "+15005550006"},
    }
    if service:
        common["MessagingServiceSid"] = service
    return Accepted(
        channel="sms",
        message_id=ours,
        provider_id=sid,
        request_id=sid,
        recipient=to,
        accepted_at=at,
        received_at=time.time(),
        title=body,
        detail=detail,
        planned=[
            _event(core, common, kind, at + wait, callback) for kind, wait in core.habits.of("sms", to, at).text()
        ],
    )


def _event(core: Core, common: dict[str, str], kind: str, due_at: float, callback: str | None) -> Planned:
    if kind == "stop":
        sid = "SM" + secrets.token_hex(16)
        inbound = {
            **{"ToCountry": "US", "ToState": "", "ToCity": "", "ToZip": "", "FromCountry": "US", "FromState": ""},
            **{"FromCity": "", "FromZip": "", "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received"},
            **{"SmsMessageSid": sid, "SmsSid": sid, "MessageSid": sid, "AccountSid": core.keys.twilio_sid},
            **{"Body": "STOP", "From": common["To"], "To": common["From"], "ApiVersion": VERSION},
        }
        return Planned(kind, due_at, "inbound", inbound)
    body = {**common, "SmsStatus": kind, "MessageStatus": kind}
    if kind in ERROR_CODES:
        body["ErrorCode"] = str(ERROR_CODES[kind])
    if kind in ("delivered", "undelivered"):
        body["RawDlrDoneDate"] = datetime.fromtimestamp(due_at, UTC).strftime("%y%m%d%H%M")
    return Planned(kind, due_at, "twilio", body, callback)


def _resource(core: Core, message: Accepted, status: str, sent_at: float | None) -> dict[str, Any]:
    account, sid, detail = core.keys.twilio_sid, message.provider_id, message.detail
    uri = f"/{VERSION}/Accounts/{account}/Messages/{sid}"
    code = ERROR_CODES.get(status)
    return {
        "account_sid": account,
        "api_version": VERSION,
        "body": detail["body"],
        "date_created": _gmt(message.accepted_at),
        "date_sent": None if sent_at is None else _gmt(sent_at),
        "date_updated": _gmt(sent_at or message.accepted_at),
        "direction": "outbound-api",
        "error_code": code,
        "error_message": ERROR_WORDS.get(code or 0),
        "from": detail["from"],
        "messaging_service_sid": detail["messaging_service_sid"],
        "num_media": "0",
        "num_segments": "0" if detail["messaging_service_sid"] else str(detail["segments"]),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.recipient,
        "uri": f"{uri}.json",
    }


def _read(core: Core, row: sqlite3.Row) -> dict[str, Any]:
    events = core.store.rows(
        "select kind, due_at from event where seq = ? and route = 'twilio' and due_at <= ? order by due_at",
        (row["seq"], core.now()),
    )
    sent = next((event["due_at"] for event in events if event["kind"] == "sent"), None)
    message = Accepted(
        *("sms", row["message_id"], row["provider_id"], row["request_id"], row["recipient"]),
        *(row["accepted_at"], row["received_at"], row["title"]),
        detail=json.loads(row["detail"]),
    )
    return _resource(core, message, events[-1]["kind"] if events else _first_status(message), sent)


def _first_status(message: Accepted) -> str:
    """`accepted` where a messaging service has yet to choose the number, otherwise `queued`."""
    return "accepted" if message.detail["messaging_service_sid"] else "queued"


def _page(core: Core, request: Request) -> dict[str, Any]:
    query = request.query_params
    size = min(max(int(query.get("PageSize") or 50), 1), 1000)
    page = max(int(query.get("Page") or 0), 0)
    where, values = _filters(query)
    rows = core.store.rows(
        f"select * from message where {where} order by seq desc limit ? offset ?",  # noqa: S608 - _filters' own words
        (*values, size + 1, page * size),
    )
    path = f"/{VERSION}/Accounts/{core.keys.twilio_sid}/Messages.json"
    kept = [(name, value) for name, value in query.multi_items() if name not in ("Page", "PageToken", "PageSize")]

    def uri(number: int) -> str:
        return f"{path}?{urlencode([*kept, ('PageSize', size), ('Page', number)])}"

    found = [_read(core, row) for row in rows[:size]]
    return {
        "messages": found,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(found) - 1, 0),
        "uri": uri(page),
        "first_page_uri": uri(0),
        "previous_page_uri": uri(page - 1) if page else None,
        "next_page_uri": uri(page + 1) if len(rows) > size else None,
    }


def _filters(query: QueryParams) -> tuple[str, list[Any]]:
    where, values = ["channel = 'sms'"], list[Any]()
    if query.get("To"):
        where.append("recipient = ?")
        values.append(query["To"])
    if query.get("From"):
        where.append("json_extract(detail, '$.from') = ?")
        values.append(query["From"])
    for name, condition in (("DateSent<", "accepted_at <= ?"), ("DateSent>", "accepted_at >= ?")):
        if query.get(name):
            where.append(condition)
            values.append(_instant(query[name]))
    if query.get("DateSent"):
        start = datetime.fromtimestamp(_instant(query["DateSent"]), UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        where.append("accepted_at >= ? and accepted_at < ?")
        values += [start.timestamp(), start.timestamp() + 86400]
    return " and ".join(where), values


def _instant(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _gmt(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC)).replace("GMT", "+0000")
