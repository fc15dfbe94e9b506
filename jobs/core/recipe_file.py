"""Recipes as files: YAML 1.2 with positions, `extends`, `--set`, and every mistake reported at once where it stands.

Recipes come from strangers: nothing is constructed but mappings, lists, texts, numbers, true, false and null; tags,
duplicate keys, recursion and floods of aliases are refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from jobs.core.errors import ConfigurationError
from jobs.core.recipe import STEP_ORDER, LanguagePack, Part, Recipe
from jobs.core.recipe_messages import KeyPath, closest, explain_problem

Opener: TypeAlias = Callable[[str], bytes]

MAX_RECIPE_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 40
MAX_EXTENDS = 10

AnyPart = TypeVar("AnyPart", bound=Part)


# --- problems -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Place:
    """Where something is written: a file with line and column from 1, or a `--set` argument (line 0)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: its place, the key path and what is wrong there."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.message}" if self.path else f"{self.place}: {self.message}"


class RecipeError(ConfigurationError):
    """A recipe or language pack with mistakes: all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        count = len(self.problems)
        super().__init__(
            f"{count} problem{'' if count == 1 else 's'}:\n" + "\n".join(map(str, self.problems)),
            next_step=f"correct the {'problem' if count == 1 else f'{count} problems'} above; "
            "`winnow validate` checks a recipe without running it",
        )


def path_text(path: KeyPath) -> str:
    """A key path as people write it: ``steps.dedup_near.keep[0]``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


# --- YAML with positions --------------------------------------------------------------------------------------------


@dataclass
class Document:
    """Plain data with the place of every key and value, and the problems met on the way."""

    file: str
    data: Any = None
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place_of_key(self, path: KeyPath) -> Place:
        """The place of a key, or of the nearest enclosing one that is written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.keys:
                return self.keys[path[:length]]
        return Place(self.file, 1, 1)

    def place_of_value(self, path: KeyPath) -> Place:
        """The place of a value; where nothing is written, of its key or the nearest enclosing one."""
        return self.values.get(path) or self.place_of_key(path)


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_BASED_INT = re.compile(r"^(?:0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_SPECIAL_FLOAT = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "map", "seq")
)


def plain_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted YAML 1.2 scalar (core schema): ``off``, ``yes`` and ``1_000`` are texts."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text) and len(text) < 30:
        return int(text)
    if _BASED_INT.match(text) and len(text) < 30:
        return int(text, 0)
    if _FLOAT.match(text):
        return float(text)
    if _SPECIAL_FLOAT.match(text):
        return float(text.replace(".", ""))
    return text


class _Reader:
    """Turns a composed node graph into plain data, noting places and problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def place(self, node: Node) -> Place:
        mark = node.start_mark
        return Place(self.document.file, mark.line + 1, mark.column + 1)

    def problem(self, node: Node, path: KeyPath, message: str) -> None:
        self.document.problems.append(Problem(self.place(node), path_text(path), message))

    def read(self, node: Node, path: KeyPath = ()) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            if self.nodes != MAX_NODES + 2:  # said once, not for every alias that follows
                self.problem(node, path[:8], "nests or repeats too much to be a recipe")
            self.nodes = MAX_NODES + 1
            return None
        if node.start_mark.index != node.end_mark.index:  # an empty value stands nowhere: its key does
            self.document.values.setdefault(path, self.place(node))
        if node.tag not in _TAGS:
            self.problem(node, path, f"has the tag {node.tag}; only plain YAML values are read")
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node)

    def scalar(self, node: Node) -> Any:
        is_text = getattr(node, "style", None) is not None or node.tag in (
            "tag:yaml.org,2002:str",
            "tag:yaml.org,2002:timestamp",
        )
        return str(node.value) if is_text else plain_scalar(node.value)

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.problem(key_node, path, "has a key that is not text")
                continue
            key = str(key_node.value)
            key_path = (*path, key)
            if key in data:
                first = self.document.keys[key_path]
                self.problem(key_node, key_path, f"duplicate key, first written in line {first.line}")
                self.read_aside(value_node, key_path)
                continue
            self.document.keys[key_path] = self.place(key_node)
            data[key] = self.read(value_node, key_path)
        return data

    def read_aside(self, node: Node, path: KeyPath) -> None:
        """Read the value of a duplicate key for the mistakes in it; its places must not overwrite the first one's."""
        aside = _Reader(Document(self.document.file))
        aside.nodes = self.nodes
        aside.read(node, path)
        self.nodes = aside.nodes
        self.document.problems.extend(aside.document.problems)


