"""Recipes as files: every mistake at once where it stands, `extends`, `--set`, packs, the digest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.errors import ConfigurationError
from jobs.core.recipe import STEP_ORDER, Recipe
from jobs.core.recipe_file import (
    RecipeError,
    Resolved,
    apply_override,
    check,
    conf_path,
    language_packs,
    merged,
    parse_document,
    plain_scalar,
    resolve_recipe,
    resolved_from_dict,
    shipped_languages,
    shipped_recipes,
)


def problems(text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    document = parse_document(text, "r.yaml")
    for override in overrides:
        apply_override(document, override)
    with pytest.raises(RecipeError) as failure:
        check(Recipe, document)
    return [str(problem) for problem in failure.value.problems]


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


# --- every mistake at once --------------------------------------------------------------------------------


def test_a_misspelt_key_a_text_bound_and_a_duplicate_key_are_all_reported_with_line_and_column() -> None:
    text = """recipe: bad
steps:
  filter_quality:
    word_cont: {min: 50}
    mean_word_length:
      min: "3"
  dedup_near:
    seed: 1
    threshold: 0.8
    seed: 2
"""
    assert problems(text) == [
        "r.yaml:4:5: steps.filter_quality.word_cont: unknown key (did you mean word_count?)",
        "r.yaml:6:12: steps.filter_quality.mean_word_length.min: must be a number, not the text '3' "
        "(write it without quotes)",
        "r.yaml:10:5: steps.dedup_near.seed: duplicate key, first written in line 8",
    ]


def test_mistakes_inside_a_duplicate_key_are_reported_too() -> None:
    found = problems("recipe: a\nsteps: {}\nsteps:\n  redact: {}\n  redact: {}\n")
    assert [line.split(": ")[0] for line in found] == ["r.yaml:3:1", "r.yaml:5:3"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps: {dedup_exct: {}}", "1:9: steps.dedup_exct: unknown key (did you mean dedup_exact?)"),
        ("gates: {min_documents: -3}", "1:24: gates.min_documents: must be at least 0, not -3"),
        ("keep_signals: yes", "1:15: keep_signals: must be true or false, not the text 'yes'"),
        ("description: 3", "1:14: description: must be text, not 3 (write it in quotes)"),
        (
            "steps: {dedup_near: {verify: exakt}}",
            "1:30: steps.dedup_near.verify: must be one of exact, scaled, not the text 'exakt' (did you mean exact?)",
        ),
        ("steps: {dedup_near: {bands: 2.5}}", "1:29: steps.dedup_near.bands: must be a whole number, not 2.5"),
        (
            "steps: {dedup_near: {bands: 64}}",
            "1:21: steps.dedup_near: bands × rows is 512, more than num_perm 256",
        ),
        (
            "steps: {filter_quality: {word_count: {min: 9, max: 3}}}",
            "1:38: steps.filter_quality.word_count: keeps nothing: min 9 is above max 3",
        ),
        (
            "steps: {filter_quality: {word_count: {min: .nan}}}",
            "1:44: steps.filter_quality.word_count.min: must be a finite number",
        ),
        (
            "steps: {filter_quality: {word_count: {}}}",
            "1:38: steps.filter_quality.word_count: has no bound: give min, max or both, or off",
        ),
        (
            "steps:\n  redact:\n",
            "2:3: steps.redact: is empty: write {} to run the step with its defaults, or off to leave it out",
        ),
        ("sources: {a: {rank: 1}}", "1:11: sources.a.input: is missing"),
        (
            "sources: {a: {input: x, steps: {dedup_near: off}}}",
            "1:33: sources.a.steps.dedup_near: unknown key (known here: extract_text, repair_unicode, redact, "
            "filter_content, edit_lines, filter_quality, filter_repetition)",
        ),
        (
            "steps: {dedup_near: {keep: [longest, biggest]}}",
            "1:38: steps.dedup_near.keep[1]: must be source_rank, longest, newest, oldest or 'highest SIGNAL', "
            "not 'biggest'",
        ),
        (
            "steps: {filter_content: {lexicon_fraction_bad: {max: 0.1}}}",
            "1:26: steps.filter_content.lexicon_fraction_bad: reads the lexicon 'bad', which "
            "steps.filter_content.lexicons does not name",
        ),
        (
            "steps: {filter_repetition: {word_count: {min: 1}}}",
            "1:29: steps.filter_repetition.word_count: unknown key here: it is a rule of filter_quality",
        ),
        (
            "languages: {keep: [en]}",
            "1:13: languages.keep: needs the step filter_content, which removes the other languages",
        ),
        (
            "description: !!python/object:os.system x",
            "1:14: description: has the tag tag:yaml.org,2002:python/object:os.system; only plain YAML values are read",
        ),
    ],
)
def test_a_mistake_is_reported_where_it_stands(text: str, expected: str) -> None:
    assert f"r.yaml:{expected}" in problems(f"{text}\nrecipe: r\n")


def test_steps_that_remove_single_documents_must_come_before_deduplication() -> None:
    found = problems("recipe: r\nsteps:\n  dedup_exact: {}\n  decontaminate: {}\n")
    assert found == [
        "r.yaml:4:3: steps.decontaminate: must come before dedup_exact: it could remove the document that was kept in "
        "place of duplicates"
    ]


def test_substrings_are_cut_after_all_that_compares_text() -> None:
    found = problems("recipe: r\nsteps:\n  dedup_substring: {}\n  dedup_near: {}\n  redact: {}\n")
    assert [line.split(": ")[1] for line in found] == ["steps.dedup_near"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1\nb: 2", "r.yaml:2:2"),
        ("\ta: 1", "r.yaml:1:1"),
        ("a: 1\nb: \x00", "r.yaml:2:4"),
        ("a: *nope", "r.yaml:1:4"),
    ],
)
def test_a_syntax_error_has_a_place(text: str, place: str) -> None:
    assert problems(text)[0].startswith(f"{place}: is not valid YAML")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: &a [*a]",
        "[" * 5000,
        "a: " + "{b: " * 60 + "1" + "}" * 60,
    ],
    ids=["billion laughs", "recursion", "deep brackets", "deep mappings"],
)
def test_a_hostile_document_ends_with_a_message(text: str) -> None:
    assert problems(text)


@given(st.text(max_size=200) | st.text(alphabet="ab:{}[]&*!#-?|>%@`\"', \n", max_size=80))
def test_any_text_is_either_a_recipe_or_a_list_of_problems(text: str) -> None:
    document = parse_document(text, "r.yaml")
    try:
        check(Recipe, document)
    except RecipeError as error:
        assert all(problem.place.line >= 1 for problem in error.problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o17", 15),
        ("1e3", 1000.0),
        ("~", None),
        ("True", True),
    ],
)
def test_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert plain_scalar(text) == value


def test_dates_stay_texts() -> None:
    assert parse_document("a: 2024-01-31", "r.yaml").data == {"a": "2024-01-31"}


# --- finding recipes ------------------------------------------------------------------------------------------------


def test_shipped_recipes_resolve_by_name() -> None:
    assert {"gopher", "fineweb", "chinese-web", "code"} <= set(shipped_recipes())
    assert conf_path("recipes", "gopher.yaml").is_file()
    for name in shipped_recipes():
        assert isinstance(resolve_recipe(name), Resolved)


def test_an_unknown_name_suggests_a_shipped_recipe() -> None:
    with pytest.raises(ConfigurationError, match=r"no recipe named gophr \(did you mean gopher\?\)") as failure:
        resolve_recipe("gophr")
    assert failure.value.exit_code == 2
    assert "gopher" in failure.value.next_step


def test_a_missing_file_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resolve_recipe("nowhere/recipe.yaml")


def test_a_recipe_at_an_address_is_read_by_the_opener() -> None:
    files = {
        "s3a://b/r.yaml": b"extends: base.yaml\nsteps: {redact: {}}",
        "s3a://b/base.yaml": b"steps: {dedup_exact: {}}",
    }
    resolved = resolve_recipe("s3a://b/r.yaml", opener=files.__getitem__)
    assert resolved.recipe.steps.names == ("dedup_exact", "redact")
    with pytest.raises(ConfigurationError, match="cannot be read here"):
        resolve_recipe("s3a://b/r.yaml")


def test_a_recipe_without_a_name_takes_its_files(tmp_path: Path) -> None:
    assert resolve_recipe(written(tmp_path, "my crawl.yaml", "steps: {}")).recipe.recipe == "my-crawl"


def test_text_that_is_not_utf_8_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"recipe: r\ndescription: caf\xe9\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:2:17: is not UTF-8 text"):
        resolve_recipe(str(path))


# --- extends --------------------------------------------------------------------------------------------------------


def test_a_recipe_that_extends_another_changes_only_what_it_says(tmp_path: Path) -> None:
    text = "extends: gopher\nsteps:\n  filter_quality:\n    word_count: {min: 30}\n    stop_word_count: off\n"
    recipe = resolve_recipe(written(tmp_path, "mine.yaml", text)).recipe
    parent = resolve_recipe("gopher").recipe
    assert recipe.recipe == "mine" and recipe.description == ""
    assert recipe.steps.names == parent.steps.names
    assert recipe.steps.filter_quality is not None and parent.steps.filter_quality is not None
    rules = recipe.steps.filter_quality.rules
    assert rules["word_count"].model_dump() == {"min": 30, "max": 100000}
    assert rules["stop_word_count"] is None
    assert {k: v for k, v in rules.items() if k not in ("word_count", "stop_word_count")} == {
        k: v for k, v in parent.steps.filter_quality.rules.items() if k not in ("word_count", "stop_word_count")
    }


def test_added_steps_take_their_usual_place_and_off_leaves_a_step_out(tmp_path: Path) -> None:
    text = "extends: gopher\nsteps: {redact: {}, dedup_url: {}, edit_lines: {}, decontaminate: off}\n"
    names = resolve_recipe(written(tmp_path, "mine.yaml", text)).recipe.steps.names
    assert names == (
        "extract_text",
        "filter_content",
        "edit_lines",
        "filter_quality",
        "filter_repetition",
        "dedup_url",
        "dedup_exact",
        "dedup_near",
        "redact",
    )


def test_extends_is_relative_to_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path, "base.yaml", "steps: {dedup_exact: {}}")
    path = written(tmp_path / "deep", "r.yaml", "extends: ../base.yaml")
    assert resolve_recipe(path).recipe.steps.names == ("dedup_exact",)


def test_problems_of_both_files_name_their_own_file(tmp_path: Path) -> None:
    written(tmp_path, "base.yaml", "steps:\n  dedup_near:\n    thresold: 1\n")
    path = written(tmp_path, "r.yaml", "extends: base.yaml\ngates: {foo: 1}\n")
    with pytest.raises(RecipeError) as failure:
        resolve_recipe(path)
    places = [Path(problem.place.file).name for problem in failure.value.problems]
    assert places == ["base.yaml", "r.yaml"]
    assert failure.value.problems[0].place.line == 3


def test_a_circle_of_extends_is_reported(tmp_path: Path) -> None:
    written(tmp_path, "a.yaml", "extends: b.yaml")
    path = written(tmp_path, "b.yaml", "extends: a.yaml")
    with pytest.raises(RecipeError, match="comes back to"):
        resolve_recipe(path)


def test_an_unknown_parent_is_reported_where_it_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "r.yaml", "recipe: r\nextends: gophr\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:2:10: extends: there is no recipe named gophr"):
        resolve_recipe(path)


def test_lists_are_replaced_and_mappings_merged() -> None:
    assert merged({"a": {"b": [1, 2], "c": 3}}, {"a": {"b": [9], "d": 4}}) == {"a": {"b": [9], "c": 3, "d": 4}}


# --- --set ----------------------------------------------------------------------------------------------------------


def test_set_overrides_one_value_and_reads_it_as_yaml() -> None:
    resolved = resolve_recipe(
        "gopher",
        [
            "steps.filter_quality.word_count.min=40",
            "steps.filter_quality.stop_word_count=null",
            "languages.keep=[en, de]",
            "steps.decontaminate=off",
            "steps.redact.kinds=[email]",
        ],
    )
    steps = resolved.recipe.steps
    assert steps.filter_quality is not None
    assert steps.filter_quality.rules["word_count"].model_dump() == {"min": 40, "max": 100000}
    assert steps.filter_quality.rules["stop_word_count"] is None
    assert resolved.recipe.languages.keep == ("en", "de")
    assert "decontaminate" not in steps and steps.names[-1] == "redact"


def test_every_wrong_override_is_reported_with_a_suggestion() -> None:
    overrides = [
        "steps.filter_quality.word_cuont.min=4",
        "steps.dedup_near.bands='x'",
        "nonsense",
        "a..b=1",
        "gates=[]",
    ]
    with pytest.raises(RecipeError) as failure:
        resolve_recipe("gopher", overrides)
    assert [str(problem) for problem in failure.value.problems] == [
        "--set a..b=1: is not of the form KEY.PATH=VALUE",
        "--set gates=[]: gates: must be a mapping of keys to values, not a list",
        "--set nonsense: is not of the form KEY.PATH=VALUE",
        "--set steps.dedup_near.bands='x': steps.dedup_near.bands: must be a whole number, not the text 'x'",
        "--set steps.filter_quality.word_cuont.min=4: steps.filter_quality.word_cuont: unknown key "
        "(did you mean word_count?)",
    ]


def test_later_overrides_win() -> None:
    resolved = resolve_recipe("gopher", ["steps.dedup_near.seed=1", "steps.dedup_near.seed=7"])
    assert resolved.recipe.steps.dedup_near is not None and resolved.recipe.steps.dedup_near.seed == 7


# --- digest ---------------------------------------------------------------------------------------------------------


def test_the_digest_ignores_comments_formatting_key_order_and_spelt_out_defaults(tmp_path: Path) -> None:
    one = written(tmp_path, "r.yaml", "recipe: r\nsteps:\n  dedup_near: {seed: 3, bands: 32}\n  redact: {}\n")
    first = resolve_recipe(one).sha256
    two = written(
        tmp_path, "r2.yaml", "# hello\nsteps:\n  dedup_near:\n    bands: 32\n    seed: 0x3\n  redact: {}\nrecipe: r\n"
    )
    assert resolve_recipe(two).sha256 == first


def test_the_digest_depends_on_the_order_of_steps_and_on_every_value(tmp_path: Path) -> None:
    texts = [
        "recipe: r\nsteps: {filter_quality: {word_count: {min: 1}}, filter_repetition: {}}",
        "recipe: r\nsteps: {filter_repetition: {}, filter_quality: {word_count: {min: 1}}}",
        "recipe: r\nsteps: {filter_quality: {word_count: {min: 2}}, filter_repetition: {}}",
        "recipe: r\nsteps: {filter_quality: {word_count: {min: 1}}, filter_repetition: {}}\nlanguages: {packs: [en]}",
    ]
    digests = {resolve_recipe(written(tmp_path, f"{i}.yaml", text)).sha256 for i, text in enumerate(texts)}
    assert len(digests) == len(texts)


@pytest.mark.parametrize("name", ["gopher", "fineweb", "chinese-web", "code"])
def test_the_resolved_recipe_reads_back_from_the_ledger(name: str) -> None:
    resolved = resolve_recipe(name)
    again = resolved_from_dict(resolved.as_dict)
    assert (again.sha256, again.recipe, dict(again.packs)) == (resolved.sha256, resolved.recipe, dict(resolved.packs))


# --- language packs -------------------------------------------------------------------------------------------------


def test_a_recipe_uses_the_packs_it_names_and_its_default() -> None:
    assert list(language_packs(resolve_recipe("gopher").recipe)) == shipped_languages()
    chosen = resolve_recipe("gopher", ["languages.packs=[zh]", "languages.default=en"])
    assert list(chosen.packs) == ["en", "zh"]


def test_an_unknown_pack_is_reported_where_it_is_named() -> None:
    with pytest.raises(RecipeError) as failure:
        resolve_recipe("gopher", ["languages.packs=[en, xx]"])
    assert "languages.packs[1]: there is no language pack xx" in str(failure.value)


def test_every_pack_has_a_source_and_lower_case_stop_words() -> None:
    for code, pack in language_packs(resolve_recipe("gopher").recipe).items():
        assert pack.language == code and pack.source
        assert all(word == word.lower() and word.split() == [word] for word in pack.stop_words), code
        assert len(set(pack.stop_words)) == len(pack.stop_words), code


def test_the_english_pack_is_the_papers() -> None:
    english = resolve_recipe("gopher").packs["en"]
    assert set(english.stop_words) == {"the", "be", "to", "of", "and", "that", "have", "with"}
    assert not english.steps.model_fields_set


def test_shipped_recipes_list_their_steps_in_the_usual_order() -> None:
    for name in shipped_recipes():
        names = resolve_recipe(name).recipe.steps.names
        assert list(names) == sorted(names, key=STEP_ORDER.index), name
