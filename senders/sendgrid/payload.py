"""Messages into the JSON of `/v3/mail/send`: one map of substitutions serves text and HTML, or a dynamic template does.

A value stands in the map twice, plain for the text part and escaped for HTML. The keys carry a mark that occurs nowhere
in the template or in any value, so that neither can be mistaken for a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any

from senders import render
from senders.contract import Message, Rejected

SUBSTITUTION_BYTES = 10_000
"""SendGrid's limit a personalization; a message beyond it goes alone, with its content filled in here."""
WIDEST = 4 + 6
"""Bytes that a character of a value takes at most: as it is, in UTF-8, and escaped (`&quot;`)."""
KEYS = 2 * len("-wb.text.-")
"""Bytes that a value's two keys add to twice its name."""


@dataclass(frozen=True)
class Settings:
    """What a campaign's definition says about its e-mail."""

    from_address: str
    from_name: str
    reply_to: str
    dynamic_templates: Mapping[str, str] = field(default_factory=dict)
    """Step -> SendGrid's template id, for the steps that name one."""


def check(message: Message, settings: Settings) -> None:
    """Raises `Rejected` for what must not be sent: no address, no content, no way to unsubscribe, a hole."""
    if not message.recipient.email:
        raise Rejected("The message has no e-mail address.", code="no_address")
    if not message.unsubscribe_url:
        raise Rejected("The message has no link to unsubscribe.", code="no_unsubscribe")
    template = message.template
    if message.step in settings.dynamic_templates:
        return
    if not template.subject or not (template.html or template.text):
        raise Rejected(f"Template {template.template_hash[:12]} has no subject or no e-mail content.", code="template")
    render.check((template.subject, template.text or "", template.html or ""), message.fields)


def build(messages: Sequence[Message], settings: Settings) -> dict[str, Any]:
    """One request for messages of one campaign, step and template, each to another address."""
    first = messages[0]
    payload: dict[str, Any] = {
        "from": {"email": settings.from_address, "name": settings.from_name},
        "reply_to": {"email": settings.reply_to},
        "categories": list(dict.fromkeys((first.campaign, first.step))),  # none twice
        "tracking_settings": {
            "click_tracking": {"enable": True, "enable_text": False},
            "open_tracking": {"enable": True},
            "subscription_tracking": {"enable": False},
        },
    }
    personalizations = [_person(message) for message in messages]
    dynamic = settings.dynamic_templates.get(first.step)
    if dynamic:
        payload["template_id"] = dynamic
        for person, message in zip(personalizations, messages, strict=True):
            person["dynamic_template_data"] = {**message.fields, "unsubscribe_url": message.unsubscribe_url}
    else:
        for person, message in zip(personalizations, messages, strict=True):
            subject = render.render_text(first.template.subject or "", message.fields)
            person["subject"] = render.one_line(subject)
        alone = len(messages) == 1
        payload["content"] = _filled(first) if alone else _substituted(messages, personalizations)
    payload["personalizations"] = personalizations
    return payload


def is_oversized(message: Message) -> bool:
    """Whether its substitutions exceed what SendGrid takes, so that it has to go alone."""
    names = _names(message)
    if sum(WIDEST * len(message.fields.get(name, "")) + 2 * len(name) + KEYS for name in names) <= SUBSTITUTION_BYTES:
        return False
    found = _map("-wb", names, message)
    return sum(len(key.encode()) + len(text.encode()) for key, text in found.items()) > SUBSTITUTION_BYTES


def _person(message: Message) -> dict[str, Any]:
    return {
        "to": [{"email": (message.recipient.email or "").strip()}],
        "custom_args": {"message_id": str(message.message_id)},
        "headers": {
            "List-Unsubscribe": f"<{message.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    }


def _filled(message: Message) -> list[dict[str, str]]:
    template = message.template
    return _parts(
        render.render_text(template.text or "", message.fields), render.render_html(template.html or "", message.fields)
    )


def _substituted(messages: Sequence[Message], personalizations: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The content with a mark for each value that differs between recipients; what they share is filled in."""
    template = messages[0].template
    names = _names(messages[0])
    values = {name: {render.value(name, message.fields) for message in messages} for name in names}
    shared = {name: min(found) for name, found in values.items() if len(found) == 1}
    own = [name for name in names if name not in shared]

    def content(key: Callable[[str, str], str]) -> tuple[str, str]:
        return (
            render.fill(template.text or "", lambda name: shared.get(name) or key("text", name)),
            render.fill(
                template.html or "",
                lambda name: render.escaped(shared[name]) if name in shared else key("html", name),
            ),
        )

    texts = (*content(lambda *_: "\0"), *(found for name in own for found in values[name]))
    mark = next(mark for number in count() if not any((mark := f"-wb{number or ''}") in text for text in texts))
    for person, message in zip(personalizations, messages, strict=True):
        person["substitutions"] = _map(mark, own, message)
    return _parts(*content(lambda kind, name: f"{mark}.{kind}.{name}-"))


def _names(message: Message) -> tuple[str, ...]:
    return _names_of(message.template.text or "", message.template.html or "")


@lru_cache(maxsize=256)
def _names_of(text: str, html: str) -> tuple[str, ...]:
    return render.variables(f"{text}{html}")


def _map(mark: str, names: Sequence[str], message: Message) -> dict[str, str]:
    plain = {name: render.value(name, message.fields) for name in names}
    text = {f"{mark}.text.{name}-": found for name, found in plain.items()}
    return text | {f"{mark}.html.{name}-": render.escaped(found) for name, found in plain.items()}


def _parts(text: str, html: str) -> list[dict[str, str]]:
    """SendGrid wants the plain part first, and none empty."""
    parts = (("text/plain", text), ("text/html", html))
    return [{"type": kind, "value": content} for kind, content in parts if content]
