"""A small shop for tests that run whole days through the real verbs, and what they compare: people due on each of the
three clock steps on two days, four products to recommend, and a pool too small."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from tests.integration.dbt_days import at, codes, contact, insert, order

CAMPAIGNS = Path(__file__).resolve().parents[2] / "campaigns"
CAPS = "caps:\n  per_day: 1\n  per_7_days: 3\n"
FIRST, SECOND = "2017-10-01", "2017-10-02"
CODES = 3
"""In the pool of day 60 on the first day: fewer than the people who are due."""

LEDGER = {
    "messages": "select contact_id, step, episode_on::text, state from outbox.message order by 1, 2, 3, 4",
    "attempts": "select message_id::text, attempt_no, outcome from outbox.attempt order by 1, 2",
    "grants": "select code, contact_id, step, released_at::text from outbox.coupon_grant order by 1, 2, 3",
    "events": "select contact_id, name, caused_by::text from outbox.contact_event order by 1, 2, 3",
    "tags": "select contact_id, tag, removed_at::text from outbox.contact_tag order by 1, 2, 3",
    "notices": "select kind, subject, on_day::text, state from outbox.notice order by 1, 2, 3",
}
"""What a day that is run again must leave as it is."""


def fill(connection: psycopg.Connection) -> None:
    """The shop's products, people, orders and codes, vouched for by its loader."""
    for number, name in enumerate(("coffee", "milk", "bread", "apples")):
        insert(
            connection, "raw.products", product_id=name, name=name.capitalize(), category=f"Aisle {number}", price=2.5,
            image_url=f"https://assets.example.com/{name}.png", product_url=f"https://shop.example.com/{name}",
            in_stock=True, updated_at=at("2016-01-01"),
        )  # fmt: skip
    for step, days in {
        "day30": ("2017-09-01", "2017-09-02"),
        "day60": ("2017-08-02", "2017-08-03"),
        "day90": ("2017-07-03", "2017-07-04"),
    }.items():
        for day in days:
            for number in range(8):
                contact_id = f"{step}-{day}-{number}"
                contact(connection, contact_id)
                order(connection, f"o-{contact_id}", contact_id, at(day))
                insert(
                    connection, "raw.order_items", order_id=f"o-{contact_id}", line_number=1, product_id="coffee",
                    quantity=1, unit_price=2.5,
                )  # fmt: skip
    for table in ("orders", "contacts", "engagements"):
        insert(connection, "raw.loads", table_name=table, complete_through=at(SECOND))
    codes(connection, "winback_discount10", CODES)
    codes(connection, "winback_discount20", 200)


def uncapped(folder: Path) -> Path:
    """The campaigns in `folder`, without their frequency caps: whoever was written to today would be held by those
    alone, and a second message that nothing else prevents would never show."""
    shutil.copytree(CAMPAIGNS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (folder / "winback.yml").read_text()
    assert CAPS in text
    (folder / "winback.yml").write_text(text.replace(CAPS, "caps:\n  per_day: 50\n  per_7_days: 50\n"))
    return folder
