"""What a run needs of the user's tables (docs/BRING_YOUR_DATA.md), and what it does without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql


@dataclass(frozen=True)
class Table:
    """One table of the raw contract."""

    name: str
    needed_for: str
    columns: str
    """Separated by spaces; without one of them the models that read the table do not build."""
    without: str = ""
    """Of a table that may be empty: what a run then does, where that is worth saying."""


TABLES = (
    Table(
        "contacts",
        "who may be written to, where, and with which consent",
        "contact_id email phone first_name country region timezone locale consent_email consent_email_at"
        " consent_email_source consent_email_text_version consent_sms consent_sms_at consent_sms_source"
        " consent_sms_text_version created_at updated_at",
    ),
    Table(
        "orders",
        "when somebody last bought",
        "order_id contact_id ordered_at status total refunded_total currency coupon_code updated_at",
    ),
    Table(
        "coupon_codes",
        "the codes that a step promises",
        "promotion code expires_at loaded_at",
        "steps that promise a code are held",
    ),
    Table(
        "order_items",
        "what somebody bought",
        "order_id line_number product_id quantity unit_price",
        "recommendations are the shop's newest products, whoever they are for",
    ),
    Table(
        "products",
        "what is recommended",
        "product_id name category price image_url product_url in_stock launched_at updated_at",
        "nothing can be recommended",
    ),
    Table(
        "web_push_subscriptions",
        "browsers that agreed to push messages",
        "endpoint contact_id p256dh auth subscribed_at",
        "nobody can be reached by web push",
    ),
    Table(
        "site_visits",
        "activity other than purchases",
        "visit_id contact_id visited_at",
        "visits do not count as activity",
    ),
    Table(
        "engagements",
        "opens and clicks in other systems' mail",
        "engagement_id contact_id kind channel is_machine occurred_at",
        "only opens and clicks of Winback's own messages count",
    ),
    Table(
        "campaign_sends",
        "what other systems have sent and will send",
        "contact_id campaign channel sent_at",
        "the frequency caps count Winback's own messages alone",
    ),
    Table(
        "loads",
        "up to when a load is complete",
        "table_name complete_through",
        "the age of the newest order is checked instead",
    ),
    Table(
        "provider_events",
        "webhooks that came another way",
        "provider received_at headers body",
    ),
)


def names(dbt_project: Path) -> Mapping[str, tuple[str, str]]:
    """Table -> (schema, name) as the dbt variables `raw_schema` and `raw_<table>` have them."""
    from ruamel.yaml import YAML

    file = dbt_project / "dbt_project.yml"
    document: Mapping[str, Any] = YAML(typ="safe", pure=True).load(file) if file.exists() else {}
    variables: Mapping[str, Any] = document.get("vars") or {}
    variables = {**variables, **(variables.get(document.get("name", "")) or {})}
    schema = str(variables.get("raw_schema") or "raw")
    return {table.name: (schema, str(variables.get(f"raw_{table.name}") or table.name)) for table in TABLES}


def missing(connection: psycopg.Connection, where: Mapping[str, tuple[str, str]]) -> list[str]:
    """One sentence for each table or column that is not there or may not be read, with what it is for."""
    problems = []
    for table in TABLES:
        schema, name = where[table.name]
        row = connection.execute(
            "select c.oid, has_table_privilege(c.oid, 'select') from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s",
            [schema, name],
        ).fetchone()
        if row is None:
            problems.append(f"table {schema}.{name} is missing: {table.needed_for}")
            continue
        oid, readable = row
        if not readable:
            problems.append(f"table {schema}.{name} may not be read by winback_dbt: {table.needed_for}")
        there = {
            column
            for (column,) in connection.execute(
                "select attname from pg_attribute where attrelid = %s and attnum > 0 and not attisdropped", [oid]
            )
        }
        problems += [
            f"column {schema}.{name}.{column} is missing: {table.needed_for}"
            for column in table.columns.split()
            if column not in there
        ]
    return problems


def empty(connection: psycopg.Connection, where: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The tables without a row that may be empty -> what a run does without them."""
    found = {}
    for table in TABLES:
        query = sql.SQL("select exists (select from {})").format(sql.Identifier(*where[table.name]))
        row = connection.execute(query).fetchone()
        if table.without and not (row and row[0]):
            found[".".join(where[table.name])] = table.without
    return found
