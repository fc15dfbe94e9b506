"""Plain-Python twins of the kernels: they follow the definitions word for word and are only right, not fast.

Tests compare kernels and twins; ``--paranoid`` decides documents again by them at the end of a run.
"""

from __future__ import annotations

from collections.abc import Collection


def measure_plain(text: str, stop_words: Collection[str] | None) -> dict[str, float | int | None]:
    """Return every signal of `udfs.signals.SIGNALS` for one text.

    Args:
        text: The text; no lone surrogates.
        stop_words: The words of its language, None where it has none: `stop_word_count` is then None.
    """
    from udfs.reference.code import code_signals
    from udfs.reference.han import han_signals
    from udfs.reference.lines import line_signals
    from udfs.reference.quality import quality_signals
    from udfs.reference.repetition import repetition_signals

    return {
        **quality_signals(text, stop_words),
        **line_signals(text),
        **code_signals(text),
        **han_signals(text),
        **repetition_signals(text),
    }
