"""Personal data and secrets in texts: found, counted, replaced by typed masks.

    email         an address whose last label is a top-level domain of the public suffix list (``logo@2x.png`` is none)
    ip_address    a public IPv4 address, or an IPv6 address of 2000::/3; not part of a version number, and four single
                  digits only after a word such as *address* or *DNS*
    phone         an international number (+ and 8 … 15 digits), a North American one written in groups, or another
                  number in groups after a word such as *phone*
    iban          an account number with its country's length and a valid remainder modulo 97 (ISO 13616)
    payment_card  13 … 19 digits with an issuer's prefix and a valid Luhn digit (ISO/IEC 7812-1)
    api_key       a key in the form of a known issuer, or a long value of mixed signs after *api key*, *secret*, *token*
    private_key   a PEM or PGP private-key block, whole

Precision before recall: a number that could be an order number is left alone unless a checksum or a word beside it says
what it is. Names and postal addresses are not looked for.

A compiled scan tells which documents can hold which kind at all; only those meet the patterns, which run in RE2: time
is linear in the text, whatever it is. Where two finds overlap, the kind listed first here under `KINDS` wins. A mask
holds nothing that is found again. The same text is masked alike everywhere.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import string_buffers

KINDS = ("private_key", "api_key", "email", "iban", "payment_card", "ip_address", "phone")
MASKS = {kind: f"[{kind.upper()}]" for kind in KINDS}
SPAN_TYPE = pa.struct([("kind", pa.string()), ("begin", pa.int64()), ("end", pa.int64())])

PRIVATE_KEY, API_KEY, EMAIL, IBAN, CARD, IP, PHONE = (1 << bit for bit in range(7))  # in the order of KINDS
KEY_CHARS = 20  # shortest run of letters, digits, - and _ that an API key has

# Account numbers: characters by country (SWIFT IBAN registry).
IBAN_CHARS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20,
    "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip

VERSION_BEFORE = re2.compile(r"(?i)(?:\bv|version|release|build|section|§)[ .:]{0,2}$")


ADDRESS_BEFORE = re2.compile(rb"(?i)\b(?:ips?|ipv4|address(?:es)?|dns|hosts?|nameservers?|servers?|ping|peers?)\b")


class Found(NamedTuple):
    """Personal data of a batch."""

    counts: dict[str, pa.Array]  # int64 by kind, null where the text is null
    spans: pa.Array  # list<struct<kind, begin, end>>: code points, in order; null where nothing was found


class Redacted(NamedTuple):
    """A batch without its personal data."""

    text: pa.Array  # string
    counts: dict[str, pa.Array]
    spans: pa.Array  # as in `Found`, places in the text as it was


# -------------------------------------------------------------------------------------------------------------- kernel


@njit(cache=True, nogil=True)
def _suspect(data, offsets, flags):
    """Set in flags[i] the bits of the kinds that document i can hold: never too few, sometimes too many."""
    for i in range(len(offsets) - 1):
        found = 0
        key_run = 0  # letters, digits, - and _
        key_letters = False
        key_digits = False
        dotted = 0  # dots in a run of digits and dots
        dotted_digits = 0
        colons = 0  # in a run of hexadecimal digits and colons
        digits = 0  # in a run of digits and what stands between them in numbers
        dashes = 0
        capitals = 0
        after_capitals = 0
        begin = offsets[i]
        end = offsets[i + 1]
        for k in range(begin, end):
            byte = data[k]
            digit = 48 <= byte <= 57
            upper = 65 <= byte <= 90
            lower = 97 <= byte <= 122
            if digit or upper or lower or byte == 45 or byte == 95:
                key_run += 1
                key_digits = key_digits or digit
                key_letters = key_letters or upper or lower
                if key_run >= KEY_CHARS and key_digits and key_letters:
                    found |= API_KEY
            else:
                key_run = 0
                key_digits = False
                key_letters = False
            if byte == 64 and k > begin and k + 1 < end:
                found |= EMAIL
            if byte == 45:
                dashes += 1
                if dashes >= 5:
                    found |= PRIVATE_KEY
            else:
                dashes = 0
            if digit:
                digits += 1
                dotted_digits += 1
                if digits >= 7:
                    found |= PHONE
                    if digits >= 13:
                        found |= CARD
                if capitals >= 2:
                    after_capitals += 1
                    if after_capitals == 2:
                        found |= IBAN
                if dotted >= 3:
                    found |= IP
            else:
                if byte == 46 and dotted_digits > 0:
                    dotted += 1
                else:
                    dotted = 0
                    dotted_digits = 0
                if upper:
                    capitals = capitals + 1 if after_capitals == 0 else 1
                else:
                    capitals = 0
                after_capitals = 0
                if not (byte == 32 or 40 <= byte <= 47 or byte == 160 or byte == 194):
                    digits = 0
            if byte == 58:
                colons += 1
                if colons >= 2:
                    found |= IP
            elif not (digit or 65 <= byte <= 70 or 97 <= byte <= 102):
                colons = 0
        flags[i] = found


# -------------------------------------------------------------------------------------------------------------- checks
# Each takes the text (UTF-8), a match's first byte and the byte after it, and gives the span that counts, or None.


Span = tuple[int, int]
DIGITS = frozenset(b"0123456789")
WORD_BYTES = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")


@cache
def _top_level_domains() -> frozenset[str]:
    """Return the last labels of the public suffix list that tldextract ships, without the net."""
    from udfs.urls import _public_suffixes

    return frozenset(suffix.rpartition(".")[2] for suffix in _public_suffixes().tlds) | {"example"}  # RFC 2606


def _is_email(data: bytes, begin: int, end: int) -> Span | None:
    local, _, domain = data[begin:end].decode("ascii").partition("@")
    stripped = local.lstrip(".-+%")
    labels = domain.split(".")
    plausible = (
        0 < len(stripped) <= 64
        and not stripped.endswith(".")
        and ".." not in stripped
        and len(domain) <= 253
        and all(0 < len(label) <= 63 and label[0] != "-" and label[-1] != "-" for label in labels)
        and labels[-1].lower() in _top_level_domains()
    )
    return (begin + len(local) - len(stripped), end) if plausible else None


def _is_ipv4(data: bytes, begin: int, end: int) -> Span | None:
    before, after = data[max(0, begin - 32) : begin], data[end : end + 2]
    if before[-1:] and (before[-1] in WORD_BYTES or before[-1:] in (b".", b"-")):
        return None
    if after[:1] and (after[0] in WORD_BYTES or (after[:1] in (b".", b"-") and after[1:2] and after[1] in WORD_BYTES)):
        return None
    small = all(int(octet) < 10 for octet in data[begin:end].split(b"."))
    if small and not ADDRESS_BEFORE.search(before):
        return None
    if VERSION_BEFORE.search(before.decode("utf-8", "ignore")):
        return None
    try:
        address = ipaddress.IPv4Address(data[begin:end].decode("ascii"))
    except ValueError:
        return None
    return (begin, end) if address.is_global and not address.is_multicast else None


def _is_ipv6(data: bytes, begin: int, end: int) -> Span | None:
    if (begin > 0 and data[begin - 1] in WORD_BYTES | {58, 46}) or (end < len(data) and data[end] in WORD_BYTES | {58}):
        return None
    text = data[begin:end].decode("ascii")
    if text.endswith(":") and not text.endswith("::"):
        text, end = text[:-1], end - 1
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return (begin, end) if address in ipaddress.IPv6Network("2000::/3") and address.is_global else None


def _lone_number(data: bytes, begin: int, end: int) -> bool:
    """Say whether a number is not the piece of a longer one or of a word."""
    before, after = data[max(0, begin - 2) : begin], data[end : end + 2]
    if before and (before[-1] in WORD_BYTES or (before[-1] in b".-/,+" and len(before) > 1 and before[0] in DIGITS)):
        return False
    return not after or not (
        after[0] in WORD_BYTES
        or after[0] == 64
        or (after[0] in b".-/," and len(after) > 1 and after[1] in DIGITS)
        or (after[0] == 45 and len(after) > 1 and after[1] in WORD_BYTES)
    )


def _digits(data: bytes, begin: int, end: int) -> bytes:
    return bytes(byte for byte in data[begin:end] if byte in DIGITS)


def _is_international(data: bytes, begin: int, end: int) -> Span | None:
    digits = _digits(data, begin, end)
    plausible = 8 <= len(digits) <= 15 and len(set(digits)) > 2 and digits[0] != 48
    return (begin, end) if plausible and _lone_number(data, begin, end) else None


def _is_american(data: bytes, begin: int, end: int) -> Span | None:
    digits = _digits(data, begin, end)[-10:]
    plausible = digits[0] >= 50 and digits[3] >= 50 and len(set(digits)) > 2  # area and exchange begin with 2 … 9
    return (begin, end) if plausible and _lone_number(data, begin, end) else None


def _is_told(data: bytes, begin: int, end: int) -> Span | None:
    """Take the number that follows the word."""
    number = begin + NUMBER_NAME.match(data[begin:end]).end()
    digits = _digits(data, number, end)
    plausible = 7 <= len(digits) <= 15 and len(set(digits)) > 2 and not DATE.match(data[number:end])
    return (number, end) if plausible and _lone_number(data, number, end) else None


def _is_iban(data: bytes, begin: int, end: int) -> Span | None:
    if begin > 0 and data[begin - 1] in WORD_BYTES:
        return None
    wanted = IBAN_CHARS.get(data[begin : begin + 2].decode("ascii"))
    if wanted is None:
        return None
    kept = bytearray()
    at = begin
    while at < end and len(kept) < wanted:
        if data[at] != 32:
            kept.append(data[at])
        at += 1
    if len(kept) < wanted or (at < len(data) and data[at] in WORD_BYTES):
        return None
    moved = kept[4:] + kept[:4]
    number = "".join(str(int(chr(byte), 36)) for byte in moved)
    return (begin, at) if int(number) % 97 == 1 else None


def luhn(digits: str) -> bool:
    """Say whether the last digit is the Luhn check digit of those before it (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 - odd) for digit, odd in zip(reversed(digits), [1, 0] * len(digits), strict=False)]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _has_issuer(digits: str) -> bool:
    """Say whether number and length belong to a card network."""
    size, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    return (
        (digits[0] == "4" and size in (13, 16, 19))  # Visa
        or (size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))  # Mastercard
        or (size == 15 and two in (34, 37))  # American Express
        or (16 <= size <= 19 and (four == 6011 or two == 65 or 644 <= three <= 649))  # Discover
        or (16 <= size <= 19 and (3528 <= four <= 3589 or two == 62))  # JCB, UnionPay
        or (14 <= size <= 19 and (two in (36, 38, 39) or 300 <= three <= 305))  # Diners Club
    )


