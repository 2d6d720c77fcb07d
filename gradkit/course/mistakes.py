"""The instructor's half of an exercise: its solved tree, its known mistakes, its correct variants.

    grading/EXERCISE/mistakes/ID.toml    a wrong body for a region, or the lines that differ
    grading/EXERCISE/variants/ID.toml    the same for code that is right, but not the solution
    grading/SHARED/...                   the same for all exercises whose manifest names the folder
    grading/SHARED/descriptions.toml            names and hints of mistakes that are written in each
                                         exercise's own lines

Either is *planted*: grafted into the solved tree. What a check makes of a planted mistake is the
mistake's fingerprint (`compute_answer_key`).
"""

import tomllib
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assignment.checks.answer_key import Mistake
from assignment.checks.check import Exercise
from assignment.checks.errors import KNOWN
from assignment.checks.student import Student
from assignment.workspace import regions
from gradkit.course.config import read_config
from gradkit.course.instructor_tree import CourseError


@dataclass(frozen=True)
class SourceTree:
    """The texts of an exercise that hold regions: its files, and the cells of its notebook."""

    files: Mapping[str, str]
    cells: Mapping[str, str]

    def student(self, notebook: Mapping[str, Any] | None = None) -> Student:
        return Student(self.files, notebook)

    @property
    def texts(self) -> dict[str, str]:
        """All of them, by the path of the file or the name of the cell."""
        return {**self.files, **self.cells}

    @cached_property
    def places(self) -> dict[str, tuple[str, regions.Body]]:
        """Which of the texts holds each region, and its body there."""
        return {
            name: (where, body)
            for where, text in self.texts.items()
            for name, body in regions.extract(text, where).items()
        }

    def body(self, region: str) -> regions.Body:
        """What stands in a region; KeyError where there is no such region."""
        return self.places[region][1]

    def bodies(self) -> dict[str, regions.Body]:
        return {name: body for name, (_, body) in self.places.items()}

    def with_region(self, region: str, text: str) -> "SourceTree":
        """A copy with another body in the region. Less indented text is moved to its place."""
        where, body = self.places[region]
        body = replace(body, text=text)
        if text[:1] not in ("", " ", "\t", "\n"):
            body = replace(body, indent="")
        grafted = {where: regions.graft(self.texts[where], {region: body}, where)}
        if where in self.files:
            return replace(self, files={**self.files, **grafted})
        return replace(self, cells={**self.cells, **grafted})


@dataclass(frozen=True)
class Mutant:
    """One form of a mistake or variant: the tree that has it, and the checks it fails.

    `file` is where it is written, and `number` counts the forms for the same region in there.
    `also` are the ids of other mistakes that are in it as well; a check may call it by their names.
    `edits` are what was replaced in the solution, by what; none where the whole body is given.
    """

    id: str
    file: str
    number: int
    region: str
    fails: tuple[str, ...]
    also: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]
    tree: SourceTree

    def __str__(self) -> str:
        form = f", form {self.number + 1}" if self.number else ""
        return f"{self.file} in {self.region}{form}"


@dataclass(frozen=True)
class Bank:
    """All that is known of an exercise besides its checks."""

    exercise: Exercise
    solution: SourceTree
    mistakes: Mapping[str, Mistake]
    mutants: tuple[Mutant, ...]
    variants: tuple[Mutant, ...]


def solved_tree(exercise: Exercise, texts: Mapping[str, str]) -> SourceTree:
    """The regions of a tree given as texts by path: the instructor's, or a starter."""
    files = {path: texts[path] for path in exercise.files}
    notebook = regions.read_notebook(texts[exercise.notebook], exercise.notebook)
    cells = regions.extract_cells(notebook, exercise.notebook)
    code = {name: text for name, text in cells.items() if regions.find(text, name)}
    return SourceTree(files, code)


