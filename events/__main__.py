"""`python -m events --port 8180`: the webhook service by itself, as a deployment runs it."""

from __future__ import annotations

import argparse
import gc
import logging
import sys

from warehouse.errors import Misconfigured, WinbackError


def serve(host: str, port: int) -> None:
    """Serves until it is stopped. Raises `Misconfigured`, `WinbackError`."""
    import uvicorn

    from events.app import create_app
    from events.patience import PatientProtocol

    gc.freeze()  # what is loaded by now stays; a call's thousand events are no reason to look through it again
    gc.set_threshold(50_000)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # No access log: paths hold tokens. No server header. More calls at once than this are told to come back (503).
    uvicorn.run(
        create_app(),
        host=host,
        port=port,
        access_log=False,
        server_header=False,
        log_level="warning",
        http=PatientProtocol,
        ws="none",
        limit_concurrency=500,
        timeout_keep_alive=15,
    )


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="events", description="Winback's webhook service.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8180)
    arguments = parser.parse_args()
    try:
        serve(arguments.host, arguments.port)
    except (Misconfigured, WinbackError) as error:
        sys.stderr.write(f"events: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
