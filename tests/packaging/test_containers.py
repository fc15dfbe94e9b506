"""The container files keep to their specifications and promises: closed ports, no privileges, no secrets.

No engine is at hand in tests. The compose file is checked against the Compose specification, the Dockerfile by its
linter, and the entry point is run with stand-ins for the programs that it starts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
ENTRYPOINT = ROOT / "docker" / "entrypoint.sh"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(COMPOSE)
    return loaded


def ours() -> dict[str, dict[str, Any]]:
    """The services that run Winnow's image."""
    return {name: s for name, s in compose()["services"].items() if str(s.get("image", "")).startswith("winnow:")}


def test_the_compose_file_keeps_to_the_compose_specification() -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed (requirements-dev.lock)")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed (requirements-dev.lock; there is none for this platform)")
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_published_port_is_on_the_loopback_interface() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published), published


def test_every_service_is_read_only_unprivileged_and_bounded_in_memory() -> None:
    for name, service in compose()["services"].items():
        assert service.get("read_only") is True, name
        assert service.get("cap_drop") == ["ALL"], name
        assert "no-new-privileges:true" in service.get("security_opt", []), name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert any(str(mount).startswith("/tmp") for mount in service["tmpfs"]), name
        assert not service.get("privileged"), name


def test_services_that_stay_up_say_whether_they_are_healthy() -> None:
    for name in ("master", "worker", "history", "s3"):
        assert compose()["services"][name]["healthcheck"]["test"], name


def test_no_secret_is_written_in_a_file() -> None:
    text = COMPOSE.read_text() + (ROOT / "conf/spark/cluster.conf").read_text() + (ROOT / "Dockerfile").read_text()
    for line in text.splitlines():
        if re.search(r"secret|password|access_key", line, re.IGNORECASE) and not line.lstrip().startswith("#"):
            assert re.search(r"\$\{?\$?[A-Z_0-9]+", line), line


def test_a_service_without_a_profile_is_for_one_machine_only() -> None:
    assert [name for name, service in compose()["services"].items() if not service.get("profiles")] == ["local"]


def test_the_image_is_built_from_locked_requirements_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("--require-hashes") == 2
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] not in ("root", "0")
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        assert f"!{source.split('/')[0]}" in ignored, source


# --- the object store -----------------------------------------------------------------------------------------------


def run_store(folder: Path, **keys: str) -> subprocess.CompletedProcess[str]:
    """The store's script with a stand-in for SeaweedFS, and a folder of the test's in place of /tmp."""
    programs = folder / "bin"
    programs.mkdir()
    weed = (
        "#!/bin/sh\n"
        f'if [ "$1" = shell ]; then read -r command; echo "$command" >> {folder}/commands; cat {folder}/buckets; '
        f'case "$command" in *create*) echo corpus > {folder}/buckets;; esac; '
        f'else echo "$@" > {folder}/server; sleep 3; fi\n'
    )
    (programs / "weed").write_text(weed)
    (programs / "weed").chmod(0o755)
    (folder / "buckets").touch()
    script = (ROOT / "docker" / "s3.sh").read_text().replace("/tmp/", f"{folder}/")
    environment = {"PATH": f"{programs}:/usr/bin:/bin", **keys}
    return subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_object_store_makes_its_bucket_and_is_ready_only_then(tmp_path: Path) -> None:
    done = run_store(tmp_path, S3_ACCESS_KEY="winnow", S3_SECRET_KEY="a-secret/of+ours")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "commands").read_text().splitlines() == [
        "s3.bucket.list",
        "s3.bucket.create -name corpus",
        "s3.bucket.list",
    ]
    assert (tmp_path / "ready").exists()
    identities = json.loads((tmp_path / "identities.json").read_text())["identities"]
    assert identities[0]["credentials"] == [{"accessKey": "winnow", "secretKey": "a-secret/of+ours"}]
    assert "a-secret" not in (tmp_path / "server").read_text(), "the secret must not be on a command line"


