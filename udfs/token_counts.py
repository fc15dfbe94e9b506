"""Tokens of a text: counted by a tokenizer, or estimated from its characters and their script.

Estimate. A text's characters (code points, spaces and punctuation included) are shared out among scripts as its letters
are, and each script has a number of tokens a character: that of the text's language for the scripts it is written in,
where the language is known, else the script's own. The numbers, in ``token_ratios.json``, are the means of two public
vocabularies of about 130 000 entries on the same sentences in 128 languages; `benchmarks/token_ratios.py` measures
them, and how far documents lie from them. A text without letters counts as Latin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udfs.tokens import string_buffers
from udfs.unicode import ALPHA, BLOCK_BITS, BLOCK_MASK, load_tables

RATIOS_PATH = Path(__file__).with_name("token_ratios.json")
CODE_POINTS = 0x110000
MAX_PIECE_BYTES = 1 << 22  # texts are counted in groups of about so many bytes: working memory is ten times that


class Script(NamedTuple):
    """Scripts that are counted together: a name and ranges of code points."""

    name: str
    ranges: tuple[tuple[int, int], ...]


# The first is also what letters of no range here count as.
SCRIPTS: tuple[Script, ...] = (
    Script("latin", ((0x0041, 0x024F), (0x1E00, 0x1EFF), (0xFF21, 0xFF5A))),
    Script("greek", ((0x0370, 0x03FF), (0x1F00, 0x1FFF))),
    Script("cyrillic", ((0x0400, 0x052F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F))),
    Script("armenian and georgian", ((0x0530, 0x058F), (0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F))),
    Script("hebrew", ((0x0590, 0x05FF), (0xFB1D, 0xFB4F))),
    Script("arabic", ((0x0600, 0x06FF), (0x0750, 0x077F), (0x08A0, 0x08FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF))),
    Script("indic", ((0x0900, 0x0DFF),)),
    Script("thai and lao", ((0x0E00, 0x0EFF),)),
    Script("tibetan, burmese and khmer", ((0x0F00, 0x109F), (0x1780, 0x17FF))),
    Script("ethiopic", ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F))),
    Script("hangul", ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF))),
    Script("kana", ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))),
    Script("han", ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))),
)
_OTHER_CHARACTER = len(SCRIPTS)


class TokenCounter(Protocol):
    """What counts tokens."""

    exact: bool
    method: str  # as the output names it

    def count(self, text: pa.Array, language: pa.Array | None = None) -> NDArray[np.float64]:
        """Tokens of each text, 0 for null; ``language`` holds codes or nulls."""


class CharacterRatios:
    """Tokens from characters, by language and script: quick, of any language, an estimate."""

    exact = False
    method = "estimated from characters by language and script"

    def __init__(self) -> None:
        stored = json.loads(RATIOS_PATH.read_text(encoding="utf-8"))
        self._by_script = np.array([stored["scripts"][script.name] for script in SCRIPTS])
        self._languages: Mapping[str, Mapping[str, float]] = stored["languages"]

    def count(self, text: pa.Array, language: pa.Array | None = None) -> NDArray[np.float64]:
        """Estimate the tokens of each text of a string array; 0 for null and for the empty text."""
        letters, characters = characters_by_script(text)
        all_letters = letters.sum(axis=1)
        weighted = (letters * self._rates(language, len(characters))).sum(axis=1)
        rate = np.divide(weighted, all_letters, out=np.full(len(characters), self._by_script[0]), where=all_letters > 0)
        return np.asarray(rate * characters)

    def _rates(self, language: pa.Array | None, documents: int) -> NDArray[np.float64]:
        """Return tokens a character, [documents or 1, scripts]."""
        if language is None:
            return self._by_script[np.newaxis]
        if isinstance(language, pa.ChunkedArray):
            language = language.combine_chunks()
        encoded = pc.fill_null(language.cast(pa.string()), "").dictionary_encode()
        rows = [self._of_language(code) for code in encoded.dictionary.to_pylist()]
        return np.array(rows or [self._by_script])[encoded.indices.to_numpy(zero_copy_only=False)]

    def _of_language(self, code: str) -> NDArray[np.float64]:
        own = self._languages.get(code.replace("_", "-").split("-")[0].lower(), {})
        return np.array([own.get(script.name, rate) for script, rate in zip(SCRIPTS, self._by_script, strict=True)])


class FileTokenizer:
    """Tokens counted by a ``tokenizer.json`` of the `tokenizers` library; without the special tokens it would add."""

    exact = True

    def __init__(self, path: str) -> None:
        """Read the file. Raises ``ImportError`` without the library, ``ValueError`` for a file that is no tokenizer."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(path)
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path}: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.method = f"counted by {Path(path).name}"

    def count(self, text: pa.Array, language: pa.Array | None = None) -> NDArray[np.float64]:
        """Count the tokens of each text of a string array; 0 for null. The language does not matter."""
        texts = [value or "" for value in text.to_pylist()]
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return np.array([len(each.ids) for each in encoded], dtype=np.float64)


def characters_by_script(text: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count letters by script and all characters.

    Returns:
        (letters [documents, scripts], characters [documents]), in code points.
    """
    data, offsets = string_buffers(text)
    documents = len(offsets) - 1
    letters = np.zeros((documents, len(SCRIPTS)), dtype=np.int64)
    characters = np.zeros(documents, dtype=np.int64)
    begin = 0
    while begin < documents:
        end = int(np.searchsorted(offsets, offsets[begin] + MAX_PIECE_BYTES, side="right")) - 1
        end = min(max(end, begin + 1), documents)
        _count_piece(data, offsets[begin : end + 1], letters[begin:end], characters[begin:end])
        begin = end
    return letters, characters


def _count_piece(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], letters: NDArray[np.int64], characters: NDArray[np.int64]
) -> None:
    piece = data[offsets[0] : offsets[-1]]
    if not len(piece):
        return
    begins = np.concatenate([[0], np.cumsum((piece & 0xC0) != 0x80)])[offsets - offsets[0]]  # in code points
    code_points = np.frombuffer(piece.tobytes().decode("utf-8").encode("utf-32-le"), dtype=np.uint32)
    scripts = _script_table()[code_points]
    document = np.repeat(np.arange(len(characters)), np.diff(begins))
    width = _OTHER_CHARACTER + 1
    counted = np.bincount(document * width + scripts, minlength=len(characters) * width).reshape(-1, width)
    letters += counted[:, :_OTHER_CHARACTER]
    characters += counted.sum(axis=1)


@cache
def _script_table() -> NDArray[np.uint8]:
    """Return the number of the script of every code point; `_OTHER_CHARACTER` for what is no letter."""
    tables = load_tables()
    every = np.arange(CODE_POINTS)
    rows = tables.blocks[every >> BLOCK_BITS].astype(np.int64) << BLOCK_BITS
    is_letter = (tables.classes[rows + (every & BLOCK_MASK)] & ALPHA) != 0
    table = np.where(is_letter, np.uint8(0), np.uint8(_OTHER_CHARACTER)).astype(np.uint8)
    for number, script in enumerate(SCRIPTS):
        for low, high in script.ranges:
            table[low : high + 1][is_letter[low : high + 1]] = number
    return table
