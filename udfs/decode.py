"""Bytes of a page to text: which character encoding they are in, when what is declared may be wrong.

Order of evidence, strongest first:

1. a byte order mark;
2. zero bytes at every second place (UTF-16 without a mark) and the escapes of ISO-2022-JP;
3. the bytes themselves being UTF-8: text in another encoding is practically never valid UTF-8 by accident, so a page
that is
   valid is read so whatever its headers say; a few broken sequences in an otherwise valid page change nothing;
4. the charset of the HTTP header, then that of `<meta>` or the XML declaration, where the bytes can be that;
5. detection from the bytes of the text (turbohtml's frequency model), else windows-1252.

A declaration is overruled (4 by 5) only by a detection of another script: between windows-1252 and -1250 the page knows
better, but "ISO-8859-1" over KOI8-R bytes is an unset default. Labels mean what they mean to browsers
(https://encoding.spec.whatwg.org/#names-and-labels): ISO-8859-1 is windows-1252, GB2312 is GB18030, and so on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from turbohtml.detect import detect

__all__ = ["Decoded", "charset_of_header", "charset_of_markup", "decode", "python_codec", "utf8_bytes"]

_DETECT_BYTES = 1 << 16
_META_BYTES = 8192
_FEW_BYTES = 6
_SURE = 0.4
_SOME = 0.1

_SINGLE_BYTE = {
    "latin": ("cp1252", "cp1250", "cp1254", "cp1257", "cp1258", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-10",
              "iso8859-13", "iso8859-14", "iso8859-15", "iso8859-16", "mac-roman", "cp850", "cp437"),
    "cyrillic": ("cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866", "mac-cyrillic"),
    "greek": ("cp1253", "iso8859-7"),
    "hebrew": ("cp1255", "iso8859-8"),
    "arabic": ("cp1256", "iso8859-6"),
    "thai": ("cp874",),
}  # fmt: skip
_MULTI_BYTE = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "iso2022_jp", "iso2022_kr", "hz")
_SCRIPT = {codec: script for script, codecs in _SINGLE_BYTE.items() for codec in codecs}
_SCRIPT.update({codec: codec for codec in _MULTI_BYTE})

_LABELS = {
    "utf-8": ("utf8", "unicode-1-1-utf-8", "utf-8-sig", "x-unicode20utf8", "unicode"),
    "utf-16-le": ("utf-16", "utf-16le", "ucs-2", "iso-10646-ucs-2", "unicodefeff"),
    "utf-16-be": ("utf-16be", "unicodefffe"),
    "cp1252": ("windows-1252", "iso-8859-1", "iso8859-1", "iso88591", "iso_8859-1", "latin1", "latin-1", "l1", "ascii",
               "us-ascii", "ansi_x3.4-1968", "x-cp1252", "cp819", "ibm819", "iso-ir-100"),
    "cp1254": ("windows-1254", "iso-8859-9", "iso8859-9", "iso88599", "latin5", "l5", "x-cp1254"),
    "cp1250": ("windows-1250", "x-cp1250"),
    "cp1251": ("windows-1251", "x-cp1251", "win-1251", "win1251"),
    "cp1253": ("windows-1253", "x-cp1253"),
    "cp1255": ("windows-1255", "x-cp1255"),
    "cp1256": ("windows-1256", "x-cp1256"),
    "cp1257": ("windows-1257", "x-cp1257"),
    "cp1258": ("windows-1258", "x-cp1258"),
    "cp874": ("windows-874", "tis-620", "iso-8859-11", "iso8859-11", "dos-874"),
    "iso8859-2": ("iso-8859-2", "latin2", "l2", "iso_8859-2", "iso88592"),
    "iso8859-3": ("iso-8859-3", "latin3"),
    "iso8859-4": ("iso-8859-4", "latin4"),
    "iso8859-5": ("iso-8859-5", "cyrillic", "iso88595"),
    "iso8859-6": ("iso-8859-6", "arabic", "iso-8859-6-e", "iso-8859-6-i", "asmo-708"),
    "iso8859-7": ("iso-8859-7", "greek", "greek8", "ecma-118", "elot_928", "sun_eu_greek"),
    "iso8859-8": ("iso-8859-8", "hebrew", "visual", "iso-8859-8-e", "iso-8859-8-i", "logical"),
    "iso8859-10": ("iso-8859-10", "latin6"),
    "iso8859-13": ("iso-8859-13",),
    "iso8859-14": ("iso-8859-14",),
    "iso8859-15": ("iso-8859-15", "latin9", "latin-9", "l9", "iso885915"),
    "iso8859-16": ("iso-8859-16",),
    "koi8-r": ("koi8", "koi", "koi8_r", "cskoi8r"),
    "koi8-u": ("koi8-ru",),
    "cp866": ("ibm866", "866", "csibm866"),
    "mac-roman": ("macintosh", "mac", "x-mac-roman"),
    "mac-cyrillic": ("x-mac-cyrillic", "x-mac-ukrainian"),
    "gb18030": ("gb2312", "gbk", "gb_2312", "gb_2312-80", "x-gbk", "chinese", "csgb2312", "iso-ir-58", "gb-2312",
                "cp936", "windows-936", "euc-cn"),
    "big5hkscs": ("big5", "big5-hkscs", "cn-big5", "csbig5", "x-x-big5", "cp950", "big-5"),
    "cp932": ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "ms932", "csshiftjis", "shiftjis"),
    "euc_jp": ("euc-jp", "x-euc-jp", "eucjp", "cseucpkdfmtjapanese"),
    "iso2022_jp": ("iso-2022-jp", "csiso2022jp"),
    "iso2022_kr": ("iso-2022-kr", "csiso2022kr"),
    "hz": ("hz-gb-2312",),
    "cp949": ("euc-kr", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "ksc_5601", "korean", "windows-949",
              "iso-ir-149", "cseuckr", "euckr", "uhc"),
}  # fmt: skip
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in (*labels, codec)}

_HEADER_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_META_CHARSET = re.compile(
    rb"<meta\s[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})"
    rb"|<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{2,40})",
    re.IGNORECASE,
)
_TAGS = re.compile(rb"<script\b.*?</script|<style\b.*?</style|<[^>]*>", re.IGNORECASE | re.DOTALL)
_NON_ASCII = re.compile(rb"[\x80-\xff]+")
_HZ = re.compile(rb"~\{(?:[!-}][!-~])+~\}")
_ISO_2022_JP = re.compile(rb"\x1b\$[B@][\x21-\x7e\s]{2,}?\x1b\([BJ]")


class Decoded(NamedTuple):
    """`encoding` is a Python codec name; `evidence` is mark, bytes, utf-8, header, markup, detected or default."""

    text: str
    encoding: str
    evidence: str


def python_codec(label: str | None) -> str | None:
    """The codec that browsers use for an encoding label; None for a label they do not know.

    Only encodings of text are known: no label of a hostile page reaches other Python codecs.
    """
    return _CODECS.get(label.strip().lower()) if label else None


def charset_of_header(content_type: str | None) -> str | None:
    """The codec that a Content-Type value names, or None."""
    found = _HEADER_CHARSET.search(content_type) if content_type else None
    return python_codec(found.group(1)) if found else None


def charset_of_markup(content: bytes) -> str | None:
    """The codec named by `<meta>` or an XML declaration in the first 8 KiB, or None. UTF-16 there means UTF-8."""
    found = _META_CHARSET.search(content[:_META_BYTES])
    if not found:
        return None
    codec = python_codec((found.group(1) or found.group(2)).decode("ascii"))
    return "utf-8" if codec in ("utf-16-le", "utf-16-be") else codec


def decode(content: bytes, content_type: str | None = None) -> Decoded:
    """The text of a page. Never raises: what cannot be decoded becomes U+FFFD."""
    for mark, codec in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\x00\x00", "utf-32-le"),
        (b"\x00\x00\xfe\xff", "utf-32-be"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if content.startswith(mark):
            return Decoded(content[len(mark) :].decode(codec, "replace"), codec, "mark")
    wide = _utf16_without_mark(content)
    if wide:
        return Decoded(content.decode(wide, "replace"), wide, "bytes")
    if content.isascii():
        return _decode_ascii(content, content_type)
    declared = charset_of_header(content_type) or charset_of_markup(content)
    few = declared in _MULTI_BYTE and _count_non_ascii(content, _FEW_BYTES) <= _FEW_BYTES
    if not few:
        try:
            return Decoded(content.decode("utf-8"), "utf-8", "utf-8")
        except UnicodeDecodeError:
            if _mostly_utf8(content):
                return Decoded(content.decode("utf-8", "replace"), "utf-8", "utf-8")
    return _decode_legacy(content, content_type)


def utf8_bytes(content: bytes, content_type: str | None = None) -> bytes:
    """The page as valid UTF-8 without a byte order mark; the same object where it is that already."""
    if content[:3] != b"\xef\xbb\xbf" and content[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\0" not in content[:64]:
        declared = None if content.isascii() else charset_of_header(content_type)
        if declared not in _MULTI_BYTE and b"\x1b$" not in content:
            try:
                content.decode("utf-8")
            except UnicodeDecodeError:
                pass
            else:
                if not content.isascii() or b"~{" not in content:
                    return content
    return decode(content, content_type).text.encode("utf-8", "replace")


def _decode_ascii(content: bytes, content_type: str | None) -> Decoded:
    if _ISO_2022_JP.search(content):
        return Decoded(content.decode("iso2022_jp", "replace"), "iso2022_jp", "bytes")
    declared = charset_of_header(content_type) or charset_of_markup(content)
    if b"~{" in content and (declared == "hz" or len(_HZ.findall(content, 0, _DETECT_BYTES)) > 8):
        return Decoded(content.decode("hz", "replace"), "hz", "bytes")
    if declared == "iso2022_kr" and b"\x1b$)C" in content:
        return Decoded(content.decode("iso2022_kr", "replace"), "iso2022_kr", "bytes")
    return Decoded(content.decode("ascii"), "utf-8", "utf-8")


def _utf16_without_mark(content: bytes) -> str | None:
    head = content[:1024]
    if len(head) < 16 or b"\0" not in head:
        return None
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.05:
        return "utf-16-be"
    return None


def _count_non_ascii(content: bytes, enough: int) -> int:
    count = 0
    for found in _NON_ASCII.finditer(content):
        count += len(found.group())
        if count > enough:
            break
    return count


def _mostly_utf8(content: bytes) -> bool:
    """Whether broken sequences are rare among those that are valid: a cut character, a pasted comment."""
    text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd") - content.count(b"\xef\xbf\xbd")
    characters = len(text) - len(text.encode("ascii", "ignore")) - broken
    return characters >= 4 * broken


def _decode_legacy(content: bytes, content_type: str | None) -> Decoded:
    sample = _text_sample(content)
    guess, confidence = _detect(sample)
    for codec, evidence in ((charset_of_header(content_type), "header"), (charset_of_markup(content), "markup")):
        if codec is None or codec == "utf-8" or codec.startswith("utf-16"):
            continue
        if codec in _MULTI_BYTE:
            text = content.decode(codec, "replace")
            wrong = text.count("\ufffd")
            if wrong * 50 <= len(text) - len(text.encode("ascii", "ignore")):
                return Decoded(text, codec, evidence)
            continue
        overruled = guess is not None and guess != codec and _overrules(sample, guess, confidence, codec)
        if not overruled:
            return Decoded(content.decode(codec, "replace"), codec, evidence)
    if guess is not None:
        return Decoded(content.decode(guess, "replace"), guess, "detected")
    return Decoded(content.decode("cp1252", "replace"), "cp1252", "default")


def _text_sample(content: bytes) -> bytes:
    """The page's text without markup, up to 64 KiB, with as much of it not ASCII as there is."""
    text = _TAGS.sub(b" ", content[: 1 << 20])
    first = _NON_ASCII.search(text)
    begin = max(0, first.start() - 256) if first else 0
    return text[begin : begin + _DETECT_BYTES]


