"""`python -m tests.faults.worker SECONDS VERB ...`: the command itself, with a lease of so many seconds.

A lease of five minutes would make each round wait five minutes for a dead worker. Nothing else is changed.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from cli.main import main
from outbox import claims


def run() -> None:
    """Shortens the lease and runs the command."""
    claims.LEASE = timedelta(seconds=float(sys.argv.pop(1)))
    sys.argv[0] = "winback"
    main()


if __name__ == "__main__":
    run()