def read_bank(exercise: Exercise, project: Path) -> Bank:
    """Read an exercise's solution, mistakes and variants.

    Raises
    ------
    CourseError
        A file of the bank is wrong: unknown keys, a line that is not in the solution, and so on.
    RegionError
        The regions of the solved tree are.
    """
    paths = (*exercise.files, exercise.notebook)
    solution = solved_tree(exercise, {path: regions.read_source(project / path) for path in paths})
    folders = _folders(exercise.name, project)
    words = _words(folders)
    mistakes: dict[str, Mistake] = {}
    mutants: list[Mutant] = []
    files = _files(folders, "mistakes")
    for id, path in files.items():
        stored = _read(path, ("name", "hint", "plant"), words)
        mistakes[id] = Mistake(stored["name"], _hint(path, stored))
        mutants.extend(_mutants(path, stored, exercise, solution, project, files))
    variants: list[Mutant] = []
    for path in _files(folders, "variants").values():
        stored = _read(path, ("plant",))
        variants.extend(_mutants(path, stored, exercise, solution, project, files))
    return Bank(exercise, solution, mistakes, tuple(mutants), tuple(variants))


def bank_paths(name: str, project: Path) -> list[Path]:
    """The files that an exercise's mistakes are read from, its own and shared ones."""
    folders = _folders(name, project)
    words = [path for folder in folders if (path := folder / WORDS).exists()]
    return [*_files(folders, "mistakes").values(), *words]


# ---- the files of the bank -----------------------------------------------------------------------

MANIFEST = "exercise.toml"

WORDS = "descriptions.toml"


def _folders(name: str, project: Path) -> list[Path]:
    """An exercise's own folder in `grading`, and then those that it shares with others."""
    own = project / "grading" / name
    shared = [project / "grading" / folder for folder in read_config(project, name).shared]
    for folder in shared:
        if not folder.is_dir():
            raise CourseError(f"{own / MANIFEST} shares {folder.name!r}; there is no {folder}.")
    return [own, *shared]


def _files(folders: Sequence[Path], kind: str) -> dict[str, Path]:
    """The files of mistakes or variants by their ids, in the order of those."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / kind).glob("*.toml"):
            if path.stem in files:
                raise CourseError(f"{files[path.stem]} and {path} have the same name. Keep one.")
            files[path.stem] = path
    return dict(sorted(files.items()))


def _words(folders: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Names and hints by the ids of the mistakes, and the file that has them."""
    words: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in (folder / WORDS for folder in folders):
        for id, about in (_parsed(path) if path.exists() else {}).items():
            if not isinstance(about, dict) or set(about) != {"name", "hint"}:
                raise CourseError(
                    f"{path} should have a table [{id}] with a name and a hint in it."
                )
            if id in words:
                raise CourseError(
                    f"{words[id][0]} and {path} both have words for {id!r}. Keep one."
                )
            _require_shape(path, about, ("name", "hint"))
            words[id] = path, about
    return words


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in value
    )


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


# What a key's value must be, and how it is written.
_KEYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "name": (_is_text, 'name = "what students read"'),
    "hint": (_is_text, 'hint = "What students read."'),
    "plant": (_are_tables, "[[plant]], with two brackets, above each form of it"),
    "region": (_is_text, 'region = "softmax_naive"'),
    "fails": (_are_texts, 'fails = ["naive_loss", "naive_gradient"]'),
    "also": (_are_texts, 'also = ["the_id_of_another_mistake"]'),
    "replace": (_are_pairs, 'replace = [["a line of the solution", "the line instead of it"]]'),
    "body": (_is_text, 'body = """all lines of the region"""'),
}

_MUTANT_KEYS = ("region", "fails", "also", "replace", "body")


# What is planted is Python, except in the mistakes of writing something that is not.
_NOT_PYTHON = [
    known.name
    for known in KNOWN
    if known.kind in {error.__name__ for error in (SyntaxError, IndentationError, TabError)}
]


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} is not valid TOML: {error}.") from None


