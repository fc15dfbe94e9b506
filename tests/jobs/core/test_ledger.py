"""The account must add up, or the run fails."""

from __future__ import annotations

import pytest

from jobs.core.ledger import AccountError, StageAccount, check_accounts, funnel, stage_record, totals


def _stages() -> list[StageAccount]:
    return [
        StageAccount("ingest", read=10, kept=7, quarantined=2, ignored=1),
        StageAccount("filter_quality", read=7, kept=4, removed=3, rules={"word_count": 3, "stop_word_count": 1}),
    ]


def test_the_sums_of_a_sound_account_hold() -> None:
    stages = _stages()
    check_accounts(stages)
    assert totals(stages) == {"read": 10, "kept": 4, "removed": 3, "quarantined": 2, "ignored": 1}


def test_a_lost_document_fails_the_run() -> None:
    stages = _stages()
    stages[1].kept = 3
    with pytest.raises(AccountError, match="filter_quality: read 7 but kept 3"):
        check_accounts(stages)


def test_a_stage_must_read_what_the_one_before_kept() -> None:
    stages = _stages()
    stages[1].read, stages[1].kept = 8, 5
    with pytest.raises(AccountError, match="ingest kept 7"):
        check_accounts(stages)


def test_the_funnel_names_the_most_frequent_reason() -> None:
    shown = funnel([stage_record(stage) for stage in _stages()])
    assert "word_count (3)" in shown.splitlines()[-1]
