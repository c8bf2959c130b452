"""Quiet hours, judged by the providers' clock and Python's own zones: nothing of the product's is used here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import psycopg
import pytz

CAMPAIGN_ZONE, CAMPAIGN_COUNTRY = "America/New_York", "US"
OPENS, CLOSES = time(9), time(20)


def zones_of(timezone: str | None, country: str | None) -> Sequence[str]:
    """Where a person may be: in their own zone, or anywhere in their country; without one, in the campaign's."""
    if timezone in available_timezones():
        return [str(timezone)]
    return list(pytz.country_timezones.get(country or "") or pytz.country_timezones[CAMPAIGN_COUNTRY])


def disturbed(connection: psycopg.Connection, receipts: Sequence[Mapping[str, Any]]) -> int:
    """Texts and notifications that came outside the hours of a zone that their recipient may be in."""
    texts = [receipt for receipt in receipts if receipt["channel"] in ("sms", "webpush")]
    where = {
        address: zones_of(timezone, country)
        for address, timezone, country in connection.execute(
            "select unnest(array[phone, endpoint]), timezone, country"
            " from raw.contacts left join raw.web_push_subscriptions using (contact_id)"
        )
    }
    return sum(
        any(not is_open(datetime.fromisoformat(text["accepted_at"]), zone) for zone in where[text["recipient"]])
        for text in texts
    )


def is_open(instant: datetime, zone: str) -> bool:
    """Whether it is day there."""
    return OPENS <= instant.astimezone(ZoneInfo(zone)).time() < CLOSES
