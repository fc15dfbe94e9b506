"""How large a model a number of tokens can train, by the published fits of loss against parameters and tokens.

N parameters, D training tokens, C = 6·N·D floating-point operations. Losses are in nats a token and compare only within
one fit: each was measured on its own data and tokenizer.

chinchilla        L(N, D) = E + A/N^α + B/D^β: Hoffmann et al., arXiv 2203.15556, approach 3, with its unrounded
                  constants; the rounded ones of the paper are off by far.
epoch             the same form fitted again: Besiroglu et al., arXiv 2404.10102.
kaplan            L(N, D) = ((Nc/N)^(αN/αD) + Dc/D)^αD: Kaplan et al., arXiv 2001.08361, equation 1.5. Its optimum here
                  is that of this joint fit at C = 6·N·D, not their N ∝ C^0.73, which has training stopped early.
data-constrained  E + A/N'^α + B/D'^β: Muennighoff et al., arXiv 2305.16264, where repeated tokens and parameters beyond
                  those that the unique tokens can feed count less.

Repetition, for every fit: U unique tokens seen in 1 + R epochs are worth D' = U + U·R*·(1 - e^(-R/R*)) fresh ones,
R* = 15.39 (arXiv 2305.16264, equation 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FLOPS_PER_PARAMETER_AND_TOKEN = 6
REPETITION_DECAY = 15.387756  # R_D*: epochs of repetition after which more is worth little
PARAMETER_DECAY = 5.309743  # R_N*: the same for parameters beyond those that the unique tokens can feed
USUAL_EPOCHS = 4  # up to four epochs are nearly as good as fresh tokens (arXiv 2305.16264)
DEFAULT_FIT = "epoch"


@dataclass(frozen=True)
class Optimum:
    """A training run that reaches the lowest loss of its budget."""

    parameters: float
    tokens: float
    loss: float

    @property
    def flops(self) -> float:
        """Floating-point operations of the training."""
        return FLOPS_PER_PARAMETER_AND_TOKEN * self.parameters * self.tokens

    @property
    def tokens_per_parameter(self) -> float:
        """D / N."""
        return self.tokens / self.parameters


@dataclass(frozen=True)
class Fit:
    """One published fit: its loss, and how many tokens suit a model. ``tokens_for`` is strictly increasing."""

    name: str
    source: str
    loss: Callable[[float, float], float]
    tokens_for: Callable[[float], float]
    parameters_for: Callable[[float], float]

    def for_tokens(self, tokens: float) -> Optimum:
        """The model for which so many fresh tokens are compute-optimal."""
        parameters = self.parameters_for(tokens)
        return Optimum(parameters, tokens, self.loss(parameters, tokens))

    def for_model(self, parameters: float) -> Optimum:
        """The fresh tokens that are compute-optimal for a model."""
        tokens = self.tokens_for(parameters)
        return Optimum(parameters, tokens, self.loss(parameters, tokens))

    def for_flops(self, flops: float) -> Optimum:
        """The best model and its fresh tokens for a budget of operations."""
        product = flops / FLOPS_PER_PARAMETER_AND_TOKEN

        def excess(log_parameters: float) -> float:
            parameters = math.exp(log_parameters)
            return math.log(parameters) + math.log(self.tokens_for(parameters)) - math.log(product)

        parameters = math.exp(_root(excess, 0.0, math.log(product)))
        tokens = product / parameters
        return Optimum(parameters, tokens, self.loss(parameters, tokens))

    def for_flops_of(self, flops: float, unique: float) -> Optimum:
        """The best model for a budget of operations when only so many tokens are unique; ``tokens`` counts repeats."""
        product = flops / FLOPS_PER_PARAMETER_AND_TOKEN

        def loss(log_parameters: float) -> float:
            parameters = math.exp(log_parameters)
            return self.loss(parameters, worth(product / parameters, unique))

        parameters = math.exp(_minimum(loss, 0.0, math.log(product)))
        tokens = product / parameters
        return Optimum(parameters, tokens, self.loss(parameters, worth(tokens, unique)))


def worth(tokens: float, unique: float) -> float:
    """How many fresh tokens ``tokens`` training tokens are worth when they repeat ``unique`` ones."""
    if tokens <= unique:
        return tokens
    repetitions = tokens / unique - 1
    return unique * (1 + REPETITION_DECAY * -math.expm1(-repetitions / REPETITION_DECAY))


def epochs_worth(fresh: float, unique: float) -> float | None:
    """How many epochs over ``unique`` tokens are worth ``fresh`` ones; None where no number of them is."""
    if fresh <= unique:
        return fresh / unique
    share = (fresh / unique - 1) / REPETITION_DECAY
    return 1 - REPETITION_DECAY * math.log1p(-share) if share < 1 else None


CEILING = 1 + REPETITION_DECAY
"""What endless repetition is worth, in epochs of fresh tokens."""


# ------------------------------------------------------------------------------------------------------------- the fits


def _power_law(name: str, source: str, *, floor: float, a: float, b: float, alpha: float, beta: float) -> Fit:
    """E + A/N^α + B/D^β. At the optimum of C = 6·N·D both terms fall equally fast: α·A/N^α = β·B/D^β."""
    scale = (alpha * a) / (beta * b)

    def loss(parameters: float, tokens: float) -> float:
        return float(floor + a / parameters**alpha + b / tokens**beta)

    def tokens_for(parameters: float) -> float:
        return float((parameters**alpha / scale) ** (1 / beta))

    def parameters_for(tokens: float) -> float:
        return float((scale * tokens**beta) ** (1 / alpha))

    return Fit(name, source, loss, tokens_for, parameters_for)


def _kaplan() -> Fit:
    alpha_n, alpha_d, n_c, d_c = 0.076, 0.103, 6.4e13, 1.8e13
    ratio = alpha_n / alpha_d

    def loss(parameters: float, tokens: float) -> float:
        return float(((n_c / parameters) ** ratio + d_c / tokens) ** alpha_d)

    def tokens_for(parameters: float) -> float:  # at the optimum, (αN/αD)·(Nc/N)^(αN/αD) = Dc/D
        return float(d_c / ratio * (parameters / n_c) ** ratio)

    def parameters_for(tokens: float) -> float:
        return float(n_c * (ratio * tokens / d_c) ** (1 / ratio))

    return Fit("kaplan", "Kaplan et al., arXiv 2001.08361", loss, tokens_for, parameters_for)


_DATA_CONSTRAINED = {
    "floor": math.exp(0.6254804),
    "a": math.exp(6.255414),
    "b": math.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}

_ALL = (
    _power_law(
        "epoch",
        "Besiroglu et al., arXiv 2404.10102",
        floor=1.8172,
        a=482.01,
        b=2085.43,
        alpha=0.3478,
        beta=0.3658,
    ),
    _power_law(
        "chinchilla",
        "Hoffmann et al., arXiv 2203.15556, approach 3, unrounded",
        floor=1.69334,
        a=406.385,
        b=410.715,
        alpha=0.33917084,
        beta=0.28490832,
    ),
    _kaplan(),
    _power_law("data-constrained", "Muennighoff et al., arXiv 2305.16264", **_DATA_CONSTRAINED),
)

FITS: Mapping[str, Fit] = {fit.name: fit for fit in _ALL}


def data_constrained_loss(parameters: float, tokens: float, unique: float) -> float:
    """The loss of a model trained on ``tokens`` tokens of which ``unique`` differ (arXiv 2305.16264, equation 10).

    Parameters beyond those for which the unique tokens are compute-optimal count less, as repeated tokens do.
    """
    fit = FITS["data-constrained"]
    fed = min(parameters, fit.parameters_for(unique))
    excess = parameters / fed - 1
    effective = fed * (1 + PARAMETER_DECAY * -math.expm1(-excess / PARAMETER_DECAY))
    return fit.loss(effective, worth(tokens, unique))


CHINCHILLA_TABLE: Mapping[float, float] = {
    400e6: 8.0e9,
    1e9: 20.2e9,
    10e9: 205.1e9,
    67e9: 1.5e12,
    175e9: 3.7e12,
    280e9: 5.9e12,
    520e9: 11.0e12,
    1e12: 21.2e12,
    10e12: 216.2e12,
}
"""Parameters to compute-optimal tokens: table 3 of arXiv 2203.15556 (its approach 1, about 20 tokens a parameter)."""


def table_tokens(parameters: float) -> float:
    """Compute-optimal tokens by table 3 of the Chinchilla paper, in between and beyond along lines in log-log."""
    return _log_interpolated(list(CHINCHILLA_TABLE.items()), parameters)


def table_parameters(tokens: float) -> float:
    """The inverse of ``table_tokens``."""
    return _log_interpolated([(tokens_, parameters) for parameters, tokens_ in CHINCHILLA_TABLE.items()], tokens)


def _log_interpolated(points: list[tuple[float, float]], x: float) -> float:
    place = next((i for i in range(1, len(points) - 1) if x <= points[i][0]), len(points) - 1)
    (x0, y0), (x1, y1) = points[place - 1], points[place]
    return math.exp(math.log(y0) + math.log(y1 / y0) * math.log(x / x0) / math.log(x1 / x0))


# ----------------------------------------------------------------------------------------------------------- numerical


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The zero of an increasing function, by bisection to the last bits."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is least, by the golden section."""
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(120):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2
