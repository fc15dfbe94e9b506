"""The schedules call a command that exists, by files that their own parsers accept."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from jobs.refresh import _parser

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = ROOT / "conf" / "schedule"
CRON_FIELD = r"(?:\*|\d+(?:-\d+)?)(?:/\d+)?(?:,\d+(?:-\d+)?)*"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SCHEDULES / name)
    return parser


def is_accepted(words: list[str]) -> bool:
    """Whether these are arguments of a refresh."""
    arguments = _parser().parse_args(words)
    return bool(arguments.corpus and arguments.input)


def after_the_command(line: str, command: str) -> list[str]:
    return shlex.split(line.split(command, 1)[1])


def test_the_cron_line_is_a_cron_line_and_calls_a_refresh() -> None:
    (line,) = [line for line in (SCHEDULES / "crontab").read_text().splitlines() if not line.startswith("#")]
    match = re.fullmatch(rf"({CRON_FIELD}) ({CRON_FIELD}) ({CRON_FIELD}) ({CRON_FIELD}) ({CRON_FIELD}) (.+)", line)
    assert match
    assert "%" not in re.sub(r"\\%", "", line)  # cron ends a command at a bare percent sign
    assert subprocess.run(["sh", "-n", "-c", match.group(6).replace("\\%", "%")], check=False).returncode == 0
    assert is_accepted(after_the_command(line, "winnow refresh"))


def test_the_systemd_units_are_units_and_call_a_refresh() -> None:
    service, timer = unit("winnow-refresh.service"), unit("winnow-refresh.timer")
    assert service["Service"]["Type"] == "oneshot"
    assert timer["Timer"]["OnCalendar"] and timer["Install"]["WantedBy"] == "timers.target"
    (command,) = shlex.split(service["Service"]["ExecStart"].replace("%%", "%"))[2:]
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    assert is_accepted(after_the_command(command, "winnow refresh"))
    analyze = shutil.which("systemd-analyze")
    if analyze:
        done = subprocess.run([analyze, "calendar", timer["Timer"]["OnCalendar"]], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_kubernetes_application_forbids_two_at_once_and_calls_a_refresh() -> None:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(SCHEDULES / "kubernetes.yaml")
    assert (loaded["apiVersion"], loaded["kind"]) == ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication")
    spec, template = loaded["spec"], loaded["spec"]["template"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert re.fullmatch(rf"{CRON_FIELD}( {CRON_FIELD}){{4}}", spec["schedule"])
    assert {"type", "sparkVersion", "mainApplicationFile", "restartPolicy", "driver", "executor"} <= set(template)
    assert template["mainApplicationFile"].endswith("/jobs/refresh.py")
    claims = {volume["name"] for volume in template["volumes"]}
    for part in ("driver", "executor"):
        assert {mount["name"] for mount in template[part]["volumeMounts"]} <= claims
    assert is_accepted(template["arguments"])


def test_the_compose_service_calls_a_refresh() -> None:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "docker-compose.yml")
    application, *words = loaded["services"]["refresh"]["command"]
    assert application == "/app/jobs/refresh.py"
    assert is_accepted(words)


def test_the_airflow_dag_runs_one_refresh_at_a_time() -> None:
    tree = ast.parse((SCHEDULES / "airflow_dag.py").read_text())
    calls = {
        node.func.id: node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    dag = {keyword.arg: ast.unparse(keyword.value) for keyword in calls["DAG"].keywords}
    assert dag["max_active_runs"] == "1"
    submit = {keyword.arg: keyword.value for keyword in calls["SparkSubmitOperator"].keywords}
    words = [
        str(part.value) if isinstance(part, ast.Constant) else "value"
        for part in submit["application_args"].elts  # type: ignore[attr-defined]
    ]
    assert is_accepted(words)
    assert "{{ data_interval_start | ts_nodash }}" in words


@pytest.mark.slow
def test_airflow_itself_loads_the_dag(tmp_path: Path) -> None:
    environment = tmp_path / "airflow"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    packages = ["apache-airflow>=2.10,<4", "apache-airflow-providers-apache-spark"]
    installed = subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"Airflow cannot be installed here: {installed.stderr.splitlines()[-1:]}")
    program = (
        "import runpy; names = runpy.run_path({path!r}); dag = names['dag']; (task,) = dag.tasks; "
        "print(dag.dag_id, dag.max_active_runs, task.task_id, type(task).__name__)"
    ).format(path=str(SCHEDULES / "airflow_dag.py"))
    done = subprocess.run(
        [str(python), "-c", program],
        capture_output=True,
        text=True,
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "winnow_refresh 1 refresh SparkSubmitOperator"
