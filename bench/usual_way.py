"""Against the usual way: who was quiet for 30, 60 and 90 days, from a day's orders or from every customer's whole past.

The usual way is the `customers` model of every dbt tutorial: first and last order, count and total of each customer,
over all orders. Finding the cohorts in it afterwards is not counted. It runs as one bare statement; ours runs through
dbt, with every model that the cohorts stand on and all that dbt asks of the database meanwhile.
"""

from __future__ import annotations

import psycopg

from bench.days import LARGE, REPETITIONS, select, shop
from bench.measure import Figure, database_time, median, spread

LIMIT = 20.0
COHORTS = ("+dormant_at_30", "+dormant_at_60", "+dormant_at_90")
USUAL = """
create table customers as
select contact_id, min(ordered_at) as first_order_at, max(ordered_at) as last_order_at, count(*) as orders,
    sum(total) as total
from raw.orders
where status <> 'cancelled'
group by contact_id
"""
COHORTS_IN_IT = """
select %(as_of)s::date - (last_order_at at time zone 'America/New_York')::date as days, count(*)
from customers
where last_order_at > %(as_of)s::date - 92
group by 1
having %(as_of)s::date - (last_order_at at time zone 'America/New_York')::date in (30, 60, 90)
order by 1
"""
OUR_COHORTS = """
select days, count(*) from (
    select 30 as days, as_of from cohorts.dormant_at_30
    union all select 60, as_of from cohorts.dormant_at_60
    union all select 90, as_of from cohorts.dormant_at_90
) found
where as_of = %(as_of)s group by 1 order by 1
"""


def run(quick: bool) -> list[Figure]:
    """Database time of the usual model over that of our cohort models."""
    it = shop(LARGE, quick)
    as_of = {"as_of": it.today}
    ours, usual = [], []
    with psycopg.connect(it.url, autocommit=True) as connection:
        for _ in range(REPETITIONS):
            ours.append(select(it.url, *COHORTS).total)
            with database_time(it.url) as spent:
                connection.execute(USUAL)
            usual.append(spent.total)
            found = connection.execute(COHORTS_IN_IT, as_of).fetchall()
            same = connection.execute(OUR_COHORTS, as_of).fetchall()
            assert found == same, f"the two ways disagree: {found} and {same}"
            connection.execute("drop table customers")
    return [
        Figure(
            "cohorts of a day: the usual way over ours",
            median(usual) / median(ours),
            LIMIT,
            at_least=True,
            measured={
                "orders": it.orders,
                "contacts by days away": dict(found),
                "usual way, database seconds": spread(usual),
                "ours, database seconds": spread(ours),
            },
            summary=f"{median(usual):.2f} s and {median(ours):.2f} s, {it.orders:,} orders",
        )
    ]