@pytest.mark.parametrize("keys", [{}, {"S3_ACCESS_KEY": "a", "S3_SECRET_KEY": 'b"}]}'}])
def test_the_object_store_does_not_start_without_proper_keys(tmp_path: Path, keys: dict[str, str]) -> None:
    done = run_store(tmp_path, **keys)
    assert done.returncode == 2
    assert "S3_SECRET_KEY" in done.stderr
    assert not (tmp_path / "server").exists()


# --- settings -------------------------------------------------------------------------------------------------------


def settings(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / "conf/spark" / name).read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split(None, 1) for line in lines)


@pytest.mark.parametrize("name", ["local.conf", "cluster.conf"])
def test_every_spark_setting_has_its_reason_above_it(name: str) -> None:
    before = ""
    for line in (ROOT / "conf/spark" / name).read_text().splitlines():
        if line.startswith("spark."):
            assert before.startswith(("#", "spark.")), line
        before = line


def test_the_clusters_settings_authenticate_and_encrypt_without_naming_the_secret() -> None:
    cluster = settings("cluster.conf")
    for key in ("spark.authenticate", "spark.network.crypto.enabled", "spark.io.encryption.enabled"):
        assert cluster[key] == "true"
    assert cluster["spark.master.rest.enabled"] == "false"
    assert "spark.authenticate.secret" not in cluster


# --- the entry point ------------------------------------------------------------------------------------------------


def run_entrypoint(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("spark-submit", "spark-class", "java", "winnow"):
        (programs / name).write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        (programs / name).chmod(0o755)
    variables = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "NUMBA_CACHE_DIR": str(folder / "kernels"),
        "JAVA_HOME": str(folder),
        **environment,
    }
    command = ["sh", str(ENTRYPOINT), *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)


def test_the_entry_point_hands_a_command_on_unchanged(tmp_path: Path) -> None:
    done = run_entrypoint(tmp_path, "winnow", "run", "--set", "a=b c")
    assert done.stdout.splitlines() == ["winnow", "run", "--set", "a=b c"]


@pytest.mark.parametrize("role", ["submit", "master", "worker"])
def test_no_part_of_the_cluster_starts_without_a_secret(tmp_path: Path, role: str) -> None:
    done = run_entrypoint(tmp_path, role, WINNOW_MASTER="spark://master:7077")
    assert done.returncode == 2
    assert "WINNOW_SPARK_SECRET" in done.stderr
    assert not done.stdout


def test_submitting_names_the_master_and_the_drivers_own_address(tmp_path: Path) -> None:
    environment = {"_SPARK_AUTH_SECRET": "s3cret-value", "WINNOW_MASTER": "spark://master:7077"}
    done = run_entrypoint(tmp_path, "submit", "/app/jobs/pipeline.py", "--recipe", "gopher", **environment)
    words = done.stdout.splitlines()
    assert words[:3] == ["spark-submit", "--master", "spark://master:7077"]
    assert words[-3:] == ["/app/jobs/pipeline.py", "--recipe", "gopher"]
    assert re.search(r"spark\.driver\.host=\d+\.\d+\.\d+\.\d+", done.stdout)
    assert "s3cret-value" not in done.stdout, "the secret must not be on a command line"


def test_an_executor_on_kubernetes_gets_the_options_spark_hands_over(tmp_path: Path) -> None:
    environment = {
        "SPARK_JAVA_OPT_0": "-Dspark.a=b c",
        "SPARK_JAVA_OPT_1": "-XX:+UseG1GC",
        "SPARK_EXECUTOR_MEMORY": "2g",
        "SPARK_DRIVER_URL": "spark://driver:7078",
        "SPARK_EXECUTOR_ID": "7",
        "SPARK_EXECUTOR_CORES": "4",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.7",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "pod-7",
    }
    words = run_entrypoint(tmp_path, "executor", **environment).stdout.splitlines()
    assert words[:5] == ["java", "-Dspark.a=b c", "-XX:+UseG1GC", "-Xms2g", "-Xmx2g"]
    assert "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend" in words
    assert words[words.index("--executor-id") + 1] == "7"
