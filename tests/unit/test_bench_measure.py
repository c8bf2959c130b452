"""What a benchmark says about a statement and a figure."""

from __future__ import annotations

import pytest

from bench.measure import Figure, written


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ('create table "db"."cohorts"."int_candidates__dbt_tmp" as ( select 1 )', "int_candidates"),
        ('insert into "db"."cohorts"."fct_decisions" ("a") ( select "a" from "x__dbt_tmp1" )', "fct_decisions"),
        ('create temporary table "fct_purchases__dbt_tmp120913" as ( select 1 )', "fct_purchases"),
        ('create index if not exists "0a1b" on "db"."customers"."int_reachability" (contact_id)', "int_reachability"),
        ('drop table if exists "db"."cohorts"."int_windows__dbt_backup" cascade', "int_windows"),
        ('select count(*) from "db"."cohorts"."fct_decisions"', ""),
        ("commit", ""),
    ],
)
def test_a_statement_belongs_to_the_relation_that_it_writes(text: str, relation: str) -> None:
    assert written(text) == relation


def test_a_figure_is_held_to_its_limit_from_the_right_side() -> None:
    assert Figure("growth", 1.2, 1.3).passed is True
    assert Figure("growth", 1.4, 1.3).passed is False
    assert Figure("usual way", 25.0, 20.0, at_least=True).passed is True
    assert Figure("usual way", 15.0, 20.0, at_least=True).passed is False
    assert Figure("memory", 1.0, None).passed is None
