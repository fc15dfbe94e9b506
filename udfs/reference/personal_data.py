"""Plain twin of the parts of `udfs.personal_data` that are counted or compiled: every document meets every pattern, and
checksums are worked out by hand.
"""

from __future__ import annotations

from udfs import personal_data as kernel


def luhn(digits: str) -> bool:
    """Double every second digit from the right but one, add up the digits of all; the sum must end in 0."""
    total = 0
    for place, digit in enumerate(digits[::-1]):
        value = int(digit) * 2 if place % 2 else int(digit)
        total += value // 10 + value % 10
    return total % 10 == 0


def redact(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Return (the masked text, the spans in code points) of one document, looking for every kind in every document."""
    data = text.encode()
    masked, spans = "", []
    at = 0
    for kind, begin, end in kernel._in_document(data, 127, kernel.KINDS):
        masked += data[at:begin].decode() + f"[{kind.upper()}]"
        spans.append((kind, len(data[:begin].decode()), len(data[:end].decode())))
        at = end
    return masked + data[at:].decode(), spans
