"""What is told of a dbt build that failed: where and why, without a row of anybody's."""

from __future__ import annotations

import pytest

from warehouse.dbt import _gist

SAID = 'Database Error in model stg_x (models/staging/stg_x.sql)\n  duplicate key value violates "stg_x_pkey"'


@pytest.mark.parametrize(
    "rest",
    [
        "\n  DETAIL:  Key (email)=(robin@example.com) already exists.",
        '\n  CONTEXT:  COPY stg_x, line 3, column email: "robin@example.com"',
        "\n  LINE 12:     'robin@example.com'",
        "\n  compiled code at target/run/robin@example.com.sql",
        "\n  > in macro robin (robin@example.com)",
    ],
)
def test_the_rows_and_the_sql_of_an_error_stay_in_dbts_log(rest: str) -> None:
    assert _gist(SAID + rest) == " ".join(SAID.split())


def test_an_endless_error_is_cut() -> None:
    assert _gist("x" * 700) == "x" * 600 + " ..."
