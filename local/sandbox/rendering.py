"""A stored message as its recipient sees it: substitutions made, pictures from this machine, nothing from outside."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from typing import Any

from local.sandbox.sendgrid import substitute
from local.sandbox.store import Store

PICTURE = re.compile(r"https://assets\.[a-z0-9.-]+/products/([A-Za-z0-9_-]+)\.svg")
HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
UNSEEN = re.compile(r"<(style|script|title|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]+>", re.IGNORECASE | re.DOTALL)
CONTENT_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; font-src data:; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""No script, no picture from elsewhere: what a mail refers to is never asked for."""
PREVIEW_CHARACTERS = 160


def parts(store: Store, row: sqlite3.Row) -> dict[str, str]:
    """The parts of an e-mail by MIME type, substitutions made; empty when its content was not kept. Of a dynamic
    template, which SendGrid alone has, the values that it is given."""
    detail = json.loads(row["detail"])
    if detail.get("template_id"):
        given = "\n".join(f"{name}: {value}" for name, value in (detail.get("dynamic_template_data") or {}).items())
        return {"text/plain": f"SendGrid makes this mail of its template {detail['template_id']} and of:\n\n{given}"}
    body = store.value("select body from content where content_id = ?", (row["content_id"],))
    values = detail.get("substitutions") or {}
    blocks = json.loads(body).get("content") or [] if body else []
    return {block["type"]: substitute(block["value"], values) for block in blocks}


def page(source: str) -> str:
    """An e-mail's HTML for a frame: links open outside it, product pictures are the sandbox's own."""
    shown = PICTURE.sub(r"/assets/products/\1.svg", source)
    extra = '<meta name="viewport" content="width=device-width"><base target="_blank">'
    if HEAD.search(shown):
        return HEAD.sub(lambda head: head.group() + extra, shown, count=1)
    return extra + shown


def preview(content: dict[str, str]) -> str:
    """What a mail client shows beside the subject: the beginning of the text, the preheader first."""
    source = content.get("text/html")
    text = html.unescape(UNSEEN.sub(" ", source)) if source else content.get("text/plain", "")
    text = re.sub(r"[\s\u200b\u200c\u200d\u00ad\u034f\ufeff\u2007]+", " ", text).strip()
    return text[:PREVIEW_CHARACTERS]


def headers(row: sqlite3.Row, day: str) -> list[tuple[str, str]]:
    """The headers of an e-mail as they would arrive."""
    detail: dict[str, Any] = json.loads(row["detail"])
    shown = [
        ("From", mailbox(detail["from"])),
        ("To", mailbox(detail["to"])),
        ("Subject", row["title"]),
        ("Date", day),
        ("Message-ID", f"<{row['provider_id'][:22]}@geopod-ismtpd-1>"),
    ]
    if detail.get("reply_to"):
        shown.append(("Reply-To", mailbox(detail["reply_to"])))
    shown += sorted(detail["headers"].items())
    if detail.get("categories"):
        shown.append(("SendGrid: categories", ", ".join(detail["categories"])))
    shown += [(f"SendGrid: {name}", value) for name, value in sorted(detail["custom_args"].items())]
    return shown


def mailbox(person: dict[str, str]) -> str:
    """`Name <address>`."""
    return f"{person['name']} <{person['email']}>" if person.get("name") else person["email"]
