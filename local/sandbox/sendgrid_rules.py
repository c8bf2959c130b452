"""What SendGrid's v3 Mail Send refuses: its documented limits, in its own words.

Sources: Twilio SendGrid's API reference, "Mail Send" (parameters, errors, limitations) and "Substitution tags". Of
duplicates it says: unique between to, cc and bcc of a personalization, and included only once over all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
MAX_PERSONALIZATIONS = MAX_RECIPIENTS = 1000
MAX_BYTES = 30 * 1024 * 1024
MAX_ARGUMENT_BYTES = MAX_SUBSTITUTION_BYTES = 10_000
MAX_SCHEDULE_SECONDS = 72 * 3600
RESERVED_HEADERS = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)
FIELDS = frozenset(
    {"personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "template_id"}
    | {"sections", "headers", "categories", "custom_args", "send_at", "batch_id", "asm", "ip_pool_name"}
    | {"mail_settings", "tracking_settings"}
)
ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+"
)

Error = dict[str, Any]


def error(message: str, where: str | None = None, topic: str | None = None) -> Error:
    """One entry of `errors`."""
    return {"message": message, "field": where, "help": f"{HELP}#message.{topic}" if topic else None}


def is_address(value: object) -> bool:
    """Whether SendGrid would take it for an e-mail address."""
    if not isinstance(value, str) or len(value) > 254 or ".." in value or value.startswith(".") or ".@" in value:
        return False
    return ADDRESS.fullmatch(value) is not None


def problems(mail: object, now: float) -> list[Error]:
    """Everything wrong with a request body; empty when SendGrid would answer 202. `now`: epoch seconds."""
    if not isinstance(mail, dict):
        return [error(f"Invalid type. Expected: object, given: {_type(mail)}.")]
    return list(_problems(mail, now))


def _problems(mail: Mapping[str, Any], now: float) -> Iterator[Error]:
    for name in sorted(set(mail) - FIELDS):
        yield error(f"Additional property {name} is not allowed", name)
    yield from _personalizations(mail, now)
    yield from _sender(mail)
    yield from _subject(mail)
    yield from _content(mail)
    yield from _headers(mail.get("headers"), "headers")
    yield from _categories(mail.get("categories"))
    yield from _arguments(mail.get("custom_args"), "custom_args", "custom_args")
    yield from _schedule(mail.get("send_at"), "send_at", now)
    template = mail.get("template_id")
    if template is not None and (not isinstance(template, str) or not template):
        yield error("The template_id must be a string.", "template_id", "template_id")


def _personalizations(mail: Mapping[str, Any], now: float) -> Iterator[Error]:
    many = mail.get("personalizations")
    if not isinstance(many, list) or not many:
        yield error(
            "The personalizations field is required and must have at least one personalization.",
            *("personalizations", "personalizations"),
        )
        return
    if len(many) > MAX_PERSONALIZATIONS:
        yield error(
            "The personalization block is limited to 1000 personalizations per API request. "
            f"You have provided {len(many)} personalizations. Please consider splitting this into multiple requests "
            "and resending your request.",
            *("personalizations", "personalizations"),
        )
        return
    dynamic = str(mail.get("template_id") or "").startswith("d-")
    seen: set[str] = set()
    total = 0
    for number, one in enumerate(many):
        where = f"personalizations.{number}"
        if not isinstance(one, dict):
            yield error(f"Invalid type. Expected: object, given: {_type(one)}.", where, "personalizations")
            continue
        total += sum(len(one[kind]) for kind in ("to", "cc", "bcc") if isinstance(one.get(kind), list))
        yield from _recipients(one, where, seen)
        yield from _values(one, where, dynamic)
        yield from _headers(one.get("headers"), f"{where}.headers")
        yield from _arguments(one.get("custom_args"), f"{where}.custom_args", "personalizations.custom_args")
        yield from _schedule(one.get("send_at"), f"{where}.send_at", now)
    if total > MAX_RECIPIENTS:
        yield error(
            "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
            "personalizations",
            "personalizations",
        )


def _recipients(one: Mapping[str, Any], where: str, seen: set[str]) -> Iterator[Error]:
    if not isinstance(one.get("to"), list) or not one["to"]:
        yield error(
            "The to array is required for all personalization objects, and must have at least one email object with a "
            "valid email address.",
            *(f"{where}.to", "personalizations.to"),
        )
    here: set[str] = set()
    for kind in ("to", "cc", "bcc"):
        for place, person in enumerate(one.get(kind) or []):
            address = person.get("email") if isinstance(person, dict) else None
            if not is_address(address):
                yield error(
                    "Does not contain a valid address.", f"{where}.{kind}.{place}.email", f"personalizations.{kind}"
                )
                continue
            known = str(address).lower()
            if known in here:
                yield error(
                    "Each email address in the personalization block should be unique between to, cc, and bcc. We "
                    f"found the first duplicate instance of [{address}] in the {where}.{kind} field.",
                    *(where, "recipient-errors"),
                )
            elif known in seen:
                yield error(
                    "Each unique email address in the personalizations array should only be included once. You have "
                    f"included [{address}] more than once.",
                    *("personalizations", "personalizations"),
                )
            here.add(known)
            if any(mark in str(person.get("name") or "") for mark in ";,"):
                yield error(
                    "The name cannot include the ; or , characters.",
                    f"{where}.{kind}.{place}.name",
                    f"personalizations.{kind}",
                )
    seen |= here


def _values(one: Mapping[str, Any], where: str, dynamic: bool) -> Iterator[Error]:
    substitutions, data = one.get("substitutions"), one.get("dynamic_template_data")
    if substitutions is not None:
        topic = ("personalizations.substitutions",)
        if not isinstance(substitutions, dict):
            yield error(
                f"Invalid type. Expected: object, given: {_type(substitutions)}.", f"{where}.substitutions", *topic
            )
        elif dynamic:
            yield error("Substitutions may not be used with dynamic templating", f"{where}.substitutions", *topic)
        else:
            for key, value in substitutions.items():
                if not isinstance(value, str):
                    yield error("The substitutions values must be strings.", f"{where}.substitutions.{key}", *topic)
            if _size(substitutions) > MAX_SUBSTITUTION_BYTES:
                yield error(
                    "Substitutions are limited to 10000 bytes per personalization block.",
                    f"{where}.substitutions",
                    *topic,
                )
    if data is not None and not dynamic:
        yield error(
            "dynamic_template_data can only be used with a dynamic template: a template_id that begins with d-.",
            *(f"{where}.dynamic_template_data", "personalizations.dynamic_template_data"),
        )
    subject = one.get("subject")
    if subject is not None and (not isinstance(subject, str) or not subject):
        yield error(
            "The subject must be a string at least one character in length.",
            f"{where}.subject",
            "personalizations.subject",
        )


def _sender(mail: Mapping[str, Any]) -> Iterator[Error]:
    sender = mail.get("from")
    if not isinstance(sender, dict) or not sender.get("email"):
        yield error(
            "The from object must be provided for every email send. It is an object that requires the email parameter, "
            "but may also contain a name parameter.",
            "from.email",
            "from",
        )
    elif not is_address(sender["email"]):
        yield error("The from email does not contain a valid address.", "from.email", "from")
    if mail.get("reply_to") is not None and mail.get("reply_to_list") is not None:
        yield error("You can either choose to use reply_to or reply_to_list, but not both.", "reply_to", "reply_to")
    reply = mail.get("reply_to")
    if reply is not None and not (isinstance(reply, dict) and is_address(reply.get("email"))):
        yield error("The reply_to email does not contain a valid address.", "reply_to.email", "reply_to")


def _subject(mail: Mapping[str, Any]) -> Iterator[Error]:
    subject, many = mail.get("subject"), mail.get("personalizations")
    if isinstance(subject, str) and subject:
        return
    everywhere = isinstance(many, list) and many and all(isinstance(one, dict) and one.get("subject") for one in many)
    if subject is None and (everywhere or mail.get("template_id")):
        return
    yield error(
        "The subject is required. You can get around this requirement if you use a template with a subject defined or "
        "if every personalization has a subject defined.",
        *("subject", "subject"),
    )


def _content(mail: Mapping[str, Any]) -> Iterator[Error]:
    content = mail.get("content")
    if content is None and mail.get("template_id"):
        return
    if not isinstance(content, list) or not content:
        yield error(
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
            "defined content block. We typically suggest both text/plain and text/html blocks are included, but only "
            "one block is required.",
            *("content", "content"),
        )
        return
    kinds = []
    for number, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        value = block.get("value") if isinstance(block, dict) else None
        kinds.append(kind)
        if not isinstance(kind, str) or not kind:
            yield error(
                "The content type must be a string at least one character in length.",
                f"content.{number}.type",
                "content.type",
            )
        elif any(mark in kind for mark in ";\r\n"):
            yield error(
                "The content type cannot contain ';', or CRLF characters.", f"content.{number}.type", "content.type"
            )
        if not isinstance(value, str) or not value:
            yield error(
                "The content value must be a string at least one character in length.",
                f"content.{number}.value",
                "content.value",
            )
    order = [kind for kind in ("text/plain", "text/html") if kind in kinds]
    if kinds[: len(order)] != order or len(kinds) != len(set(kinds)):
        yield error(
            "If present, text/plain and text/html may only be provided once, and must be the first in the content "
            "array: text/plain first, followed by text/html, then any other type.",
            *("content", "content"),
        )


def _headers(headers: object, where: str) -> Iterator[Error]:
    if headers is None:
        return
    if not isinstance(headers, dict):
        yield error(f"Invalid type. Expected: object, given: {_type(headers)}.", where, "headers")
        return
    for name, value in headers.items():
        if name.lower() in RESERVED_HEADERS:
            yield error(f"The header {name} is reserved and may not be set.", f"{where}.{name}", "headers")
        if not isinstance(value, str):
            yield error("The headers values must be strings.", f"{where}.{name}", "headers")
        elif not f"{name}{value}".isascii():
            yield error("Headers must be encoded when they contain unicode characters.", f"{where}.{name}", "headers")


def _categories(categories: object) -> Iterator[Error]:
    if categories is None:
        return
    if not isinstance(categories, list) or not all(isinstance(one, str) for one in categories):
        yield error("The category parameter must be an array of strings.", "categories", "categories")
        return
    if len(categories) > 10:
        yield error("You may not have more than 10 categories per request.", "categories", "categories")
    if len(categories) != len(set(categories)):
        yield error("The categories must be unique.", "categories", "categories")
    if any(len(one) > 255 for one in categories):
        yield error("Each category name may not exceed 255 characters.", "categories", "categories")


def _arguments(arguments: object, where: str, topic: str) -> Iterator[Error]:
    if arguments is None:
        return
    if not isinstance(arguments, dict):
        yield error(f"Invalid type. Expected: object, given: {_type(arguments)}.", where, topic)
        return
    for name, value in arguments.items():
        if not isinstance(value, str):
            yield error("The custom_args values must be strings.", f"{where}.{name}", topic)
    if _size(arguments) > MAX_ARGUMENT_BYTES:
        yield error("The total length of custom_args must be less than 10000 bytes.", where, topic)


def _schedule(instant: object, where: str, now: float) -> Iterator[Error]:
    if instant is None:
        return
    if not isinstance(instant, int) or isinstance(instant, bool):
        yield error("The send_at parameter must be a unix timestamp.", where, "send_at")
    elif instant > now + MAX_SCHEDULE_SECONDS:
        yield error("Scheduling more than 72 hours in advance is forbidden.", where, "send_at")


def _size(values: Mapping[str, Any]) -> int:
    return sum(len(str(key).encode()) + len(str(value).encode()) for key, value in values.items())


def _type(value: object) -> str:
    names = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
        type(None): "null",
    }
    return names.get(type(value), "unknown")
