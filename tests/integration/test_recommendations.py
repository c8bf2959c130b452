"""Recommendations, built by dbt for the day's cohort on hand-made purchases in a real database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import pytest

from tests.integration import dbt_days
from tests.integration.dbt_days import at, insert, rows
from tests.integration.dbt_definition import recommending
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

AISLES = {
    "coffee": "Drinks",
    "tea": "Drinks",
    "milk": "Dairy",
    "cheese": "Dairy",
    "bread": "Bakery",
    "rolls": "Bakery",
    "salt": "Spices",
    "apples": "Fruit",
}


def product(connection: psycopg.Connection, product_id: str, category: str, **changes: Any) -> None:
    """A product in stock, with a picture and a page."""
    row = {
        "product_id": product_id,
        "name": product_id.capitalize(),
        "category": category,
        "price": 2.5,
        "image_url": f"https://assets.example.com/{product_id}.png",
        "product_url": f"https://shop.example.com/{product_id}",
        "in_stock": True,
        "updated_at": at("2016-01-01"),
    }
    insert(connection, "raw.products", **(row | changes))


def basket(
    connection: psycopg.Connection, order_id: str, contact_id: str, day: str, *products: str, **changes: Any
) -> None:
    """An order at noon with one of each product."""
    dbt_days.order(connection, order_id, contact_id, at(day), **changes)
    for number, product_id in enumerate(products, start=1):
        insert(
            connection,
            "raw.order_items",
            order_id=order_id,
            line_number=number,
            product_id=product_id,
            quantity=1,
            unit_price=2.5,
        )


def stock(connection: psycopg.Connection) -> None:
    """The shelves; ann buys coffee each time and left on September 1, `new` left then too and has no lines."""
    for product_id, category in AISLES.items():
        product(connection, product_id, category)
    product(connection, "wine", "Cellar", in_stock=False)
    product(connection, "batteries", "Household", image_url=None)
    product(connection, "candles", "Household", product_url="")
    product(connection, "pumpkins", "Fruit", launched_at=at("2017-10-15"))
    for contact_id in ("ann", "new", "shopper"):
        dbt_days.contact(connection, contact_id)
    basket(connection, "ann-1", "ann", "2017-08-20", "coffee", "wine", "batteries")
    basket(connection, "ann-2", "ann", "2017-09-01", "coffee")
    basket(connection, "new-1", "new", "2017-09-01")


def crowd(connection: psycopg.Connection) -> None:
    """What others bought in September: milk with coffee, bread most of all that can be shown, and more that cannot."""
    hidden = ("wine", "batteries", "candles", "pumpkins")
    for number in range(1, 7):
        basket(connection, f"with-{number}", "shopper", f"2017-09-{number + 9}", "coffee", "milk", *hidden)
    for number in range(1, 10):
        basket(connection, f"bread-{number}", "shopper", f"2017-09-{number + 15}", "bread", "candles", "pumpkins")
    for number in range(1, 9):
        basket(connection, f"rolls-{number}", "shopper", f"2017-09-{number + 15}", "rolls")
    basket(connection, "fruit", "shopper", "2017-09-20", "apples", "salt")


def recommended() -> dict[str, list[str]]:
    """contact -> the products of the message, in order."""
    return dict(rows("select contact_id, product_ids from customers.int_recommendations"))


def build() -> None:
    """What recommendations need, tests on data included."""
    dbt_days.build("--indirect-selection", "cautious", "--select", "+int_recommendations")


def test_a_day_recommends_what_can_be_bought_and_leaves_nobody_without_three(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        stock(connection)
        crowd(connection)
        basket(connection, "later", "shopper", "2017-10-01", "salt")
        dbt_days.begin(connection, "2017-10-01", definitions=[recommending()])
    build()
    found = recommended()
    # Coffee she keeps buying, milk goes with it, and a bestseller fills the gap: bread, not the rolls of its shelf.
    assert found["ann"] == ["coffee", "milk", "bread"]
    assert rows("select kinds from customers.int_recommendations where contact_id = 'ann'") == [
        (["favorite", "companion", "bestseller"],)
    ]
    # Nothing is known of `new`: the bestsellers of three shelves; coffee and milk sold equally, so the name decides.
    assert found["new"] == ["bread", "coffee", "milk"]
    shown = {product_id for products in found.values() for product_id in products}
    assert not shown & {"wine", "batteries", "candles", "pumpkins"}
    fields: Mapping[str, str] = rows("select merge_fields from customers.int_recommendations where contact_id = 'ann'")[
        0
    ][0]
    assert len(fields) == 15
    assert fields["rec1_name"] == "Coffee"
    assert fields["rec1_price"] == "$2.50"
    assert fields["rec2_url"] == "https://shop.example.com/milk?utm_source=winback"


def test_a_day_that_follows_counts_only_what_changed_and_agrees_with_a_rebuild(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        stock(connection)
        crowd(connection)
        dbt_days.begin(connection, "2017-10-01", definitions=[recommending()])
    build()
    with connect(Role.OWNER) as connection:
        # Between the two days: an order that came late, one that was cancelled, and a sale of the first day itself.
        basket(connection, "late", "shopper", "2017-09-12", "coffee", "salt", updated_at=at("2017-10-01", "20:00"))
        connection.execute(
            "update raw.orders set status = 'cancelled', updated_at = %s where order_id = 'bread-1'",
            [at("2017-10-01", "21:00")],
        )
        basket(connection, "sunday", "shopper", "2017-10-01", "apples")
        dbt_days.begin(connection, "2017-10-02", definitions=[recommending()])
    build()
    sales = (
        "select order_id, product_id, sold_on from customers.int_product_sales where order_id is not null order by 1, 2"
    )
    counts = """select product_id, sold_on, orders from customers.int_bestsellers_daily
        where sold_on > '2017-09-03' order by sold_on, product_id"""
    best = "select product_id, rank, orders from customers.int_bestsellers order by rank"
    followed = [rows(query) for query in (sales, counts, best)]
    orders = {order_id for order_id, _, _ in followed[0]}
    assert {"late", "sunday"} <= orders
    assert "bread-1" not in orders
    recounted = rows(
        "select distinct sold_on::text from customers.int_product_sales where known_at > %s order by 1",
        at("2017-10-02", "00:00"),
    )
    assert recounted == [("2017-09-12",), ("2017-09-16",), ("2017-10-01",)]
    dbt_days.build("--indirect-selection", "cautious", "--select", "+int_recommendations", "--full-refresh")
    assert [rows(query) for query in (sales, counts, best)] == followed


def test_days_without_a_sale_still_fill_a_mail_from_the_newest_products(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        stock(connection)
        connection.execute("delete from raw.order_items")
        for number, product_id in enumerate(("tea", "cheese", "rolls", "salt")):
            connection.execute(
                "update raw.products set launched_at = %s where product_id = %s",
                [at(f"2017-0{number + 1}-01"), product_id],
            )
        dbt_days.begin(connection, "2017-10-01", definitions=[recommending()])
    build()
    found = recommended()
    assert sorted(found) == ["ann", "new"]
    assert found["ann"] == found["new"]
    assert len(found["ann"]) == 3
    assert len({AISLES[product_id] for product_id in found["ann"]}) == 3


def test_prices_of_a_shop_with_two_currencies_go_without_a_symbol(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        stock(connection)
        crowd(connection)
        basket(connection, "euro", "shopper", "2017-09-20", "apples", currency="EUR")
        dbt_days.begin(connection, "2017-10-01", definitions=[recommending()])
    build()
    assert rows("select distinct merge_fields ->> 'rec1_price' from customers.int_recommendations") == [("2.50",)]