def _read(
    path: Path,
    keys: tuple[str, ...],
    words: Mapping[str, tuple[Path, Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """What a file says, with the shared words where there are any for it."""
    stored = _parsed(path)
    if words and path.stem in words:
        where, about = words[path.stem]
        if stored.keys() & about.keys():
            raise CourseError(f"{path} has a name or a hint, but {where} has them already.")
        stored = {**about, **stored}
    _require_shape(path, stored, keys)
    for key in keys:
        if key != "hint" and not stored.get(key):
            raise CourseError(f"{path} has no {key!r}. Write {_KEYS[key][1]}.")
    for about in stored["plant"]:
        _require_shape(path, about, _MUTANT_KEYS)
        if "region" not in about:
            raise CourseError(f"{path} has a plant without a region. Write {_KEYS['region'][1]}.")
        if ("body" in about) == ("replace" in about):
            raise CourseError(f"{path} needs either `body` or `replace` in each plant.")
    return stored


def _require_shape(path: Path, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """Raise CourseError for an unknown key, or a value that is not what its key is for."""
    for key, value in table.items():
        if key not in keys:
            place = "a plant with " if keys is _MUTANT_KEYS else ""
            raise CourseError(f"{path} has {place}the unknown key {key!r}; there are {list(keys)}.")
        fits, example = _KEYS[key]
        if not fits(value):
            raise CourseError(f"{path} has {value!r:.60} for {key!r}. Write {example}.")


def _hint(path: Path, stored: Mapping[str, Any]) -> str:
    """The file's own hint, or that of the exception that the mistake is known by."""
    known = {known.name: known.hint for known in KNOWN}
    if "hint" in stored:
        return str(stored["hint"])
    if stored["name"] in known:
        return known[stored["name"]]
    raise CourseError(f"{path} has no hint, and its name is none of {sorted(known)}.")


def _mutants(
    path: Path,
    stored: Mapping[str, Any],
    exercise: Exercise,
    solution: SourceTree,
    project: Path,
    mistakes: Container[str],
) -> Iterator[Mutant]:
    numbers: dict[str, int] = {}
    for about in stored["plant"]:
        region, fails = about["region"], tuple(about.get("fails", ()))
        also = tuple(about.get("also", ()))
        for id in also:
            if id not in mistakes:
                raise CourseError(f"{path} names the mistake {id!r}, but there is no {id}.toml.")
        for name in set(fails) - set(exercise.names):
            raise CourseError(f"{path} says that {name!r} fails, but there is no such check.")
        try:
            body = solution.body(region).text
        except KeyError:
            raise CourseError(f"{path} is for the region {region!r}, which is not there.") from None
        edits = tuple((old, new) for old, new in about.get("replace", ()))
        for old, new in edits:
            if body.count(old) != 1:
                raise CourseError(
                    f"{path} replaces {old!r}, which stands {body.count(old)} times in {region}; "
                    "it should stand there once."
                )
            body = body.replace(old, new)
        body = about.get("body", body)
        _require_no_markers(path, region, body)
        tree = solution.with_region(region, body)
        if stored.get("name") not in _NOT_PYTHON:
            where, _ = solution.places[region]
            _require_python(path, region, tree.texts[where])
        number = numbers[region] = numbers.get(region, -1) + 1
        file = path.relative_to(project).as_posix()
        yield Mutant(path.stem, file, number, region, fails, also, edits, tree)


def _require_no_markers(path: Path, region: str, body: str) -> None:
    try:
        marked = bool(regions.find(body, str(path)))
    except regions.RegionError:
        marked = True
    if marked:
        raise CourseError(
            f"{path} has the marker of a region, or what looks like one, in its plant for "
            f"{region}. The markers are there already: write only what goes between them."
        )


def _require_python(path: Path, region: str, text: str) -> None:
    """Raise CourseError where the text that something was planted in is not Python any more."""
    source = without_magics(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, f"<{path.name}>", "exec")
    except SyntaxError as error:
        quoted = f" near `{error.text.strip()}`" if error.text else ""
        raise CourseError(
            f"{path} plants in {region} what is not Python{quoted}: {error.msg}. Mend it; or, if "
            f"that is the mistake, give it one of the names {_NOT_PYTHON}."
        ) from None


def without_magics(source: str) -> str:
    """The code of a notebook's cell without the lines that speak to Jupyter."""
    lines = source.splitlines(keepends=True)
    return "".join("\n" if line.startswith("%") else line for line in lines)
