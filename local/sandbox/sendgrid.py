"""SendGrid: POST /v3/mail/send, and the account endpoints that tell whether a key works."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.sandbox import sendgrid_activity
from local.sandbox import sendgrid_rules as rules
from local.sandbox.core import Core, misbehaving
from local.sandbox.faults import Fault
from local.sandbox.store import Accepted, Planned

LINK = re.compile(r"""href=["'](https?://[^"']+)["']""")
PLAIN_LINK = re.compile(r"https?://[^\s<>\"')\]]+")
NOT_CLICKED = ("unsubscribe", "preferences")
PERSON = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
MACHINE = "Mozilla/5.0"
DROP_REASONS = {
    "bounce": "Bounced Address",
    "unsubscribe": "Unsubscribed Address",
    "spamreport": "Spam Reporting Address",
}


def routes(core: Core) -> list[Route]:
    """SendGrid under /sendgrid."""

    async def send(request: Request) -> Response:
        if refused := _unauthorised(core, request):
            return refused
        raw = await request.body()
        if len(raw) > rules.MAX_BYTES:
            return _refuse(413, rules.error("The JSON payload you have included in your request is too large."))
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _refuse(415, rules.error("Content-Type should be application/json."))
        try:
            mail = json.loads(raw)
        except ValueError:
            return _refuse(400, rules.error("Bad Request"))
        if wrong := _bad_recipients(core, mail) or rules.problems(mail, core.now()):
            return _refuse(400, *wrong)
        if (mail.get("mail_settings") or {}).get("sandbox_mode", {}).get("enable"):
            return Response(status_code=200)
        request_id = secrets.token_urlsafe(16)
        core.accept(_accepted(core, mail, request_id))
        return Response(status_code=202, headers={"X-Message-Id": request_id})

    def reading(answer: Callable[[], dict[str, Any]]) -> Callable[[Request], Any]:
        async def read(request: Request) -> Response:
            return _unauthorised(core, request) or JSONResponse(answer())

        return read

    scopes = ["mail.send", "user.webhooks.event.settings.read", "user.profile.read"]
    webhook = {"enabled": True, "url": f"{core.events_url}/events/sendgrid", "public_key": core.keys.webhook_public}
    return [
        Route("/v3/mail/send", misbehaving(core, "email", send, refuse_for), methods=["POST"]),
        Route("/v3/scopes", reading(lambda: {"scopes": scopes})),
        Route("/v3/user/profile", reading(lambda: {"username": "sandbox", "company": "Winback sandbox"})),
        Route("/v3/user/webhooks/event/settings", reading(lambda: webhook)),
        *sendgrid_activity.routes(core, _unauthorised),
    ]


def refuse_for(fault: Fault) -> Response:
    """SendGrid's own words for a rate limit and for its troubles."""
    if fault.kind == "throttle":
        answer = _refuse(429, rules.error("too many requests"))
        answer.headers["Retry-After"] = str(fault.retry_after)
        answer.headers["X-RateLimit-Remaining"] = "0"
        answer.headers["X-RateLimit-Reset"] = str(int(time.time()) + fault.retry_after)
        return answer
    return _refuse(fault.status, rules.error("Internal Server Error"))


def _refuse(status: int, *errors: rules.Error) -> Response:
    return JSONResponse({"errors": list(errors)}, status)


def _unauthorised(core: Core, request: Request) -> Response | None:
    given = request.headers.get("authorization", "")
    if not given:
        return _refuse(401, rules.error("Permission denied, wrong credentials"))
    if not secrets.compare_digest(given.encode(), f"Bearer {core.keys.sendgrid_key}".encode()):
        return _refuse(401, rules.error("The provided authorization grant is invalid, expired, or revoked"))
    return None


def _bad_recipients(core: Core, mail: Any) -> list[rules.Error]:
    if not any(rule.kind == "bad_recipient" for rule in core.faults.rules) or not isinstance(mail, dict):
        return []
    return [
        rules.error("Does not contain a valid address.", f"personalizations.{number}.to.0.email", "personalizations.to")
        for number, one in enumerate(mail.get("personalizations") or [])
        if core.faults.is_bad("email", str(((one.get("to") or [{}])[0]).get("email")), number)
    ]


def _accepted(core: Core, mail: Mapping[str, Any], request_id: str) -> list[Accepted]:
    shared = {name: mail[name] for name in ("content", "template_id") if name in mail}
    content_id = hashlib.sha256(json.dumps(shared).encode()).hexdigest()
    if core.keep_content:
        core.store.keep_content(content_id, shared)
    accepted, received_at = [], time.time()
    for number, one in enumerate(mail["personalizations"]):
        at = max(core.now(), float(one.get("send_at") or mail.get("send_at") or 0))
        arguments = {**(mail.get("custom_args") or {}), **(one.get("custom_args") or {})}
        values = one.get("substitutions") or {}
        subject = substitute(one.get("subject") or mail.get("subject") or "", values)
        people = [*one["to"], *(one.get("cc") or []), *(one.get("bcc") or [])]
        for place, person in enumerate(people):
            provider_id = f"{request_id}.recvd-7f9d8b6c54-x2x4q-1-{secrets.token_hex(4).upper()}-{number}.{place}"
            message = Accepted(
                channel="email",
                message_id=arguments.get("message_id"),
                provider_id=provider_id,
                request_id=request_id,
                recipient=person["email"],
                accepted_at=at,
                received_at=received_at,
                title=subject or (f"(template {mail['template_id']})" if mail.get("template_id") else ""),
                content_id=content_id,
                detail={
                    "from": one.get("from") or mail["from"],
                    "reply_to": mail.get("reply_to"),
                    "to": person,
                    "headers": {**(mail.get("headers") or {}), **(one.get("headers") or {})},
                    "categories": mail.get("categories") or [],
                    "custom_args": arguments,
                    "substitutions": values if core.keep_content else {},
                    "template_id": mail.get("template_id"),
                    "dynamic_template_data": one.get("dynamic_template_data"),
                },
                planned=_planned(core, {**mail, **one}, arguments, provider_id=provider_id, to=person["email"], at=at),
            )
            accepted.append(message)
    return accepted


