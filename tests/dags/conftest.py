"""One Airflow home for all tests of the DAGs: migrating its metadata takes ten seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dags import airflow_home


@pytest.fixture(scope="session")
def shared_airflow(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[airflow_home.Home]:
    with airflow_home.home(postgres, tmp_path_factory.mktemp("airflow")) as it:
        yield it


@pytest.fixture
def airflow(shared_airflow: airflow_home.Home) -> airflow_home.Home:
    """The shared home with an empty story."""
    shared_airflow.tell({})
    return shared_airflow
