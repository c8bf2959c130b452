"""A campaign definition in the shape that outbox.definition holds, made by hand: what dbt reads, without the YAML."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_PROMOTIONS = {
    "winback_discount10": {"offer": "10% off your next order", "valid_days": 14, "alert_under_days": 14},
    "winback_discount20": {"offer": "20% off and free shipping", "valid_days": 14, "alert_under_days": 14},
}


def step(key: str, position: int, **changes: Any) -> dict[str, Any]:
    """A clock step by e-mail, changed as told."""
    body: dict[str, Any] = {
        "key": key,
        "position": position,
        "enabled": True,
        "step_days": changes.get("after_days") or 1,
        "renamed_from": None,
        "trigger": "clock",
        "after_days": None,
        "after_step": None,
        "event": None,
        "wait_days": None,
        "no_purchase_days": None,
        "requires": ["consent_email"],
        "channels": ["email"],
        "recommendations": 0,
        "promotion": None,
        "contact_event": None,
        "tag": None,
        "template": key,
        "template_hash": hashlib.sha256(key.encode()).hexdigest(),
        "variables": [],
        "merge_fields": {"shop_name": "Riverside Market", "utm": "utm_source=winback"},
    }
    return body | changes


def recommending(products: int = 3) -> dict[str, Any]:
    """The win-back campaign whose first step shows products."""
    body = winback()
    first, *others = body["steps"]
    return {**body, "steps": [{**first, "recommendations": products}, *others]}


def winback(**changes: Any) -> dict[str, Any]:
    """The win-back campaign of campaigns/winback.yml, changed as told (top-level keys); it shows no products."""
    coupon = {"contact_event": "coupon_assigned"}
    body: dict[str, Any] = {
        "campaign": "winback",
        "title": "We miss you",
        "mode": "live",
        "live_from": None,
        "allowlist": [],
        "enabled": True,
        "clock": "last_purchase",
        "cancelled_by": ["purchase"],
        "timezone": "America/New_York",
        "build_at": "05:00",
        "send_at": "10:00",
        "max_late_days": 3,
        "priority": 10,
        "holdout_percent": 0,
        "caps": {"per_day": 1, "per_7_days": 3},
        "hours": {"email": None, "sms": ["09:00", "20:00"], "webpush": ["09:00", "20:00"]},
        "promotions": _PROMOTIONS,
        "budget": {"messages_per_day": 5000, "grants_per_day": 2000},
        "steps": [
            step("day30", 1, after_days=30),
            step(
                "day30_push",
                2,
                trigger="event",
                after_step="day30",
                event="opened",
                wait_days=3,
                no_purchase_days=4,
                step_days=33,
                requires=[],
                channels=["webpush"],
            ),
            step("day60", 3, after_days=60, channels=["sms", "email"], promotion="winback_discount10",
                 tag="coupon_winback10", **coupon),
            step("day90", 4, after_days=90, promotion="winback_discount20", tag="coupon_winback20", **coupon),
        ],
    }  # fmt: skip
    return body | changes


def reactivation(**changes: Any) -> dict[str, Any]:
    """A campaign that goes by the last activity of any kind and ends in a step that only tags."""
    body = winback(
        campaign="reactivation",
        clock="last_activity",
        cancelled_by=["activity"],
        priority=20,
        promotions={},
        steps=[
            step("first_email", 1, after_days=90),
            step("second_email", 2, trigger="event", after_step="first_email", event="accepted", wait_days=4,
                 step_days=94),
            step("tag", 3, trigger="event", after_step="first_email", event="accepted", wait_days=7, step_days=97,
                 channels=[], requires=[], template=None, template_hash=None,
                 tag="customer_not-active_after-reactivation"),
        ],
    )  # fmt: skip
    return body | changes


def digest(body: dict[str, Any]) -> str:
    """The hash a definition is stored under: SHA-256 of its canonical JSON."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
