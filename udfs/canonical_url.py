"""One address a page: URLs as the WHATWG URL standard serialises them, without fragment and tracking parameters.

What the standard's parser does to ``http``, ``https``, ``ftp``, ``ws`` and ``wss`` addresses: C0 controls and spaces at
the ends and tabs and line ends inside go; scheme and host are lower-case, the host in its ASCII form (IDNA, UTS 46),
default ports left out; backslashes are slashes; ``.`` and ``..`` segments are resolved; what may not stand in a path or
query is percent-encoded as UTF-8, escapes that are there already stay as they are; an empty path is ``/``. Then the
fragment is dropped, and of the query the parameters that only say where a visitor came from; an empty query is none.
Schemes, ``www.`` and the order of parameters are left alone: pages that differ in them may differ.

Not done: hosts as decimal, octal or hexadecimal IPv4 numbers. Other schemes (``urn:``) keep everything but the
fragment. An address without scheme or host is none.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import quote, unquote

import idna
import pyarrow as pa

DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443"}

# Parameters that browsers strip (Firefox's and Brave's query stripping lists) and that analytics tools add.
TRACKING_PARAMETERS = frozenset(
    [
        "__hsfp",
        "__hssc",
        "__hstc",
        "__s",
        "_bhlid",
        "_branch_match_id",
        "_branch_referrer",
        "_ga",
        "_gl",
        "_hsenc",
        "_hsmi",
        "_kx",
        "_openstat",
        "dclid",
        "dm_i",
        "ef_id",
        "epik",
        "fb_action_ids",
        "fb_action_types",
        "fb_ref",
        "fb_source",
        "fbclid",
        "gad_source",
        "gbraid",
        "gclid",
        "gclsrc",
        "guce_referrer",
        "guce_referrer_sig",
        "hsctatracking",
        "igsh",
        "igshid",
        "irclickid",
        "li_fat_id",
        "mc_cid",
        "mc_eid",
        "mkt_tok",
        "ml_subscriber",
        "ml_subscriber_hash",
        "msclkid",
        "mtm_campaign",
        "mtm_cid",
        "mtm_content",
        "mtm_group",
        "mtm_keyword",
        "mtm_medium",
        "mtm_placement",
        "mtm_source",
        "oft_c",
        "oft_ck",
        "oft_d",
        "oft_id",
        "oft_ids",
        "oft_k",
        "oft_lk",
        "oft_sk",
        "oly_anon_id",
        "oly_enc_id",
        "pk_campaign",
        "pk_cid",
        "pk_content",
        "pk_keyword",
        "pk_kwd",
        "pk_medium",
        "pk_source",
        "rb_clickid",
        "s_cid",
        "srsltid",
        "sref",
        "stm_campaign",
        "stm_content",
        "stm_medium",
        "stm_source",
        "stm_term",
        "ttclid",
        "twclid",
        "vero_conv",
        "vero_id",
        "wbraid",
        "wickedid",
        "yclid",
        "ysclid",
    ]
)
TRACKING_PREFIXES = ("utm_", "hsa_")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_INSIDE = str.maketrans("", "", "\t\n\r")
_ENDS = "".join(map(chr, range(0x21)))
_FORBIDDEN_IN_HOST = frozenset(" #/:<>?@[\\]^|")  # WHATWG URL: forbidden host code points
_ASCII = "".join(map(chr, range(33, 127)))
# Characters that stay as they are; the percent sign too, so that escapes are not escaped again.
_SAFE_IN_PATH = "!$%&'()*+,-./:;=@[\\]^_|~"
_SAFE_IN_QUERY = "!$%&()*+,-./:;=?@[\\]^_`{|}~"


def canonical_url(url: str, ignored: Collection[str] = (), tracking: bool = True) -> str | None:
    """Return the canonical form of one address, None where it is none.

    Args:
        url: The address.
        ignored: Lower-case names of query parameters to drop.
        tracking: Drop tracking parameters too.
    """
    url = url.strip(_ENDS).translate(_INSIDE)
    match = _SCHEME.match(url)
    if not match:
        return None
    scheme, rest = match.group(1).lower(), url[match.end() :]
    rest, _, _ = rest.partition("#")
    if scheme not in DEFAULT_PORTS:
        return f"{scheme}:{quote(rest, safe=_ASCII)}" if rest.strip("/") else None
    head, mark, query = rest.partition("?")
    head = head.replace("\\", "/").lstrip("/")
    authority, _, path = head.partition("/")
    user, at_sign, host_and_port = authority.rpartition("@")
    host = _host(host_and_port, scheme)
    if not host:
        return None
    kept = _kept_parameters(query, ignored, tracking) if mark else ""
    address = f"{scheme}://{quote(user, safe=_ASCII)}{at_sign}{host}/{_path(path)}"
    return f"{address}?{quote(kept, safe=_SAFE_IN_QUERY)}" if kept else address


def _host(host_and_port: str, scheme: str) -> str:
    """Return the host in its ASCII form with its port, unless that is the scheme's own."""
    name, port = host_and_port, ""
    colon = host_and_port.rfind(":")
    if colon > host_and_port.rfind("]"):
        name, port = host_and_port[:colon], host_and_port[colon + 1 :]
    if port and not (port.isascii() and port.isdigit()):
        return ""
    port = port.lstrip("0") or ("0" if port else "")
    name = _ascii_host(name)
    bracketed = name.startswith("[") and name.endswith("]")
    if any(character in _FORBIDDEN_IN_HOST for character in (name[1:-1].replace(":", "") if bracketed else name)):
        return ""
    return f"{name}:{port}" if name and port and port != DEFAULT_PORTS[scheme] else name


@lru_cache(maxsize=65536)
def _ascii_host(name: str) -> str:
    name = unquote(name) if "%" in name else name
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return quote(name.lower(), safe="")


def _path(path: str) -> str:
    """Return a path without dot segments, percent-encoded."""
    if "." in path or "%2" in path:
        segments: list[str] = []
        parts = path.split("/")
        for place, part in enumerate(parts):
            plain = part.lower().replace("%2e", ".")
            last = place == len(parts) - 1
            if plain == "..":
                del segments[-1:]
            elif plain != ".":
                segments.append(part)
            if last and plain in (".", ".."):
                segments.append("")
        path = "/".join(segments)
    return quote(path, safe=_SAFE_IN_PATH)


def _kept_parameters(query: str, ignored: Collection[str], tracking: bool) -> str:
    if not query or not (tracking or ignored):
        return query
    return "&".join(
        part for part in query.split("&") if part and not _is_ignored(part.partition("=")[0], ignored, tracking)
    )


def _is_ignored(name: str, ignored: Collection[str], tracking: bool) -> bool:
    name = unquote(name).lower()
    return name in ignored or (tracking and (name in TRACKING_PARAMETERS or name.startswith(TRACKING_PREFIXES)))


def canonical_urls(url: pa.Array, ignored: Collection[str] = (), tracking: bool = True) -> pa.Array:
    """Return the canonical form of each address of a string array, null where it is none.

    Args:
        url: ``string`` or ``large_string``; addresses may be null.
        ignored: Names of query parameters to drop, whatever their case.
        tracking: Drop tracking parameters too.
    """
    names = frozenset(name.lower() for name in ignored)
    found = [None if address is None else canonical_url(address, names, tracking) for address in url.to_pylist()]
    return pa.array(found, pa.string())
