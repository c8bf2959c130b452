"""The project itself: its own unit tests, its targets, its rules of taste."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.integration.dbt_days import at, begin, build, contact, order, rows
from warehouse import dbt
from warehouse.connect import Role, connect
from warehouse.errors import WinbackError

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MODELS = sorted((PROJECT / "models").rglob("*.sql"))
CODE = [*MODELS, *sorted((PROJECT / "snapshots").rglob("*.sql")), *sorted((PROJECT / "macros").rglob("*.sql"))]
PREFIXES = {"staging": ("stg_", "int_"), "reports": ("rpt_", "int_")}
PLAIN = re.compile(r"dormant_at_\d+|coupon_(allocations|shortfalls|runway)|(send|tag|notice)_requests|handoff_totals"
                   r"|send_stops|suppressions_out|in_flight|recipients|marketing_touches")  # fmt: skip


def _without_comments(path: Path) -> str:
    return re.sub(r"--[^\n]*|\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_no_model_asks_the_database_what_time_it_is(path: Path) -> None:
    clocks = r"\bnow\s*\(|\b(current_(date|time|timestamp)|localtime|localtimestamp|timeofday|\w+_timestamp\s*\()"
    assert not re.findall(clocks, _without_comments(path), flags=re.IGNORECASE)
    asks = re.findall(r"\bpresent\s*\(|\brpt_clock\b", _without_comments(path), flags=re.IGNORECASE)
    assert not asks or path.parent.name == "reports", "the present is for those who read, not for what decides"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_models_name_says_what_it_is(path: Path) -> None:
    allowed = PREFIXES.get(path.parent.name, ("int_", "dim_", "fct_"))
    assert path.stem.startswith(allowed) or PLAIN.fullmatch(path.stem)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_has_a_yml_beside_it_that_says_what_a_row_is(path: Path) -> None:
    (model,) = YAML(typ="safe").load(path.with_suffix(".yml").read_text())["models"]
    assert model["name"] == path.stem
    assert model["description"].startswith(("One row per ", "One row: "))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_ends_with_a_select_of_what_it_built(path: Path) -> None:
    last = _without_comments(path).strip().splitlines()[-1]
    is_flat = path.stem.startswith("stg_") or path.stem in {
        "send_stops",
        "recipients",
        "marketing_touches",
        "int_same_person",
        "in_flight",
        "suppressions_out",
    }
    assert is_flat or last == "select * from final" or re.fullmatch(r"\{\{ dormant_at\(\d+\) \}\}", last)


@pytest.mark.parametrize("path", [path for path in MODELS if path.stem.startswith("stg_")], ids=lambda path: path.stem)
def test_a_staging_view_renames_and_casts_and_hides_no_index_behind_a_cte(path: Path) -> None:
    assert path.read_text().startswith("select\n")


@pytest.mark.slow
def test_the_models_pass_their_own_unit_tests(warehouse: str) -> None:
    build()
    assert len(dbt.run(["test", "--select", "test_type:unit"], progress=lambda line: None)) >= 12


@pytest.mark.slow
def test_a_developer_builds_in_schemas_of_their_own(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINBACK_TARGET", "dev")
    monkeypatch.setenv("WINBACK_DEVELOPER", "ada")
    with connect(Role.OWNER) as connection:
        contact(connection, "due")
        order(connection, "o-due", "due", at("2017-09-01"))
        begin(connection, "2017-10-01")
    build()
    schemas = {
        name for (name,) in rows("select nspname from pg_namespace where pg_get_userbyid(nspowner) = 'winback_dbt'")
    }
    assert schemas
    assert all(name.startswith("ada_") for name in schemas)
    assert rows("select request_count, target from ada_handoff.handoff_totals") == [(1, "dev")]
    assert not rows(
        "select 1 from information_schema.role_table_grants"
        " where grantee = 'winback_analyst' and table_schema like 'ada%'"
    )


@pytest.mark.slow
def test_a_build_without_any_run_makes_empty_relations(warehouse: str) -> None:
    build()
    assert rows("select count(*) from handoff.send_requests") == [(0,)]
    assert rows("select count(*) from handoff.handoff_totals") == [(0,)]


@pytest.mark.slow
def test_a_failed_build_names_the_node_and_says_that_nothing_was_sent(warehouse: str) -> None:
    with connect(Role.OWNER) as connection:
        connection.execute("alter table raw.orders drop column coupon_code")
    with pytest.raises(WinbackError, match=r"stg_raw__orders.*coupon_code") as told:
        build("--select", "staging")
    assert "Nothing was enqueued and nothing was sent" in str(told.value)