def substitute(text: str, values: Mapping[str, str]) -> str:
    """The text with its substitution tags replaced, longest first, each once: a value is not searched for tags."""
    if not values:
        return text
    tags = re.compile("|".join(re.escape(tag) for tag in sorted(values, key=len, reverse=True)))
    return tags.sub(lambda tag: values[tag.group()], text)


def clickable(content: list[dict[str, str]], values: Mapping[str, str]) -> list[str]:
    """The links of a mail that a reader may follow, in order; not those that leave the list."""
    by_kind = {block["type"]: substitute(block["value"], values) for block in content}
    if "text/html" in by_kind:
        links = [html.unescape(link) for link in LINK.findall(by_kind["text/html"])]
    else:
        links = PLAIN_LINK.findall(by_kind.get("text/plain", ""))
    return [link for link in links if not any(word in link for word in NOT_CLICKED)]


def _planned(
    core: Core, mail: Mapping[str, Any], arguments: Mapping[str, str], *, provider_id: str, to: str, at: float
) -> list[Planned]:
    """What comes back for one recipient of `mail` (request and personalization in one)."""
    common: dict[str, Any] = {
        "email": to,
        "smtp-id": f"<{provider_id[:22]}@geopod-ismtpd-1>",
        "sg_message_id": provider_id,
        **arguments,
    }
    if mail.get("categories"):
        common["category"] = mail["categories"]
    if reason := core.store.suppressed("email", to.lower(), at):
        dropped = {"reason": DROP_REASONS[reason], "status": "5.0.0"}
        return [_event(common, "dropped", at + 1, provider_id, dropped)]
    fate = core.habits.of("email", to.lower(), at)
    planned = []
    for kind, wait in fate.email():
        if not _tracked(mail, TRACKED_BY.get(kind)):
            one_click = _one_click(mail.get("headers") or {}) if kind == "unsubscribe" else None
            if one_click:
                planned.append(Planned(kind, at + wait, "one_click", {}, one_click))
            continue
        extra = DETAILS.get(kind, {})
        if kind == "click":
            links = clickable(mail.get("content") or [], mail.get("substitutions") or {})
            if not links:
                continue
            extra = {"url": links[int(fate.share("link") * len(links))], "useragent": PERSON, "ip": "192.0.2.10"}
        planned.append(_event(common, kind, at + wait, provider_id, extra))
    return planned


TRACKED_BY = {
    "open": "open_tracking",
    "machine_open": "open_tracking",
    "click": "click_tracking",
    "unsubscribe": "subscription_tracking",
}


def _tracked(mail: Mapping[str, Any], setting: str | None) -> bool:
    """Whether SendGrid would notice. The account's own settings track opens and clicks, and not subscriptions."""
    if setting is None:
        return True
    given = (mail.get("tracking_settings") or {}).get(setting) or {}
    return bool(given.get("enable", setting != "subscription_tracking"))


def _one_click(headers: Mapping[str, str]) -> str | None:
    """Where a mail service posts when its user presses its own unsubscribe button (RFC 8058); None: it shows none."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("list-unsubscribe-post", "").strip() != "List-Unsubscribe=One-Click":
        return None
    link = re.search(r"<(https?://[^>]+)>", given.get("list-unsubscribe", ""))
    return link.group(1) if link else None


DETAILS: Mapping[str, dict[str, Any]] = {
    "delivered": {"response": "250 2.0.0 OK", "ip": "192.0.2.1", "tls": 1},
    "deferred": {"response": "451 4.7.1 Greylisted, please try again later", "attempt": "1"},
    "bounce": {
        "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
        "status": "5.1.1",
        "type": "bounce",
    },
    "blocked": {"event": "bounce", "reason": "552 5.2.2 The mailbox is full.", "status": "5.2.2", "type": "blocked"},
    "open": {"useragent": PERSON, "ip": "192.0.2.10", "sg_machine_open": False},
    "machine_open": {"event": "open", "useragent": MACHINE, "ip": "192.0.2.20", "sg_machine_open": True},
}


def _event(common: Mapping[str, Any], kind: str, due_at: float, provider_id: str, extra: Mapping[str, Any]) -> Planned:
    digest = hashlib.sha256(f"{provider_id}{kind}".encode()).digest()[:16]
    body = {
        **common,
        "event": kind,
        "timestamp": int(due_at),
        "sg_event_id": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        **extra,
    }
    return Planned(kind, due_at, "sendgrid", body)