def parse_document(text: str, file: str) -> Document:
    """Parse one YAML document with the places of its keys and values.

    Mistakes are collected in ``problems``; a syntax error leaves ``data`` None.
    """
    document = Document(file)
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(Problem(place, "", f"is not valid YAML: {what}"))
        return document
    except YAMLError as error:
        document.problems.append(Problem(_place_of_reader_error(error, text, file), "", f"is not valid YAML: {error}"))
        return document
    except RecursionError:
        document.problems.append(Problem(Place(file, 1, 1), "", "nests too deeply to be a recipe"))
        return document
    if node is not None:
        document.data = _Reader(document).read(node)
    return document


def _place_of_reader_error(error: YAMLError, text: str, file: str) -> Place:
    position = getattr(error, "position", 0)
    before = text[: position if isinstance(position, int) else 0]
    return Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


# --- finding files --------------------------------------------------------------------------------------------------


def conf_path(*parts: str) -> Traversable:
    """A file or folder of the shipped configuration: ``jobs/_conf`` of an installed package or ``conf`` of a checkout.

    The answer need not be on disk (the package may be imported from an archive): read it by its own methods.
    """
    root = files("jobs") / "_conf"
    if not root.is_dir():
        root = Path(__file__).resolve().parents[2] / "conf"
    return root.joinpath(*parts)


def _names_in(folder: str) -> list[str]:
    home = conf_path(folder)
    if not home.is_dir():
        return []
    return sorted(entry.name[:-5] for entry in home.iterdir() if entry.name.endswith(".yaml"))


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return _names_in("recipes")


def shipped_languages() -> list[str]:
    """Codes of the language packs that come with the package."""
    return _names_in("languages")


def _read_recipe_text(name_or_path: str, opener: Opener | None) -> tuple[str, str]:
    """The text of a recipe and the name of its file as errors should show it."""
    if "://" in name_or_path:
        if opener is None:
            raise ConfigurationError(f"{name_or_path}: recipes at this kind of address cannot be read here")
        return _decode(opener(name_or_path), name_or_path), name_or_path
    path = Path(name_or_path)
    looks_like_path = path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if not looks_like_path and not path.is_file():
        shipped = conf_path("recipes", f"{name_or_path}.yaml")
        if not shipped.is_file():
            known = shipped_recipes()
            raise ConfigurationError(
                f"there is no recipe named {name_or_path}{closest(name_or_path, known)}",
                next_step=f"give a path, or one of the shipped recipes: {', '.join(known)}",
            )
        return _decode(shipped.read_bytes(), str(shipped)), str(shipped)
    try:
        return _decode(path.read_bytes(), name_or_path), name_or_path
    except OSError as error:
        raise ConfigurationError(
            f"{name_or_path}: the recipe cannot be read: {error.strerror}",
            next_step=f"check the path; recipes known by name: {', '.join(shipped_recipes())}",
        ) from error


