"""URL lists: what an entry names, the plain twin, stored tables, the layouts of lists, and words in URLs."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import urls
from udfs.reference import urls as plain


def found(addresses: list[str | None], lists: dict[str, list[str]], allow: list[str] | None = None) -> list[object]:
    table = urls.build_table({name: ["\n".join(lines).encode()] for name, lines in lists.items()})
    allowed = urls.build_table({"allow": ["\n".join(allow).encode()]}) if allow is not None else None
    category, entry = urls.match(pa.array(addresses, pa.string()), table, allowed)
    pairs = zip(category.to_pylist(), entry.to_pylist(), strict=True)
    return [pair if pair != (None, None) else None for pair in pairs]


# -------------------------------------------------------------------------------------------------------- what is named

LISTS = {
    "gambling": ["casino.example", "Bets.Example.", "shop.example/roulette", "münze.example"],
    "malware": ["evil.example/a/b", "203.0.113.9", "shop.example/roulette", "evil.example"],
}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://casino.example/", ("gambling", "casino.example")),
        ("http://www.CASINO.example:8080/play?x#y", ("gambling", "casino.example")),
        ("//casino.example", ("gambling", "casino.example")),
        ("casino.example/x", ("gambling", "casino.example")),
        ("https://user:secret@casino.example", ("gambling", "casino.example")),
        ("https://casino.example.", ("gambling", "casino.example")),
        ("https://notcasino.example/", None),
        ("https://casino.example.org/", None),
        ("https://org/casino.example", None),
        ("https://bets.example/", ("gambling", "bets.example")),
        ("https://shop.example/", None),
        ("https://shop.example/roulette", ("gambling", "shop.example/roulette")),
        ("https://m.shop.example/Roulette/?a=1", ("gambling", "shop.example/roulette")),
        ("https://shop.example/roulette?a=1", ("gambling", "shop.example/roulette")),
        ("https://shop.example/%72oulette#top", ("gambling", "shop.example/roulette")),
        ("https://shop.example/roulettes", None),
        ("https://evil.example/a/b/c", ("malware", "evil.example/a/b")),
        ("https://evil.example/a", ("malware", "evil.example")),
        ("http://203.0.113.9/x", ("malware", "203.0.113.9")),
        ("http://1.203.0.113.9/x", None),
        ("https://MÜNZE.example/", ("gambling", "xn--mnze-0ra.example")),
        ("https://xn--mnze-0ra.example/", ("gambling", "xn--mnze-0ra.example")),
        ("https://m%C3%BCnze.example/", ("gambling", "xn--mnze-0ra.example")),
        ("mailto:someone@casino.example", None),
        ("data:text/plain,casino.example", None),
        ("http://[2001:db8::1]/", None),
        ("https://", None),
        ("", None),
        (None, None),
    ],
)
def test_an_entry_names_its_host_the_hosts_below_and_the_paths_that_go_on_from_it(
    address: str | None, expected: tuple[str, str] | None
) -> None:
    assert found([address], LISTS) == [expected]


def test_what_an_allow_list_names_is_named_by_no_list() -> None:
    lists = {"gambling": ["casino.example"]}
    addresses: list[str | None] = ["https://casino.example/help", "https://casino.example/play"]
    assert found(addresses, lists, allow=["casino.example/help"]) == [None, ("gambling", "casino.example")]


def test_an_empty_table_names_nothing() -> None:
    assert found(["https://casino.example/"], {"none": []}) == [None]


# ------------------------------------------------------------------------------------------------------------- the twin

HOSTS = st.lists(st.sampled_from(["a", "b", "ab", "1", "2", "WWW", "ü", "xn--tda"]), min_size=1, max_size=4).map(
    ".".join
)
PATHS = st.text(st.sampled_from("/?&;#ab.%61A \\~"), max_size=8)
ADDRESSES = st.builds(
    lambda scheme, user, host, port, path: scheme + user + host + port + path,
    st.sampled_from(["http://", "HTTPS://", "//", "", "mailto:", " http://"]),
    st.sampled_from(["", "", "u@", "u:p@"]),
    HOSTS,
    st.sampled_from(["", "", ":80", ":", ":x", "."]),
    PATHS,
) | st.text(max_size=20)
ENTRIES = st.builds(lambda host, path: host + path, HOSTS, st.sampled_from(["", "", "/a", "/b/a", "/a?b", "/"]))


@given(st.lists(ADDRESSES, max_size=8), st.lists(ENTRIES, max_size=6), st.lists(ENTRIES, max_size=6))
def test_the_kernel_matches_as_the_plain_twin(addresses: list[str], first: list[str], second: list[str]) -> None:
    lists = {"first": first, "second": second}
    assert found(list(addresses), lists) == [plain.match(address, lists) for address in addresses]


@given(st.lists(ADDRESSES, max_size=8))
def test_hosts_are_those_of_the_plain_twin(addresses: list[str]) -> None:
    assert urls.hosts(pa.array(addresses, pa.string())).to_pylist() == [plain.host_of(a) or None for a in addresses]


WORDS = st.lists(st.text(st.sampled_from("ab1"), min_size=1, max_size=4), max_size=6)


@given(st.lists(st.text(st.sampled_from("abAB1-/.é"), max_size=30), max_size=4), WORDS, WORDS, WORDS)
def test_words_are_counted_as_by_the_plain_twin(
    addresses: list[str], strict: list[str], hard: list[str], soft: list[str]
) -> None:
    hits = urls.count_words(pa.array(addresses, pa.string()), urls.url_word_lists(strict, hard, soft))
    counted = list(zip(*(column.to_pylist() for column in hits), strict=True))
    assert counted == [plain.count_words(address, strict, hard, soft) for address in addresses]


# -------------------------------------------------------------------------------------------------- layouts and storage


def test_a_folder_in_the_layout_of_ut1_is_read_and_its_notes_are_not(tmp_path: Path) -> None:
    category = tmp_path / "gambling"
    category.mkdir()
    (category / "domains").write_text("casino.example\n")
    (category / "urls").write_text("shop.example/roulette\n")
    (category / "usage").write_text("black\n")
    (category / "expressions").write_text("(casino|bet)\n")
    assert [file.name for file in urls.list_files(category)] == ["domains", "urls"]
    assert [file.name for file in urls.list_files(tmp_path)] == ["domains", "urls"]


@pytest.mark.parametrize(
    "line",
    ["bad.example", "# a note\nbad.example # why", "0.0.0.0 bad.example", "||bad.example^$all", "*.bad.example",
     ".bad.example", "https://bad.example/", "! note\r\nbad.example\r\n", "\ufeffbad.example"],
)  # fmt: skip
def test_lines_of_other_programs_are_understood(line: str) -> None:
    table = urls.build_table({"list": [line.encode()]})
    assert urls.match(pa.array(["http://x.bad.example/y"]), table).entry.to_pylist() == ["bad.example"]
    assert table.skipped == 0


def test_lines_that_are_no_entry_are_counted() -> None:
    table = urls.build_table({"list": [b"bad.example\ntwo words\nmailto:x@y.example\n\xe9t\xe9.example\n"]})
    assert (len(table), table.skipped) == (2, 2)


def test_a_list_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no list of domains at /nowhere/list"):
        urls.list_files(Path("/nowhere/list"))


def test_a_table_is_stored_once_and_answers_alike_when_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "list").write_text("casino.example\nshop.example/roulette\n")
    lists = (("gambling", str(tmp_path / "list")),)
    urls.table_of.cache_clear()
    made = urls.table_of(lists)
    (stored,) = (tmp_path / "cache").iterdir()
    before = stored.stat().st_mtime_ns
    urls.table_of.cache_clear()
    mapped = urls.table_of(lists)
    assert stored.stat().st_mtime_ns == before
    addresses = pa.array(["http://shop.example/roulette/1", "http://casino.example", None])
    assert urls.match(addresses, made) == urls.match(addresses, mapped)
    (tmp_path / "list").write_text("other.example\n")
    urls.table_of.cache_clear()
    assert urls.match(addresses, urls.table_of(lists)).category.null_count == 3


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(b"something else")
    with pytest.raises(ValueError, match="no table of URL lists"):
        urls.load_table(tmp_path / "x.arrow")


def test_tables_made_at_once_by_several_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    table = urls.build_table({"list": [b"bad.example\n"]})
    writers = [threading.Thread(target=urls.save_table, args=(table, tmp_path / "t.arrow")) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(urls.load_table(tmp_path / "t.arrow")) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["t.arrow"]


# ---------------------------------------------------------------------------------------------------- registered domain


def test_registered_domains_come_from_the_packaged_list_without_the_net(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    urls._public_suffixes.cache_clear()
    addresses = [
        "http://a.b.co.uk/x",
        "http://x.y.example.com",
        "http://203.0.113.9/",
        "http://www.münchen.de",
        None,
        "",
    ]
    expected = ["b.co.uk", "example.com", "203.0.113.9", "xn--mnchen-3ya.de", None, None]
    assert urls.registered_domains(pa.array(addresses)).to_pylist() == expected
