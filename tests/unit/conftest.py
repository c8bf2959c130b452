"""Fixtures of the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit import campaign_folder
from tests.unit.campaign_folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A copy of the shipped campaign folder, to be spoiled."""
    return campaign_folder.copy(tmp_path)
