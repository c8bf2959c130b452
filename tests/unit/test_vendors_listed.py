"""Whatever has to know the vendors knows every folder of `senders/` (docs/ADDING_A_SENDER.md says where)."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

from events.intake import PARSERS
from reports.words import SOURCES
from senders import registry
from senders.contract import CHANNELS
from tests.contract.providers import PROVIDERS
from warehouse import connections

HOME = Path(__file__).resolve().parents[2]
VENDORS = sorted(path.parent.name for path in (HOME / "senders").glob("*/send.py"))
SIGNING = sorted(
    path.parent.name
    for path in (HOME / "senders").glob("*/events.py")
    if hasattr(importlib.import_module(f"senders.{path.parent.name}.events"), "verify")
)
"""Those whose webhooks a provider signs; a browser's reports come by a token of ours."""


def test_every_channel_has_a_vendor_that_exists() -> None:
    assert set(registry.VENDORS) == set(CHANNELS)
    assert {vendor for vendor, _ in registry.VENDORS.values()} <= set(VENDORS)


def test_the_connections_of_the_vendors_in_service_are_those_that_every_part_hands_on() -> None:
    assert sorted(connections.SENDERS) == sorted(conn_id for _, conn_id in registry.VENDORS.values())
    operator = ast.parse((HOME / "dags" / "winback_operator.py").read_text())
    (handed_on,) = (
        ast.literal_eval(each.value)
        for each in operator.body
        if isinstance(each, ast.Assign)
        and isinstance(each.targets[0], ast.Name)
        and each.targets[0].id == "CONNECTIONS"
    )
    assert sorted(handed_on) == sorted((*connections.SENDERS, connections.ALERTS, connections.WAREHOUSE))


@pytest.mark.parametrize("vendor", sorted(vendor for vendor, _ in registry.VENDORS.values()))
def test_the_credentials_of_a_vendor_in_service_can_be_checked(vendor: str) -> None:
    assert callable(importlib.import_module(f"senders.{vendor}.check").check)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_is_kept_apart_from_the_others_and_passes_the_cases_of_all(vendor: str) -> None:
    contracts = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (apart,) = (contract["modules"] for contract in contracts if contract["type"] == "independence")
    assert f"senders.{vendor}" in apart
    assert vendor in PROVIDERS


@pytest.mark.parametrize("vendor", SIGNING)
def test_a_vendors_webhooks_have_a_route_a_parser_for_what_landed_and_a_name_for_people(vendor: str) -> None:
    routes = (HOME / "events" / "app.py").read_text()
    assert f'"/events/{vendor}"' in routes
    assert vendor in PARSERS
    assert vendor in SOURCES
    assert list((HOME / "tests" / "contract" / "webhooks" / vendor).glob("*.expected.json"))
