"""`winback airflow`: Airflow's own command, in the home and with the settings that this installation uses."""

from __future__ import annotations

import os

import typer


def register(app: typer.Typer) -> None:
    """Adds the verb to the command."""

    @app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )
    def airflow(context: typer.Context) -> None:
        """Run Airflow's own command: `winback airflow standalone`, `winback airflow dags list`, ...

        Home and logs are under .local/airflow, the metadata is the database `airflow` of the embedded server.
        AIRFLOW_HOME and every AIRFLOW__... variable that is already set stays as it is.
        """
        from cli.context import use_warehouse
        from local import airflow as installation

        use_warehouse()
        values = installation.ensure()
        command = installation.command(context.args)
        os.execve(command[0], command, values)  # noqa: S606 - it becomes Airflow: signals and exit code are Airflow's