CARD_GROUPS = ([16], [13], [14], [15], [17], [18], [19], [4, 4, 4, 4], [4, 6, 5], [4, 6, 4], [4, 4, 4, 4, 3])


def _is_card(data: bytes, begin: int, end: int) -> Span | None:
    """Take the first groups of a run of digits, spaces and dashes that are a card number."""
    groups = [match.span() for match in DIGIT_GROUP.finditer(data[begin:end])]
    for first in range(len(groups)):
        for sizes in CARD_GROUPS:
            chosen = groups[first : first + len(sizes)]
            if [b - a for a, b in chosen] != sizes:
                continue
            span = begin + chosen[0][0], begin + chosen[-1][1]
            digits = _digits(data, *span).decode("ascii")
            separators = set(data[span[0] : span[1]]) - DIGITS
            regular = len(separators) < 2 and len(set(digits)) > 1
            if regular and _lone_number(data, *span) and _has_issuer(digits) and luhn(digits):
                return span
    return None


def _entropy(value: bytes) -> float:
    """Return the Shannon entropy of a value's bytes, in bits a byte."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def _is_issued_key(data: bytes, begin: int, end: int) -> Span | None:
    if begin > 0 and data[begin - 1] in WORD_BYTES:
        return None
    while data[end - 1] in b"-.":
        end -= 1
    return (begin, end) if _entropy(data[begin:end]) >= 3 else None


def _is_assigned_key(data: bytes, begin: int, end: int) -> Span | None:
    """Take the value that follows the name."""
    value = begin + ASSIGNED_NAME.match(data[begin:end]).end()
    mixed = any(b in DIGITS for b in data[value:end]) and any(65 <= b <= 122 for b in data[value:end])
    return (value, end) if mixed and _entropy(data[value:end]) >= 3.5 else None


def _private_keys(data: bytes) -> list[Span]:
    """Return the blocks from each BEGIN to the END after it; where another BEGIN comes first, or nothing, to the end of
    what can be part of a key.
    """
    marks = list(KEY_MARK.finditer(data))
    spans = []
    for mark, following in zip_longest(marks, marks[1:]):
        if mark.group(1) != b"BEGIN":
            continue
        limit = following.start() if following else len(data)
        if following and following.group(1) == b"END" and following.start() - mark.end() <= LONGEST_KEY_BYTES:
            spans.append((mark.start(), following.end()))
        else:
            body = KEY_BODY.match(data[mark.end() : min(limit, mark.end() + LONGEST_KEY_BYTES)])
            spans.append((mark.start(), mark.end() + body.end()))
    return spans


BYTES = re2.Options()
BYTES.encoding = re2.Options.Encoding.LATIN1  # patterns and offsets are of bytes
ASSIGNED_NAME = re2.compile(
    rb"(?i)(?:api[ _-]?key|access[ _-]?key|secret|token|passw(?:or)?d)[a-z_ ]{0,12}[\"']?\s{0,3}"
    rb"(?:=>|:=|=|:)\s{0,3}[\"']?"
)
NUMBER_NAME = re2.compile(
    rb"(?i)(?:\b(?:tel(?:efono?|efoon|\xc3\xa9fono|\xc3\xa9phone|ephone)?|phone|mobile?|cell|handy|fax|call|whatsapp"
    rb"|hotline|sms)|\xd1\x82\xd0\xb5\xd0\xbb(?:\xd0\xb5\xd1\x84\xd0\xbe\xd0\xbd)?"
    rb"|\xe7\x94\xb5\xe8\xaf\x9d|\xe9\x9b\xbb\xe8\xa9\xb1|\xec\xa0\x84\xed\x99\x94)[^0-9(+\n]{0,16}",
    BYTES,
)
DATE = re2.compile(rb"(?:19|20)[0-9]{2}[ ./-][0-9]{1,2}[ ./-]|[0-9]{1,2}[ ./-][0-9]{1,2}[ ./-](?:19|20)[0-9]{2}")
DIGIT_GROUP = re2.compile(rb"[0-9]+")
KEY_MARK = re2.compile(rb"-----(BEGIN|END) [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
KEY_BODY = re2.compile(rb"(?:\s*[A-Za-z0-9+/=\\]{16,})*")
LONGEST_KEY_BYTES = 32_768
ISSUED_KEYS = (
    rb"(?:AKIA|ASIA)[A-Z0-9]{16}",  # Amazon
    rb"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}",
    rb"AIza[A-Za-z0-9_-]{35}",  # Google
    rb"xox[abeoprs]-[A-Za-z0-9-]{16,}",  # Slack
    rb"[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    rb"sk-[A-Za-z0-9_-]{32,}",  # OpenAI, Anthropic
    rb"glpat-[A-Za-z0-9_-]{20,}",  # GitLab
    rb"npm_[A-Za-z0-9]{36}",
    rb"pypi-[A-Za-z0-9_-]{60,}",
    rb"hf_[A-Za-z0-9]{34,}",  # Hugging Face
    rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",  # SendGrid
    rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON web token
)
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


class Pattern(NamedTuple):
    """What a kind looks like, and what is checked of each match."""

    kind: str
    bit: int
    regex: Any
    check: Callable[[bytes, int, int], Span | None]


PATTERNS = (
    Pattern("api_key", API_KEY, re2.compile(b"|".join(ISSUED_KEYS)), _is_issued_key),
    Pattern("api_key", API_KEY, re2.compile(ASSIGNED_NAME.pattern + rb"[A-Za-z0-9_+/-]{20,}={0,2}"), _is_assigned_key),
    Pattern(
        "email",
        EMAIL,
        re2.compile(rb"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}"),
        _is_email,
    ),
    Pattern("iban", IBAN, re2.compile(rb"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}"), _is_iban),
    Pattern("payment_card", CARD, re2.compile(rb"[0-9](?:[ -]?[0-9]){12,}"), _is_card),
    Pattern("ip_address", IP, re2.compile(_OCTET + rb"(?:\." + _OCTET + rb"){3}"), _is_ipv4),
    Pattern("ip_address", IP, re2.compile(rb"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}"), _is_ipv6),
    Pattern(
        "phone",
        PHONE,
        re2.compile(rb"\+[0-9](?:[ ./-]?[0-9]| ?\([0-9]{1,4}\)[ ./-]?[0-9]|\xc2\xa0[0-9]|[.-] [0-9]){5,17}", BYTES),
        _is_international,
    ),
    Pattern(
        "phone",
        PHONE,
        re2.compile(rb"(?:\b1[ .-]?)?(?:\([0-9]{3}\) ?|\b[0-9]{3}[.-])[0-9]{3}[ .-][0-9]{4}"),
        _is_american,
    ),
    Pattern(
        "phone",
        PHONE,
        re2.compile(
            NUMBER_NAME.pattern + rb"(?:\([0-9]{1,5}\) ?)?[0-9](?:[ ./-]?[0-9]| ?\([0-9]{1,4}\)[ ./-]?[0-9]){2,14}",
            BYTES,
        ),
        _is_told,
    ),
)


def _in_document(data: bytes, bits: int, kinds: Collection[str]) -> list[tuple[str, int, int]]:
    """Return (kind, first byte, byte after the last) of all finds in a text, in order, none overlapping."""
    found: list[tuple[str, int, int]] = []
    if bits & PRIVATE_KEY and "private_key" in kinds:
        found += [("private_key", *span) for span in _private_keys(data)]
    for pattern in PATTERNS:
        if not bits & pattern.bit or pattern.kind not in kinds:
            continue
        for match in pattern.regex.finditer(data):
            span = pattern.check(data, *match.span())
            if span is not None:
                found.append((pattern.kind, *span))
    taken = []
    covered = bytearray(len(data))
    for kind, begin, end in sorted(found, key=lambda find: (KINDS.index(find[0]), find[1])):
        if covered.find(1, begin, end) < 0:
            covered[begin:end] = b"\x01" * (end - begin)
            taken.append((kind, begin, end))
    return sorted(taken, key=lambda find: find[1])


# ---------------------------------------------------------------------------------------------------------------- Arrow


def _finds(
    text: pa.Array, kinds: Collection[str]
) -> tuple[dict[int, list[tuple[str, int, int]]], Any, NDArray[np.int64]]:
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise ValueError(f"no kind of personal data {sorted(unknown)}: choose of {', '.join(KINDS)}")
    data, offsets = string_buffers(text)
    flags = np.zeros(len(offsets) - 1, dtype=np.int64)
    _suspect(data, offsets, flags)
    wanted = sum({1 << bit for bit, kind in enumerate(KINDS) if kind in kinds})
    view: Any = memoryview(data)  # type: ignore[arg-type]
    finds = {}
    for i in np.flatnonzero(flags & wanted).tolist():
        found = _in_document(bytes(view[offsets[i] : offsets[i + 1]]), int(flags[i]), kinds)
        if found:
            finds[i] = found
    return finds, view, offsets


def _report(
    text: pa.Array,
    finds: dict[int, list[tuple[str, int, int]]],
    data: Any,
    offsets: NDArray[np.int64],
    kinds: Collection[str],
) -> Found:
    null = np.asarray(text.is_null())
    tallies = {kind: np.zeros(len(text), dtype=np.int64) for kind in KINDS if kind in kinds}
    spans: list[list[dict[str, Any]] | None] = [None] * len(text)
    for i, found in finds.items():
        document = np.frombuffer(data[offsets[i] : offsets[i + 1]], dtype=np.uint8)
        places = np.concatenate([[0], np.cumsum((document & 0xC0) != 0x80)])
        spans[i] = [{"kind": kind, "begin": places[b], "end": places[e]} for kind, b, e in found]
        for kind, _, _ in found:
            tallies[kind][i] += 1
    counts = {kind: pa.array(tally, pa.int64(), mask=null) for kind, tally in tallies.items()}
    return Found(counts, pa.array(spans, pa.list_(SPAN_TYPE)))


def find(text: pa.Array, kinds: Collection[str] = KINDS) -> Found:
    """Find personal data of the given kinds in every document.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: There is no such kind.
    """
    finds, data, offsets = _finds(text, kinds)
    return _report(text, finds, data, offsets, kinds)


def redact(text: pa.Array, kinds: Collection[str] = KINDS) -> Redacted:
    """Replace personal data of the given kinds by masks such as ``[EMAIL]``; texts without any are left as they are.

    Raises:
        TypeError: `text` is not a string array.
        ValueError: There is no such kind.
    """
    finds, data, offsets = _finds(text, kinds)
    counts, spans = _report(text, finds, data, offsets, kinds)
    if not finds:
        return Redacted(text.cast(pa.string()), counts, spans)
    masked = []
    for i, found in finds.items():
        document = bytes(data[offsets[i] : offsets[i + 1]])
        pieces = []
        at = 0
        for kind, begin, end in found:
            pieces += [document[at:begin], MASKS[kind].encode()]
            at = end
        masked.append(b"".join([*pieces, document[at:]]).decode("utf-8", "replace"))
    mask = np.zeros(len(text), dtype=np.bool_)
    mask[list(finds)] = True
    replaced = pc.replace_with_mask(text.cast(pa.string()), pa.array(mask), pa.array(masked, pa.string()))
    return Redacted(replaced, counts, spans)
