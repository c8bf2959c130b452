"""Airflow connections, read without Airflow."""

from __future__ import annotations

import json

import pytest

from warehouse import connections
from warehouse.errors import Misconfigured

URI = "http://user:p%40ss@127.0.0.1:8081/?__extra__=%7B%22sandbox%22%3A+true%7D"


def test_both_forms_of_a_connection_read_the_same() -> None:
    document = {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": 8081,
        "login": "user",
        "password": "p@ss",
        "extra": {"sandbox": True},
    }
    as_json = connections.parse("sendgrid_default", json.dumps(document))
    assert as_json == connections.parse("sendgrid_default", URI)
    assert as_json.password == "p@ss"
    assert as_json.host == "127.0.0.1:8081"
    assert as_json.sandbox


def test_extra_may_be_a_string_of_json_as_airflow_exports_it() -> None:
    connection = connections.parse(
        "alerts", json.dumps({"conn_type": "generic", "extra": '{"emails": ["team@example.com"]}'})
    )
    assert connection.extra == {"emails": ["team@example.com"]}


def test_only_a_true_mark_makes_a_connection_a_sandbox() -> None:
    for mark in ("true", 1, "yes", None):
        text = json.dumps({"conn_type": "http", "extra": {"sandbox": mark}})
        assert not connections.parse("sendgrid_default", text).sandbox


@pytest.mark.parametrize("text", ['{"conn_type": ', "[]{", '{"extra": "{"}', "http://host:notaport/secret"])
def test_an_unreadable_connection_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        connections.parse("sendgrid_default", text if text != "[]{" else "{[]")
    assert "AIRFLOW_CONN_SENDGRID_DEFAULT" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_connection_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_TWILIO_DEFAULT", raising=False)
    with pytest.raises(Misconfigured, match="AIRFLOW_CONN_TWILIO_DEFAULT"):
        connections.get("twilio_default")


def test_a_connection_shows_no_secret_when_printed() -> None:
    assert "p@ss" not in repr(connections.parse("sendgrid_default", URI))


def test_a_warehouse_connection_becomes_a_url() -> None:
    connection = connections.parse("warehouse_default", "postgres://etl:a%2Fb@db.internal:5433/shop")
    assert connections.database_url_of(connection) == "postgresql://etl:a%2Fb@db.internal:5433/shop"
