"""The published fits against figures of their papers, and against each other where they must agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.scaling_laws import (
    CEILING,
    CHINCHILLA_TABLE,
    FITS,
    data_constrained_loss,
    epochs_worth,
    table_parameters,
    table_tokens,
    worth,
)

AMOUNTS = st.floats(min_value=1e6, max_value=1e15)


@pytest.mark.parametrize(
    ("fit", "flops", "parameters", "tokens", "tokens_per_parameter"),
    [
        ("epoch", 1e21, 2.778e9, 5.999e10, 21.6),
        ("chinchilla", 1e21, 2.217e9, 7.518e10, 33.9),
        ("epoch", 5.76e23, 7.225e10, 1.329e12, 18.4),
        ("chinchilla", 5.76e23, 4.036e10, 2.379e12, 58.9),
    ],
)
def test_compute_optimal_models_equal_the_published_figures(
    fit: str, flops: float, parameters: float, tokens: float, tokens_per_parameter: float
) -> None:
    best = FITS[fit].for_flops(flops)
    assert f"{best.parameters:.3e}" == f"{parameters:.3e}"
    assert f"{best.tokens:.3e}" == f"{tokens:.3e}"
    assert round(best.tokens_per_parameter, 1) == tokens_per_parameter
    assert best.flops == pytest.approx(flops)


def test_losses_equal_the_published_figures() -> None:
    assert round(FITS["epoch"].loss(70e9, 1.4e12), 4) == 1.9739
    assert round(FITS["chinchilla"].loss(70e9, 1.4e12), 4) == 1.9208
    assert round(FITS["kaplan"].loss(1e9, 22e9), 4) == 2.3693
    assert round(data_constrained_loss(6.34e9, 242e9, 25e9), 5) == 2.22564


def test_repetition_is_worth_what_the_paper_says() -> None:
    assert round(worth(4.0, 1.0), 2) == 3.73
    assert round(worth(1e9, 1.0), 1) == round(CEILING, 1) == 16.4
    assert worth(0.5, 1.0) == 0.5
    assert epochs_worth(3.73, 1.0) == pytest.approx(4, abs=0.01)
    assert epochs_worth(17.0, 1.0) is None


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [
        (400e6, 8.0e9),
        (1e9, 20.2e9),
        (10e9, 205.1e9),
        (67e9, 1.5e12),
        (175e9, 3.7e12),
        (280e9, 5.9e12),
        (520e9, 11.0e12),
        (1e12, 21.2e12),
        (10e12, 216.2e12),
    ],
)
def test_the_table_of_the_chinchilla_paper_is_met(parameters: float, tokens: float) -> None:
    assert table_tokens(parameters) == pytest.approx(tokens)
    assert table_parameters(tokens) == pytest.approx(parameters)


def test_the_table_goes_on_beyond_its_ends_at_about_twenty_tokens_a_parameter() -> None:
    assert len(CHINCHILLA_TABLE) == 9
    assert table_tokens(1e8) / 1e8 == pytest.approx(20, rel=0.05)
    assert table_tokens(1e14) / 1e14 == pytest.approx(22, rel=0.05)


@pytest.mark.parametrize("name", sorted(FITS))
@given(tokens=AMOUNTS)
def test_the_three_ways_to_an_optimum_agree(name: str, tokens: float) -> None:
    fit = FITS[name]
    best = fit.for_tokens(tokens)
    assert fit.for_model(best.parameters).tokens == pytest.approx(tokens)
    again = fit.for_flops(best.flops)
    assert again.parameters == pytest.approx(best.parameters)
    for factor in (0.8, 1.25):  # any other split of the same operations is worse
        assert fit.loss(best.parameters * factor, best.tokens / factor) > best.loss


@given(unique=AMOUNTS, epochs=st.floats(min_value=1, max_value=60))
def test_epochs_and_their_worth_are_inverse(unique: float, epochs: float) -> None:
    assert epochs_worth(worth(unique * epochs, unique), unique) == pytest.approx(epochs, rel=1e-6)


@pytest.mark.parametrize("name", sorted(FITS))
def test_scarce_tokens_make_the_best_model_of_a_budget_worse_and_ample_ones_change_nothing(name: str) -> None:
    fit = FITS[name]
    free = fit.for_flops(1e21)
    assert fit.for_flops_of(1e21, free.tokens * 2).parameters == pytest.approx(free.parameters, rel=1e-4)
    scarce = fit.for_flops_of(1e21, free.tokens / 30)
    assert scarce.loss > free.loss
    assert scarce.flops == pytest.approx(1e21)
    assert scarce.tokens > free.tokens / 30
