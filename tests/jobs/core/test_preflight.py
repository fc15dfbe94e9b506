"""Executors are compared with the driver before a job; here the comparison, on a cluster the whole (tests/cluster)."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core import preflight
from jobs.core.errors import ConfigurationError
from jobs.core.preflight import PACKAGES, check_executors, differences, environment_facts


def test_every_package_that_measures_is_among_the_facts_and_installed() -> None:
    facts = environment_facts()
    assert set(PACKAGES) < set(facts)
    assert "absent" not in facts.values()


def test_a_difference_names_the_fact_both_values_and_the_hosts() -> None:
    driver = environment_facts()
    other = {**driver, "Python": "3.10", "numba": "absent"}
    found = differences(driver, [("b", other), ("a", other), ("c", driver)])
    assert found == [
        f"Python is {driver['Python']} on the driver and 3.10 on a, b",
        f"numba is {driver['numba']} on the driver and absent on a, b",
    ]


def test_workers_of_this_machine_agree_with_the_driver(spark: Any) -> None:
    assert check_executors(spark) == 1


def test_workers_that_disagree_end_the_job_with_a_configuration_error(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only in the driver: workers import the module anew.
    monkeypatch.setattr(preflight, "_code_digest", lambda: "of another checkout")
    with pytest.raises(ConfigurationError, match=r"code is of another checkout on the driver and \w+ on ") as caught:
        check_executors(spark)
    assert caught.value.exit_code == 2
