"""The short form of the cluster tests, part of the default suite: one job, one executor killed, nothing left."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import dedup_exact
from tests.cluster.standalone import Cluster, command_line, output_digest, wait_until


def test_a_job_survives_its_executor_and_gives_what_an_undisturbed_one_gives(
    spark: Any, corpus: Path, start_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    arguments = ["--recipe", "gopher", "--input", str(corpus), "--output"]
    cluster = start_cluster(workers=1)
    submitted = cluster.submit("dedup_exact", *arguments, str(tmp_path / "killed"))
    wait_until(lambda: submitted.running("winnow-", after_shuffle=False), 240, "a running task", pause=0.02)
    application = submitted.application()
    listening = cluster.listening()
    assert not [pid for pid in cluster.processes() if cluster.secret in command_line(pid)]
    killed = wait_until(lambda: cluster.kill_executor(submitted), 120, "an executor", pause=0.02)
    assert dedup_exact.main([*arguments, str(tmp_path / "undisturbed")]) == 0

    assert submitted.wait() == 0, submitted.said()[-3000:]
    assert killed not in cluster.processes()
    assert output_digest(tmp_path / "killed") == output_digest(tmp_path / "undisturbed")
    ledger = json.loads((tmp_path / "killed" / "ledger.json").read_text())
    assert ledger["spark"]["master"] == cluster.master
    assert ledger["totals"]["removed"] > 200

    assert len(listening) >= 5  # master and worker, a page each, and the driver
    assert all(ipaddress.ip_address(address).is_loopback for address in listening), listening
    events = cluster.events(application)
    assert "exited with code 137" in str([e for e in events if e["Event"] == "SparkListenerExecutorRemoved"])
    assert events[-1]["Event"] == "SparkListenerApplicationEnd"
    assert cluster.secret not in json.dumps(events) + submitted.said()
