"""Where this installation keeps its things: read once from the environment, never from models.

| variable | meaning | default |
| --- | --- | --- |
| `WINBACK_HOME` | the checkout: campaigns, dbt project, DAGs | the folder above this package |
| `WINBACK_LOCAL` | what one machine makes for itself: server, secrets, reports | `$WINBACK_HOME/.local` |
| `WINBACK_DATABASE_URL` | the warehouse, PostgreSQL 15 or newer | the embedded server |
| `WINBACK_CAMPAIGNS` | the folder with the campaign files | `$WINBACK_HOME/campaigns` |
| `WINBACK_TARGET` | the dbt target; only `prod` may be handed to senders | `prod` |
| `WINBACK_TOKEN_KEY` | signs unsubscribe and preference links | generated under `WINBACK_LOCAL` |
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import Misconfigured


@dataclass(frozen=True)
class Settings:
    """One installation's paths and switches."""

    home: Path
    local: Path
    campaigns: Path
    target: str
    database_url: str | None
    """None: the embedded server."""


def read() -> Settings:
    """The settings of this process, from its environment."""
    home = Path(os.environ.get("WINBACK_HOME") or Path(__file__).resolve().parent.parent)
    return Settings(
        home=home,
        local=Path(os.environ.get("WINBACK_LOCAL") or home / ".local"),
        campaigns=Path(os.environ.get("WINBACK_CAMPAIGNS") or home / "campaigns"),
        target=os.environ.get("WINBACK_TARGET") or "prod",
        database_url=os.environ.get("WINBACK_DATABASE_URL") or None,
    )


def secret_file(path: Path, length: int = 32) -> str:
    """The secret kept in `path`, made there (mode 0600) at the first call; safe against two first calls at once, in
    two processes or two threads.

    Raises `Misconfigured` for one that is empty: with it anybody could sign.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(length))
        try:
            with suppress(FileExistsError):  # another process was first: its secret counts
                os.link(draft, path)
        finally:
            draft.unlink()
    kept = path.read_text().strip()
    if not kept:
        raise Misconfigured(f"{path} is empty where a secret should be: restore it, or delete it for a new one.")
    return kept
