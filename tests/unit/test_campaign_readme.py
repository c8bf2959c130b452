"""The marketer's page lists what templates may use, neither more nor less."""

from __future__ import annotations

import re

from campaigns.variables import CATALOGUE
from tests.unit.campaign_folder import SHIPPED


def test_the_readme_lists_exactly_the_variables_there_are() -> None:
    table = (SHIPPED / "README.md").read_text().split("| variable |")[1].split("\n\n")[0]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines()[1:] if line.startswith("|"))
    listed = {name for name in re.findall(r"`([a-z0-9_]+)`", first_cells) if not name.endswith("_")}
    known = {name for name in CATALOGUE if not re.match(r"rec[2-9]_", name)}
    assert listed == known