def _detect(sample: bytes) -> tuple[str | None, float]:
    found = detect(sample)
    codec = python_codec(found.encoding)
    if codec is None or codec == "utf-8" or found.confidence <= 0.0:
        return None, 0.0
    return codec, float(found.confidence)


def _overrules(sample: bytes, guess: str, confidence: float, declared: str) -> bool:
    """Whether a detected encoding stands against a declared one of a single byte a character.

    It must be of another script, or the other Cyrillic one, and either read better or show that the declared alphabet
    is Latin while nearly every letter lies past ASCII, which no Latin orthography does.
    """
    script, declared_script = _SCRIPT.get(guess), _SCRIPT.get(declared)
    if script == declared_script and script != "cyrillic":
        return False
    text = sample.decode(declared, "replace")
    if declared_script == "latin" and confidence >= _SOME:
        letters = [char for char in text if char.isalpha()]
        foreign = sum(char > "\x7f" for char in letters)
        if foreign > 16 and foreign > 0.6 * len(letters):
            return True
    sure = confidence >= _SURE or script == declared_script
    return sure and _strangeness(sample.decode(guess, "replace")) < 0.5 * _strangeness(text)


def _strangeness(text: str) -> float:
    """Share of characters past ASCII that no orthography puts where they are: symbols in words, capitals after
    small.
    """
    strange = total = 0
    before = " "
    for char in text:
        if char > "\x7f":
            total += 1
            inside = before.isalpha()
            if (
                char == "\ufffd"
                or "\x80" <= char <= "\x9f"
                or (inside and (char.isupper() and before.islower()))
                or (before > "\x7f" and inside and not (char.isalpha() or char.isspace() or char in "’”»“«–—…·،。、"))
            ):
                strange += 1
            elif inside and before < "\x80" and char.isalpha() and char >= "\u0370":
                strange += 1  # Latin and another alphabet in one word
        before = char
    return strange / total + 0.01 if total else 0.0
