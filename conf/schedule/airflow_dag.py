"""A weekly refresh under Airflow (2.10 or 3, provider apache-airflow-providers-apache-spark).

Copy it into the DAGs folder and set WINNOW_HOME, WINNOW_CORPUS, WINNOW_INPUT and WINNOW_RECIPE in Airflow's
environment, and the connection ``spark_default``. The run id comes from the data interval, not from the clock: a task
that is cleared and runs again publishes nothing twice. A gate that trips (exit 4) fails the task and is not retried
away: look at the log, then run the command by hand with ``--allow GATE``.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

HOME = os.environ.get("WINNOW_HOME", "/opt/winnow")

with DAG(
    dag_id="winnow_refresh",
    schedule="0 4 * * 1",
    start_date=datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    tags=["corpus"],
) as dag:
    SparkSubmitOperator(
        task_id="refresh",
        application=f"{HOME}/jobs/refresh.py",
        properties_file=f"{HOME}/conf/spark/cluster.conf",
        application_args=[
            "--recipe",
            os.environ.get("WINNOW_RECIPE", "gopher"),
            "--corpus",
            os.environ.get("WINNOW_CORPUS", "/data/corpus"),
            "--input",
            os.environ.get("WINNOW_INPUT", "/data/in"),
            "--run-id",
            "{{ data_interval_start | ts_nodash }}",
            "--log-format",
            "json",
        ],
        retries=2,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=24),
    )