def _decode(content: bytes, file: str) -> str:
    if len(content) > MAX_RECIPE_BYTES:
        raise ConfigurationError(f"{file}: is larger than {MAX_RECIPE_BYTES} bytes, too large to be a recipe")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(file, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise RecipeError([Problem(place, "", "is not UTF-8 text")]) from error


# --- extends and --set ----------------------------------------------------------------------------------------------


def place_step(order: Iterable[str], name: str) -> list[str]:
    """The steps with ``name`` put before the first one that follows it in ``STEP_ORDER``; unknown names go last."""
    steps = list(order)
    if name not in STEP_ORDER:
        return [*steps, name]
    later = STEP_ORDER[STEP_ORDER.index(name) + 1 :]
    at = next((index for index, step in enumerate(steps) if step in later), len(steps))
    return [*steps[:at], name, *steps[at:]]


def merged(base: Any, change: Any, path: KeyPath = ()) -> Any:
    """``base`` with the keys of ``change`` put in place, mapping by mapping; lists and single values are replaced.

    Keys keep the order of ``base``; new steps take their usual place (``place_step``), other new keys come last.
    """
    if not isinstance(base, Mapping) or not isinstance(change, Mapping):
        return change
    result = dict(base)
    for key, value in change.items():
        new = key not in result
        result[key] = value if new else merged(result[key], value, (*path, key))
        if new and path == ("steps",):
            order = place_step([step for step in result if step != key], key)
            result = {step: result[step] for step in order}
    return result


def _load_with_parents(name_or_path: str, opener: Opener | None) -> tuple[Document, list[str]]:
    """A recipe merged over the recipes it extends, and the files it was made from (itself first)."""
    document = _read_mapping(name_or_path, opener)
    chain = [document.file]
    if document.data is None:
        return document, chain
    document.data.setdefault(
        "recipe", re.sub(r"[^A-Za-z0-9._-]+", "-", Path(document.file).stem).strip("-._") or "recipe"
    )
    parent, place = document.data.get("extends"), document.values.get(("extends",), Place(document.file, 1, 1))
    while isinstance(parent, str):
        document.data["extends"] = None
        try:
            base = _read_mapping(_beside(parent, chain[-1]), opener)
        except ConfigurationError as error:
            document.problems.append(Problem(place, "extends", error.message))
            break
        if base.file in chain or len(chain) > MAX_EXTENDS:
            document.problems.append(Problem(place, "extends", f"comes back to {base.file}"))
            break
        chain.append(base.file)
        document.problems += base.problems
        if base.data is None:
            break
        parent, place = base.data.pop("extends", None), base.values.get(("extends",), place)
        for name in ("recipe", "description"):  # they say what the parent is, not what this one is
            base.data.pop(name, None)
        document.data = merged(base.data, document.data)
        document.keys = {**base.keys, **document.keys}
        document.values = {**base.values, **document.values}
    return document, chain


def _read_mapping(name_or_path: str, opener: Opener | None) -> Document:
    """The document of one recipe file; ``data`` is a mapping, or None when ``problems`` say why."""
    document = parse_document(*_read_recipe_text(name_or_path, opener))
    if document.data is None and not document.problems:
        document.problems.append(Problem(Place(document.file, 1, 1), "", "is empty"))
    if document.data is not None and not isinstance(document.data, dict):
        document.problems.append(Problem(Place(document.file, 1, 1), "", "must be a mapping of keys to values"))
        document.data = None
    return document


def _beside(parent: str, file: str) -> str:
    """Where ``extends`` points: a relative path is relative to the file that names it, a bare name is shipped."""
    is_relative_path = "://" not in parent and Path(parent).suffix in (".yaml", ".yml")
    if not is_relative_path:
        return parent
    if "://" in file:
        return f"{file.rpartition('/')[0]}/{parent}"
    return str(Path(file).parent / parent)


def apply_override(document: Document, override: str) -> None:
    """Put one ``--set KEY.PATH=VALUE`` into a document; the value is read as YAML."""
    key_text, equals, value_text = override.partition("=")
    place = Place(f"--set {override}", 0, 0)
    keys = tuple(key_text.strip().split("."))
    if not equals or not all(keys):
        document.problems.append(Problem(place, "", "is not of the form KEY.PATH=VALUE"))
        return
    value = parse_document(value_text, place.file)
    if value.problems:
        document.problems += [Problem(place, key_text, problem.message) for problem in value.problems]
        return
    document.data = merged(document.data, _nested(keys, value.data))
    above = [keys[:length] for length in range(1, len(keys)) if keys[:length] not in document.keys]
    below = [(*keys, *path) for path in value.values]
    for path in [*above, *below]:
        document.keys[path] = document.values[path] = place


def _nested(keys: tuple[str, ...], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


# --- validation -----------------------------------------------------------------------------------------------------


def check(model: type[AnyPart], document: Document) -> AnyPart:
    """Validate a document; raises ``RecipeError`` with every mistake that reading and checking found."""
    problems = list(document.problems)
    part: AnyPart | None = None
    if document.data is not None:
        context = {"external_signals": _external_signals(document.data)}
        try:
            part = model.model_validate(document.data, context=context)
        except ValidationError as failure:
            for error in failure.errors(include_url=False):
                for path, message, at_key in explain_problem(model, error, context["external_signals"]):
                    place = document.place_of_key(path) if at_key else document.place_of_value(path)
                    problems.append(Problem(place, path_text(path), message))
    if problems or part is None:
        raise RecipeError(problems)
    return part


def _external_signals(data: Any) -> frozenset[str]:
    """Names that a recipe's ``signals.external`` gives, read from data that has not been checked yet."""
    signals = data.get("signals") if isinstance(data, dict) else None
    tables = signals.get("external") if isinstance(signals, dict) else None
    columns = (
        [table.get("columns") for table in tables.values() if isinstance(table, dict)]
        if isinstance(tables, dict)
        else []
    )
    return frozenset(name for column in columns if isinstance(column, dict) for name in column)


# --- language packs -------------------------------------------------------------------------------------------------


def load_language_pack(code: str) -> LanguagePack:
    """Read ``conf/languages/CODE.yaml``. Raises ``ConfigurationError`` when there is none or it has mistakes."""
    path = conf_path("languages", f"{code}.yaml")
    if not re.match(r"^[a-z]{2,3}$", code) or not path.is_file():
        known = shipped_languages()
        raise ConfigurationError(
            f"there is no language pack {code}{closest(code, known)}", next_step=f"language packs: {', '.join(known)}"
        )
    pack = check(LanguagePack, parse_document(_decode(path.read_bytes(), str(path)), str(path)))
    if pack.language != code:
        raise ConfigurationError(f"{path}: is the pack of {pack.language}, not of {code}")
    return pack


def _missing_packs(document: Document) -> Iterator[Problem]:
    """Packs that a recipe names and the package does not have, found in data that has not been checked yet."""
    languages = document.data.get("languages") if isinstance(document.data, dict) else None
    packs = languages.get("packs") if isinstance(languages, dict) else None
    named: list[tuple[KeyPath, Any]] = []
    if isinstance(packs, list):
        named += [(("languages", "packs", place), code) for place, code in enumerate(packs)]
    if isinstance(languages, dict):
        named.append((("languages", "default"), languages.get("default")))
    known = shipped_languages()
    for path, code in named:
        if isinstance(code, str) and code not in known and code != "all":
            yield Problem(
                document.place_of_value(path),
                path_text(path),
                f"there is no language pack {code}{closest(code, known)}; there are {', '.join(known)}",
            )


def language_packs(recipe: Recipe) -> dict[str, LanguagePack]:
    """The packs that a recipe uses, by language code, in the order of the codes."""
    wanted = set(shipped_languages() if "all" in recipe.languages.packs else recipe.languages.packs)
    if recipe.languages.default:
        wanted.add(recipe.languages.default)
    return {code: load_language_pack(code) for code in sorted(wanted)}


# --- resolving ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resolved:
    """A recipe ready to run: everything it says, and the digest that stands for it.

    ``as_dict`` is all of it as plain data (defaults filled in, language packs included) for the ledger; ``sha256``
    is its digest: independent of comments, formatting, key order and `extends`, dependent on the order of steps.
    """

    recipe: Recipe
    packs: Mapping[str, LanguagePack]
    as_dict: Mapping[str, Any]
    sha256: str
    files: tuple[str, ...] = ()


def resolve_recipe(name_or_path: str, overrides: Iterable[str] = (), *, opener: Opener | None = None) -> Resolved:
    """Load a recipe by name, path or URI with its parents and ``--set`` overrides.

    ``opener`` reads the bytes at an address with a scheme. Raises ``RecipeError`` with every mistake, or
    ``ConfigurationError`` when there is no such recipe.
    """
    document, chain = _load_with_parents(name_or_path, opener)
    if document.data is not None:
        for override in overrides:
            apply_override(document, override)
    document.problems += _missing_packs(document)
    return resolved(check(Recipe, document), files=tuple(chain))


def resolved(recipe: Recipe, packs: Mapping[str, LanguagePack] | None = None, files: tuple[str, ...] = ()) -> Resolved:
    """A recipe with its packs, canonical form and digest."""
    packs = language_packs(recipe) if packs is None else packs
    as_dict = recipe.model_dump(mode="json")
    as_dict["language_packs"] = {code: pack.model_dump(mode="json") for code, pack in packs.items()}
    return Resolved(recipe, packs, as_dict, hashlib.sha256(canonical(as_dict)).hexdigest(), files)


def resolved_from_dict(as_dict: Mapping[str, Any]) -> Resolved:
    """The recipe of a finished run, from its ledger. Raises ``ConfigurationError`` when this version cannot read it."""
    data = dict(as_dict)
    packs = data.pop("language_packs", {})
    document = Document("ledger", data)
    recipe = check(Recipe, document)
    return resolved(recipe, {code: check(LanguagePack, Document("ledger", pack)) for code, pack in packs.items()})


def canonical(as_dict: Mapping[str, Any]) -> bytes:
    """The bytes a recipe's digest is made of: JSON with sorted keys, the steps as a list in their order."""
    data = {key: value for key, value in as_dict.items() if key != "extends"}
    data["steps"] = list(data["steps"].items())
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
