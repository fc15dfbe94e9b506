"""URLs against lists of domains and addresses, and the words in URLs.

Definition. A URL's *host* is what stands between ``//`` (or the beginning) and the first of ``/ ? # \\``, without user
name, port and final dot, lower-case, in its ASCII form (IDNA 2008 with the mapping of UTS 46). Its *path* is the rest
up to ``#``, lower-case, with the percent escapes of letters, digits and ``-._~`` undone and without a final ``/``.

A *list* has one entry a line: a domain, or a domain with a path. Comments (``#``), hosts files (``0.0.0.0 domain``),
Adblock lines (``||domain^``), schemes, ``*.`` and ``.`` before a domain are understood. A domain names itself and every
host below it; an entry with a path names every URL of such a host whose path begins with it and goes on, if at all,
with one of ``/ ? & ;``. Of several entries that name a URL the one with the longest host, then the longest path, is
given; where several lists have it, the first list. IPv4 addresses have no hosts below them. The layout of UT1
(Université Toulouse Capitole: a folder per category with files ``domains`` and ``urls``) is read as it is.

The *words* of a URL are its runs of ASCII letters and digits, lower-case (RefinedWeb, arXiv 2306.01116, appendix G.1,
as FineWeb's code has it): ``strict`` words are looked for anywhere in the URL once all else is taken out, ``hard`` and
``soft`` words among its words; a hit is a word of the list, counted once.

A list is kept as 64-bit hashes in order with their entries beside them, and each find is checked against the entry
itself, so that a collision cannot remove a page. Stored as an Arrow file it is mapped into memory, so that all workers
of a machine share one copy: about 35 bytes an entry.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import idna
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udfs.kernels import njit
from udfs.tokens import HASH_START, hash_step, mix, string_buffers

TABLE_VERSION = 1
BLOCKED, HAS_PATHS = 1, 2
ENTRIES_PER_BUCKET = 4
NO_LIST_FILES = frozenset({"usage", "expressions", "very_restrictive_expression", "license", "readme", "users"})

# What a byte is in a URL.
DELIMITER = 1  # ends the authority: / ? # \
PATH_END = 2  # may follow the path of an entry: / ? & ;


def _byte_bits() -> NDArray[np.uint8]:
    bits = np.zeros(256, dtype=np.uint8)
    bits[list(b"/?#\\")] |= DELIMITER
    bits[list(b"/?&;")] |= PATH_END
    return bits


_BITS = _byte_bits()


class Match(NamedTuple):
    """Which list and entry names each URL; both null where none does."""

    category: pa.Array  # string: name of the list
    entry: pa.Array  # string: the entry, in canonical form


class WordHits(NamedTuple):
    """Words of a list in each URL: int64, null where the URL is null."""

    strict: pa.Array
    hard: pa.Array
    soft: pa.Array


@dataclass(frozen=True)
class UrlTable:
    """Lists of domains and addresses, ready to be looked up."""

    names: tuple[str, ...]  # of the lists
    hashes: NDArray[np.uint64]  # [entries] in order
    buckets: NDArray[np.uint32]  # [2^b + 1] first entry of each range of hashes with the same b first bits
    flags: NDArray[np.uint8]  # [entries] BLOCKED, HAS_PATHS
    lists: NDArray[np.uint16]  # [entries] index into `names`
    starts: NDArray[np.int64]  # [entries + 1] of `text`
    text: NDArray[np.uint8]  # canonical entries, one after another
    skipped: int  # lines that are no domain and no address
    nbytes: int

    def __len__(self) -> int:
        return int(np.count_nonzero(self.flags & BLOCKED))


# -------------------------------------------------------------------------------------------------------------- kernels


@njit(cache=True, nogil=True)
def _lower(byte):
    return byte + 32 if 65 <= byte <= 90 else byte


@njit(cache=True, nogil=True)
def _hex(byte):
    if 48 <= byte <= 57:
        return byte - 48
    byte = _lower(byte)
    return byte - 87 if 97 <= byte <= 102 else -1


@njit(cache=True, nogil=True)
def _authority(data, begin, end, bits):
    """Return (first, last) byte of the host of the URL ``data[begin:end]``; first == last where it has none."""
    while begin < end and data[begin] <= 32:
        begin += 1
    while begin < end and data[end - 1] <= 32:
        end -= 1
    first = begin
    at = begin
    while at < end and data[at] != 58 and not bits[data[at]] & DELIMITER:  # up to the first :
        at += 1
    if at + 2 < end and data[at] == 58 and data[at + 1] == 47 and data[at + 2] == 47:
        first = at + 3
    elif at + 1 < end and data[at] == 58 and not 48 <= data[at + 1] <= 57:  # mailto:, data: and the like
        return begin, begin
    elif begin + 1 < end and data[begin] == 47 and data[begin + 1] == 47:
        first = begin + 2
    last = first
    while last < end and not bits[data[last]] & DELIMITER:
        last += 1
    for k in range(first, last):
        if data[k] == 64:  # @
            first = k + 1
    if first < last and data[first] == 91:  # [ of an IPv6 address
        k = first
        while k < last and data[k] != 93:
            k += 1
        return first, min(k + 1, last)
    for k in range(first, last):
        if data[k] == 58:
            for digit in range(k + 1, last):
                if not 48 <= data[digit] <= 57:
                    return first, first
            last = k
            break
    while last > first and data[last - 1] == 46:
        last -= 1
    return first, last


@njit(cache=True, nogil=True)
def _needs_idna(data, offsets, bits, flags):
    """Set flags[i] where the host of URL i has a byte that is not ASCII, or a percent escape."""
    for i in range(len(offsets) - 1):
        first, last = _authority(data, offsets[i], offsets[i + 1], bits)
        flags[i] = False
        for k in range(first, last):
            if data[k] >= 128 or data[k] == 37:
                flags[i] = True
                break


@njit(cache=True, nogil=True)
def _canonical(data, begin, end, bits, out):
    """Write host and path of a URL to `out`, one after the other; return (bytes of the host, all bytes)."""
    first, last = _authority(data, begin, end, bits)
    size = 0
    for k in range(first, last):
        out[size] = _lower(data[k])
        size += 1
    host = size
    if host == 0:
        return 0, 0
    while end > last and data[end - 1] <= 32:
        end -= 1
    at = last
    while at < end and not bits[data[at]] & DELIMITER:  # port
        at += 1
    while at < end and data[at] != 35:  # up to the first #
        byte = data[at]
        if byte == 92:
            byte = np.uint8(47)
        if byte == 37 and at + 2 < end:
            high = _hex(data[at + 1])
            low = _hex(data[at + 2])
            if high >= 0 and low >= 0:
                value = high * 16 + low
                if 97 <= _lower(value) <= 122 or 48 <= value <= 57 or value in (45, 46, 95, 126):
                    byte = np.uint8(value)
                    at += 2
        out[size] = _lower(byte)
        size += 1
        at += 1
    while size > host and out[size - 1] == 47:
        size -= 1
    return host, size


@njit(cache=True, nogil=True)
def _is_ipv4(out, host):
    k = 0
    while k < host and (out[k] == 46 or 48 <= out[k] <= 57):
        k += 1
    return k == host


@njit(cache=True, nogil=True)
def _canonical_entries(data, offsets, bits, out, starts, hosts, hashes, host_hashes):
    """Write the canonical form of every entry to `out`, and its hash and that of its host."""
    size = 0
    starts[0] = 0
    for i in range(len(offsets) - 1):
        host, used = _canonical(data, offsets[i], offsets[i + 1], bits, out[size:])
        state = HASH_START
        for k in range(host - 1, -1, -1):
            state = hash_step(state, out[size + k])
        host_hashes[i] = mix(state)
        for k in range(host, used):
            state = hash_step(state, out[size + k])
        hashes[i] = mix(state)
        hosts[i] = host
        size += used
        starts[i + 1] = size


@njit(cache=True, nogil=True)
def _gather(text, sources, starts, out):
    """Copy pieces of `text` that begin at `sources` one after another, to ``out[starts[i]:starts[i + 1]]``."""
    for i in range(len(sources)):
        for k in range(starts[i + 1] - starts[i]):
            out[starts[i] + k] = text[sources[i] + k]


@njit(cache=True, nogil=True)
def _find(key, out, first, last, shift, hashes, buckets, starts, text):
    """Return the entry with this hash whose text is ``out[first:last]``, or -1."""
    bucket = key >> shift
    for e in range(np.int64(buckets[bucket]), np.int64(buckets[bucket + np.uint64(1)])):
        if hashes[e] >= key:
            if hashes[e] != key or starts[e + 1] - starts[e] != last - first:
                return -1
            for k in range(last - first):
                if text[starts[e] + k] != out[first + k]:
                    return -1
            return e
    return -1


@njit(allocates=True, cache=True, nogil=True)
def _match_batch(data, offsets, bits, hashes, buckets, flags, starts, text, found):
    """Find the entry that names every URL, -1 where none does."""
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    out = np.empty(longest, dtype=np.uint8)
    width = 0
    while (1 << width) < len(buckets) - 1:
        width += 1
    shift = np.uint64(64 - width)
    for i in range(len(offsets) - 1):
        found[i] = -1
        host, size = _canonical(data, offsets[i], offsets[i + 1], bits, out)
        whole_only = _is_ipv4(out, host)
        state = HASH_START
        for k in range(host - 1, -1, -1):
            state = hash_step(state, out[k])
            if k > 0 and (whole_only or out[k - 1] != 46):
                continue
            e = _find(mix(state), out, k, host, shift, hashes, buckets, starts, text)
            if e < 0:
                continue
            if flags[e] & BLOCKED:
                found[i] = e
            if flags[e] & HAS_PATHS:
                path = state
                for j in range(host, size):
                    path = hash_step(path, out[j])
                    if j + 1 == size or bits[out[j + 1]] & PATH_END:
                        longer = _find_path(mix(path), out, k, host, j + 1, shift, hashes, buckets, starts, text)
                        if longer >= 0 and flags[longer] & BLOCKED:
                            found[i] = longer


@njit(cache=True, nogil=True)
def _find_path(key, out, first, host, last, shift, hashes, buckets, starts, text):
    return _find(key, out, first, last, shift, hashes, buckets, starts, text) if last > host else -1


@njit(cache=True, nogil=True)
def _is_alnum(byte):
    return 97 <= byte <= 122 or 48 <= byte <= 57


@njit(allocates=True, cache=True, nogil=True)
def _count_words(data, offsets, step, fail_word, next_word, hard, soft, counts):
    """Count the words of three lists in every URL, each word of a list once.

    Args:
        data, offsets: URLs.
        step: int32[states, 36], the automaton of the strict words.
        fail_word: int32[states], the strict word that ends in a state, -1 for none.
        next_word: int32[states], the next state on the chain of suffixes in which a word ends, 0 for none.
        hard, soft: uint64[:], sorted hashes of words.
        counts: int64[urls, 3], receives the counts.
    """
    seen_strict = np.full(len(fail_word), -1, dtype=np.int64)
    seen_hard = np.full(len(hard), -1, dtype=np.int64)
    seen_soft = np.full(len(soft), -1, dtype=np.int64)
    for i in range(len(offsets) - 1):
        counts[i] = 0
        state = 0
        word = HASH_START
        in_word = False
        for k in range(offsets[i], offsets[i + 1] + 1):
            byte = _lower(data[k]) if k < offsets[i + 1] else np.uint8(0)
            if _is_alnum(byte):
                state = step[state, byte - 97 if byte >= 97 else byte - 22]
                ending = state
                while ending > 0:
                    if fail_word[ending] >= 0 and seen_strict[ending] != i:
                        seen_strict[ending] = i
                        counts[i, 0] += 1
                    ending = next_word[ending]
                word = hash_step(word, byte)
                in_word = True
            elif in_word:
                key = mix(word)
                at = np.searchsorted(hard, key)
                if at < len(hard) and hard[at] == key and seen_hard[at] != i:
                    seen_hard[at] = i
                    counts[i, 1] += 1
                at = np.searchsorted(soft, key)
                if at < len(soft) and soft[at] == key and seen_soft[at] != i:
                    seen_soft[at] = i
                    counts[i, 2] += 1
                word = HASH_START
                in_word = False


# ---------------------------------------------------------------------------------------------------------------- lists


def list_files(path: Path) -> list[Path]:
    """Return the files of a list, sorted: the file itself; of a folder, all files below it that are lists.

    In a folder with UT1's ``domains`` or ``urls``, those alone; elsewhere all but hidden, licence and read-me files.

    Raises:
        FileNotFoundError: There is no such file or folder, or no list in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"no list of domains at {path}: give a file or a folder")
    here = [path / name for name in ("domains", "urls") if (path / name).is_file()]
    if not here:
        named = (p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
        here = [p for p in named if p.stem.lower() not in NO_LIST_FILES]
    below = [file for p in path.iterdir() if p.is_dir() and p.name[0] != "." for file in _files_below(p)]
    if not here and not below:
        raise FileNotFoundError(f"no list of domains in the folder {path}")
    return sorted(here + below)


def _files_below(path: Path) -> list[Path]:
    try:
        return list_files(path)
    except FileNotFoundError:
        return []


def _lines(data: bytes) -> pa.Array:
    """Return the entries of a list file, without comments and the marks of other programs."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = pa.array(text.replace("\r", "\n").split("\n"), pa.large_string())
    marked = pc.match_substring_regex(lines, r"[\s#!|*]|^\.|//\.")
    if pc.any(marked).as_py():
        rest = pc.utf8_trim_whitespace(pc.replace_substring_regex(lines.filter(marked), r"(^|\s)[#!].*$", ""))
        rest = pc.replace_substring_regex(rest, r"^(0\.0\.0\.0|127\.0\.0\.1|::1?)\s+", "")
        rest = pc.replace_substring_regex(rest, r"^\|\|([^\^$]*)\^?(\$.*)?$", r"\1")
        rest = pc.replace_substring_regex(rest, r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?\*?\.", r"\1")
        lines = pc.replace_with_mask(lines, marked, rest)
    return lines.filter(pc.not_equal(lines, ""))


def build_table(lists: Mapping[str, Iterable[bytes]]) -> UrlTable:
    """Build a table of lists.

    Args:
        lists: Name of each list to the contents of its files. Of several lists with the same entry the first has it.

    Returns:
        The table; lines that are no domain and no address are counted in `skipped`.
    """
    names = tuple(lists)
    parts = [_lines(data) for files in lists.values() for data in files]
    owners = [index for index, files in enumerate(lists.values()) for _ in files]
    lines = pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())
    owner = np.repeat(np.array(owners, dtype=np.uint16), [len(part) for part in parts])
    data, offsets = string_buffers(_with_ascii_hosts(lines))
    count = len(offsets) - 1
    text = np.empty(int(offsets[-1] - offsets[0]) + 1, dtype=np.uint8)
    starts, hosts = np.empty(count + 1, np.int64), np.empty(count, np.int64)
    hashes, host_hashes = np.empty(count, np.uint64), np.empty(count, np.uint64)
    _canonical_entries(data, offsets, _BITS, text, starts, hosts, hashes, host_hashes)
    plausible = (hosts > 0) & ~np.asarray(pc.match_substring_regex(lines, r"\s")).astype(bool)

    # One row for each entry, and one for each host that has entries with paths.
    sizes = np.diff(starts)
    entries = np.flatnonzero(plausible)
    with_paths = np.flatnonzero(plausible & (sizes > hosts))
    key = np.concatenate([hashes[entries], host_hashes[with_paths]])
    row = np.concatenate([entries, with_paths])
    flag = np.repeat(np.array([BLOCKED, HAS_PATHS], dtype=np.uint8), [len(entries), len(with_paths)])
    length = np.concatenate([sizes[entries], hosts[with_paths]])
    order = np.lexsort((owner[row], flag, key))
    unique, first = np.unique(key[order], return_index=True)
    merged = np.bitwise_or.reduceat(flag[order], first) if len(first) else flag
    chosen = order[first]
    rows, lengths = row[chosen], length[chosen]
    final_starts = np.concatenate([[0], np.cumsum(lengths)])
    final_text = np.empty(int(final_starts[-1]), dtype=np.uint8)
    _gather(text, starts[rows], final_starts, final_text)
    return _table(names, unique, merged, owner[rows], final_starts, final_text, int(count - len(entries)))


def _table(
    names: tuple[str, ...],
    hashes: NDArray[np.uint64],
    flags: NDArray[np.uint8],
    lists: NDArray[np.uint16],
    starts: NDArray[np.int64],
    text: NDArray[np.uint8],
    skipped: int,
) -> UrlTable:
    width = max(1, (len(hashes) // ENTRIES_PER_BUCKET).bit_length())
    edges = np.arange(1, 1 << width, dtype=np.uint64) << np.uint64(64 - width)
    inner = np.searchsorted(hashes, edges).astype(np.uint32)
    buckets = np.concatenate([np.zeros(1, np.uint32), inner, np.array([len(hashes)], np.uint32)])
    arrays: tuple[NDArray[Any], ...] = (hashes, buckets, flags, lists, starts, text)
    for array in arrays:
        array.flags.writeable = False  # as mapped ones are, so that the kernels are compiled once
    nbytes = sum(array.nbytes for array in arrays)
    return UrlTable(names, hashes, buckets, flags, lists, starts, text, skipped, nbytes)


def save_table(table: UrlTable, path: Path) -> None:
    """Write a table as an Arrow file, whole or not at all."""
    columns = {
        "hash": pa.array(table.hashes),
        "flags": pa.array(table.flags),
        "list": pa.array(table.lists),
        "entry": pa.LargeStringArray.from_buffers(
            len(table.hashes), pa.py_buffer(table.starts.astype(np.int64)), pa.py_buffer(table.text)
        ),
    }
    metadata = {"version": str(TABLE_VERSION), "names": "\n".join(table.names), "skipped": str(table.skipped)}
    arrow = pa.table(columns).replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file,
        pa.ipc.new_file(file, arrow.schema) as writer,
    ):
        writer.write_table(arrow.combine_chunks())
    Path(file.name).replace(path)


def load_table(path: Path) -> UrlTable:
    """Map a stored table into memory.

    Raises:
        ValueError: The file is no table of this version.
    """
    try:
        stored = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        metadata = {key.decode(): value.decode() for key, value in (stored.schema.metadata or {}).items()}
        names, skipped = metadata["names"], int(metadata["skipped"])
    except (pa.ArrowInvalid, KeyError) as error:
        raise ValueError(f"{path} is no table of URL lists: delete it, it is made anew") from error
    if metadata.get("version") != str(TABLE_VERSION):
        raise ValueError(f"{path} is a table of version {metadata.get('version')}, not {TABLE_VERSION}: delete it")
    if len(stored) == 0:
        return build_table({name: [] for name in names.split("\n")})
    one = stored.combine_chunks()
    columns = {name: one.column(name).chunk(0) for name in one.column_names}
    text, starts = string_buffers(columns["entry"])
    return _table(
        tuple(names.split("\n")),
        columns["hash"].to_numpy(),
        columns["flags"].to_numpy(),
        columns["list"].to_numpy(),
        starts,
        text,
        skipped,
    )


def cache_folder() -> Path:
    """Return the folder of made tables: ``WINNOW_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("WINNOW_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "winnow"


@lru_cache(maxsize=8)
def table_of(lists: tuple[tuple[str, str], ...]) -> UrlTable:
    """Return the table of lists by (name, local path), made once per machine and mapped by every process.

    The stored table is named by a digest of the lists' names and bytes, so that a changed list makes another. Where the
    cache folder cannot be written the table is held in this process.

    Raises:
        FileNotFoundError: A list is not there.
    """
    contents = {name: [file.read_bytes() for file in list_files(Path(path))] for name, path in lists}
    digest = hashlib.blake2b(digest_size=16, person=b"winnow-urls")
    for name, files in contents.items():
        for part in (name.encode(), *files, b""):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    path = cache_folder() / f"urls-{TABLE_VERSION}-{digest.hexdigest()}.arrow"
    if not path.is_file():
        table = build_table(contents)
        try:
            save_table(table, path)
        except OSError:
            return table
    return load_table(path)


# ---------------------------------------------------------------------------------------------------------------- Arrow


def _ascii_host(url: str) -> str:
    """Return the URL with its host in ASCII; a host that IDNA refuses stays, percent escapes undone."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, mark, rest = "", "//", url.lstrip().removeprefix("//")
    cut = min((at for at in map(rest.find, "/?#\\") if at >= 0), default=len(rest))
    user, at_sign, host = rest[:cut].rpartition("@")
    name, colon, port = host.partition(":")
    name = unquote(name).strip()
    try:
        name = idna.encode(name, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        name = name.lower()
    return scheme + mark + user + at_sign + name + colon + port + rest[cut:]


def _with_ascii_hosts(urls: pa.Array) -> pa.Array:
    """Return the URLs with hosts in ASCII; only those that need it are touched."""
    data, offsets = string_buffers(urls)
    flags = np.zeros(len(offsets) - 1, dtype=np.bool_)
    _needs_idna(data, offsets, _BITS, flags)
    if not flags.any():
        return urls
    mask = pa.array(flags)
    ascii_hosts = pa.array([_ascii_host(url) for url in urls.filter(mask).to_pylist()], urls.type)
    return pc.replace_with_mask(urls, mask, ascii_hosts)


def _flat(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    return urls.combine_chunks() if isinstance(urls, pa.ChunkedArray) else urls


def match(url: pa.Array, table: UrlTable, allow: UrlTable | None = None) -> Match:
    """Return the list and the entry that name each URL.

    Args:
        url: String array; a null is named by none.
        table: Lists of what is to be removed.
        allow: Lists of what is not, whatever `table` says.
    """
    url = _with_ascii_hosts(_flat(url))
    found = _entries(url, table)
    if allow is not None:
        found = np.where(_entries(url, allow) >= 0, -1, found)
    none = found < 0
    if len(table.hashes) == 0:
        return Match(pa.nulls(len(url), pa.string()), pa.nulls(len(url), pa.string()))
    names = pa.array(table.names, pa.string()).take(pa.array(table.lists[found].astype(np.int64), mask=none))
    buffers = [None, pa.py_buffer(table.starts), pa.py_buffer(table.text)]
    entries = pa.Array.from_buffers(pa.large_string(), len(table.hashes), buffers)
    return Match(names, entries.take(pa.array(found, mask=none)).cast(pa.string()))


def _entries(url: pa.Array, table: UrlTable) -> NDArray[np.int64]:
    data, offsets = string_buffers(url)
    found = np.empty(len(offsets) - 1, dtype=np.int64)
    _match_batch(data, offsets, _BITS, table.hashes, table.buckets, table.flags, table.starts, table.text, found)
    return found


# -------------------------------------------------------------------------------------------------------- words of URLs


@dataclass(frozen=True)
class UrlWordLists:
    """Three lists of words, ready to be counted."""

    step: NDArray[np.int32]
    strict_word: NDArray[np.int32]
    next_word: NDArray[np.int32]
    hard: NDArray[np.uint64]
    soft: NDArray[np.uint64]


@njit(cache=True, nogil=True)
def _hash_all(data, offsets, hashes):
    """Hash the bytes of every string."""
    for i in range(len(offsets) - 1):
        state = HASH_START
        for k in range(offsets[i], offsets[i + 1]):
            state = hash_step(state, data[k])
        hashes[i] = mix(state)


def _word_hashes(words: list[str]) -> NDArray[np.uint64]:
    hashes = np.empty(len(words), dtype=np.uint64)
    _hash_all(*string_buffers(pa.array(words, pa.large_string())), hashes)
    return np.sort(hashes)


def url_word_lists(strict: Iterable[str] = (), hard: Iterable[str] = (), soft: Iterable[str] = ()) -> UrlWordLists:
    """Prepare lists of words: what is no ASCII letter or digit is taken out of them, and empty ones are left out."""

    def cleaned(words: Iterable[str]) -> list[str]:
        kept = ("".join(c for c in word.lower() if c.isascii() and c.isalnum()) for word in words)
        return sorted({word for word in kept if word})

    step, word, following = _automaton(cleaned(strict))
    return UrlWordLists(step, word, following, _word_hashes(cleaned(hard)), _word_hashes(cleaned(soft)))


def _automaton(words: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the automaton of Aho and Corasick (1975) over a-z0-9: transitions, the word ending in each state (-1:
    none), and for each state the nearest proper suffix in which a word ends (0: none)."""
    children: list[dict[int, int]] = [{}]
    ending = [-1]
    for number, word in enumerate(words):
        state = 0
        for byte in word.encode():
            symbol = byte - 97 if byte >= 97 else byte - 22
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                ending.append(-1)
            state = children[state][symbol]
        ending[state] = number
    step = np.zeros((len(children), 36), dtype=np.int32)
    following = np.zeros(len(children), dtype=np.int32)
    fail = [0] * len(children)
    queue = [0]
    for state in queue:
        for symbol in range(36):
            child = children[state].get(symbol)
            back = int(step[fail[state], symbol]) if state else 0
            if child is None:
                step[state, symbol] = back
                continue
            step[state, symbol] = child
            fail[child] = back
            following[child] = back if ending[back] >= 0 else following[back]
            queue.append(child)
    return step, np.array(ending, dtype=np.int32), following


def count_words(url: pa.Array, lists: UrlWordLists) -> WordHits:
    """Count the words of three lists in each URL; see the module's definition."""
    url = _flat(url)
    data, offsets = string_buffers(url)
    counts = np.zeros((len(offsets) - 1, 3), dtype=np.int64)
    _count_words(data, offsets, lists.step, lists.strict_word, lists.next_word, lists.hard, lists.soft, counts)
    null = np.asarray(url.is_null())
    return WordHits(*(pa.array(counts[:, k], pa.int64(), mask=null) for k in range(3)))


# ---------------------------------------------------------------------------------------------------- registered domain


@cache
def _public_suffixes() -> Any:
    """Return tldextract with the snapshot of the public suffix list (MPL-2.0) that it ships; it never asks the net."""
    import tldextract

    return tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)


def hosts(url: pa.Array) -> pa.Array:
    """Return the canonical host of each URL, null where it has none."""
    url = _with_ascii_hosts(_flat(url))
    data, offsets = string_buffers(url)
    count = len(offsets) - 1
    text = np.empty(int(offsets[-1] - offsets[0]) + 1, dtype=np.uint8)
    starts, sizes = np.empty(count + 1, np.int64), np.empty(count, np.int64)
    unused = np.empty(count, np.uint64)
    _canonical_entries(data, offsets, _BITS, text, starts, sizes, unused, np.empty(count, np.uint64))
    raw = text.tobytes()
    return pa.array(
        [raw[a : a + n].decode("utf-8", "replace") if n else None for a, n in zip(starts, sizes, strict=False)],
        pa.string(),
    )


def registered_domains(url: pa.Array) -> pa.Array:
    """Return the registered domain of each URL: one label below its public suffix; else its host, null without one.

    Private suffixes (``blogspot.com``) count as what they are to the owner: domains, not suffixes.
    """
    names = hosts(url).dictionary_encode()
    extract = _public_suffixes()
    found = [extract(host).top_domain_under_public_suffix or host for host in names.dictionary.to_pylist()]
    return pa.array(found, pa.string()).take(names.indices)
