"""The mistake bank of an exercise: its solution, known mistakes and correct variants.

    grading/EXERCISE/mistakes/ID.toml    a wrong body for a region, or the lines that differ
    grading/EXERCISE/variants/ID.toml    the same for correct code other than the solution
    grading/SHARED/...                   the same for each exercise whose exercise.toml names SHARED
    grading/SHARED/descriptions.toml     names and hints of mistakes, for exercises that have them

Each [[form]] in a file becomes a mutant: the solved tree with another body in one region. The
arrays of a check on a mutant are the mistake's fingerprint (`gradkit.course.answer_key`).
"""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from assignment.checks.answer_key import Mistake
from assignment.checks.check import Exercise
from assignment.checks.errors import KNOWN
from assignment.checks.student import Student
from assignment.workspace import regions
from gradkit.course.exercise_config import CONFIG, read_config
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError, read_toml

DESCRIPTIONS = "descriptions.toml"

KNOWN_HINTS = {known.name: known.hint for known in KNOWN}

# A mutant is valid Python, except those of the mistakes that are themselves syntax errors.
SYNTAX_ERRORS = {"SyntaxError", "IndentationError", "TabError"}
SYNTAX_MISTAKES = [known.name for known in KNOWN if known.kind in SYNTAX_ERRORS]


@dataclass(frozen=True)
class SourceTree:
    """The texts of an exercise that hold regions: files by path, notebook cells by name."""

    files: Mapping[str, str]
    cells: Mapping[str, str]

    def student(self, notebook: Mapping[str, Any] | None = None) -> Student:
        """Return the tree's code as a check runs it, with the notebook's variables, if any."""
        return Student(self.files, notebook)

    @property
    def texts(self) -> dict[str, str]:
        """All texts, by the path of the file or the name of the cell."""
        return {**self.files, **self.cells}

    @cached_property
    def places(self) -> dict[str, tuple[str, regions.Body]]:
        """Each region's text, by its key in `texts`, and body."""
        return {
            name: (where, body)
            for where, text in self.texts.items()
            for name, body in regions.extract(text, where).items()
        }

    def body(self, region: str) -> regions.Body:
        """Return the body of a region; raise KeyError if the tree does not have it."""
        return self.places[region][1]

    def bodies(self) -> dict[str, regions.Body]:
        """Return the bodies of all regions, by name."""
        return {name: body for name, (_, body) in self.places.items()}

    def with_region(self, region: str, text: str) -> "SourceTree":
        """Return a copy with another body in a region; unindented text gets its indentation."""
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
    """One form of a mistake or variant: the solved tree with another body in one region."""

    id: str  # the name of the file without .toml
    file: str  # the file's path in the project
    number: int  # counts the file's forms for the same region, from 0
    region: str
    fails: tuple[str, ...]  # the checks that fail, or give its name in a remark; () for a variant
    also: tuple[str, ...]  # mistakes that this one contains; a check may give it their names
    edits: tuple[tuple[str, str], ...]  # text of the solution, replacement; empty for a whole body
    tree: SourceTree

    def __str__(self) -> str:
        form = f", form {self.number + 1}" if self.number else ""
        return f"{self.file} in {self.region}{form}"


@dataclass(frozen=True)
class Bank:
    """The solution of an exercise, its mistakes by id, and all their forms."""

    exercise: Exercise
    solution: SourceTree
    mistakes: Mapping[str, Mistake]
    mutants: tuple[Mutant, ...]
    variants: tuple[Mutant, ...]


def solved_tree(exercise: Exercise, texts: Mapping[str, str]) -> SourceTree:
    """Return the texts with regions of a tree, which is given as texts by path."""
    notebook = regions.read_notebook(texts[exercise.notebook], exercise.notebook)
    cells = regions.extract_cells(notebook, exercise.notebook)
    code = {name: text for name, text in cells.items() if regions.find(text, name)}
    return SourceTree({path: texts[path] for path in exercise.files}, code)


def read_bank(exercise: Exercise, project: Path) -> Bank:
    """Read an exercise's solution, mistakes and variants.

    Raise CourseError for a file that does not fit the solution or its keys, and RegionError if a
    region of the solved tree is malformed.
    """
    texts = {path: regions.read_source(project / path) for path in solved_paths(exercise)}
    solution = solved_tree(exercise, texts)
    folders = _bank_folders(exercise.name, project)
    descriptions = _read_descriptions(folders)
    files = _files_by_id(folders, "mistakes")
    mistakes: dict[str, Mistake] = {}
    mutants: list[Mutant] = []
    for id, path in files.items():
        stored = read_toml(path, _MistakeFile)
        mistakes[id] = _describe(path, stored, descriptions)
        for mutant in _mutants(path, stored.form, exercise, solution, project, files):
            if mistakes[id].name not in SYNTAX_MISTAKES:
                _require_python(path, mutant)
            mutants.append(mutant)
    variants: list[Mutant] = []
    for path in _files_by_id(folders, "variants").values():
        forms = read_toml(path, _VariantFile).form
        for mutant in _mutants(path, forms, exercise, solution, project, files):
            _require_python(path, mutant)
            variants.append(mutant)
    return Bank(exercise, solution, mistakes, tuple(mutants), tuple(variants))


def mistake_paths(name: str, project: Path) -> list[Path]:
    """Return the files that an exercise's mistakes are read from, its own and shared ones."""
    folders = _bank_folders(name, project)
    descriptions = [path for folder in folders if (path := folder / DESCRIPTIONS).exists()]
    return [*_files_by_id(folders, "mistakes").values(), *descriptions]


# ---- the files of the bank -----------------------------------------------------------------------


Text = Annotated[str, Meta(pattern=r"\S")]  # not blank


class _Form(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to write a region: either `body` or `replace`, pairs of old and new lines."""

    region: str
    replace: tuple[tuple[str, str], ...] = ()
    body: str = ""


class _MistakeForm(_Form, frozen=True, forbid_unknown_fields=True, kw_only=True):
    fails: Annotated[tuple[str, ...], Meta(min_length=1)]
    also: tuple[str, ...] = ()


class _VariantFile(Struct, frozen=True, forbid_unknown_fields=True):
    form: Annotated[tuple[_Form, ...], Meta(min_length=1)]


class _MistakeFile(Struct, frozen=True, forbid_unknown_fields=True):
    form: Annotated[tuple[_MistakeForm, ...], Meta(min_length=1)]
    name: Text = ""
    hint: Text = ""


class _Description(Struct, frozen=True, forbid_unknown_fields=True):
    name: Text
    hint: Text


Descriptions = Mapping[str, tuple[Path, _Description]]


def _bank_folders(name: str, project: Path) -> list[Path]:
    """Return an exercise's own folder in `grading`, then those that it shares with others."""
    own = project / "grading" / name
    shared = [project / "grading" / folder for folder in read_config(project, name).shared]
    for folder in shared:
        if not folder.is_dir():
            raise CourseError(f"{own / CONFIG} shares {folder.name!r}, but there is no {folder}.")
    return [own, *shared]


def _files_by_id(folders: Sequence[Path], kind: str) -> dict[str, Path]:
    """Return the files of all mistakes or variants by id, sorted by id."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in (folder / kind).glob("*.toml"):
            if path.stem in files:
                raise CourseError(f"{files[path.stem]} and {path} have the same name. Keep one.")
            files[path.stem] = path
    return dict(sorted(files.items()))


def _read_descriptions(folders: Sequence[Path]) -> Descriptions:
    """Read the names and hints of mistakes, by id, each with the file that holds them."""
    descriptions: dict[str, tuple[Path, _Description]] = {}
    for path in (folder / DESCRIPTIONS for folder in folders):
        stored = read_toml(path, dict[str, _Description]) if path.exists() else {}
        for id, description in stored.items():
            if id in descriptions:
                raise CourseError(f"{descriptions[id][0]} and {path} both describe {id}. Keep one.")
            descriptions[id] = path, description
    return descriptions


def _describe(path: Path, stored: _MistakeFile, descriptions: Descriptions) -> Mistake:
    """Return a mistake's name and hint, from its file, a description, or a known exception."""
    if path.stem in descriptions:
        where, description = descriptions[path.stem]
        if stored.name or stored.hint:
            raise CourseError(f"{path} has a name or a hint, but {where} has both. Keep one.")
        return Mistake(description.name, description.hint)
    if not stored.name:
        raise CourseError(f"{path} has no 'name'. Write name = \"what students read\".")
    hint = stored.hint or KNOWN_HINTS.get(stored.name, "")
    if not hint:
        raise CourseError(
            f"{path} has no 'hint'. Write one; only a mistake with one of these names has a hint "
            f"already: {', '.join(sorted(KNOWN_HINTS))}."
        )
    return Mistake(stored.name, hint)


def _mutants(
    path: Path,
    forms: Sequence[_Form],
    exercise: Exercise,
    solution: SourceTree,
    project: Path,
    mistakes: Collection[str],
) -> Iterator[Mutant]:
    """Yield the mutants of a file's forms; `mistakes` are the ids that `also` may name."""
    numbers: Counter[str] = Counter()
    for form in forms:
        fails, also = (form.fails, form.also) if isinstance(form, _MistakeForm) else ((), ())
        if unknown := sorted({*also} - {*mistakes}):
            raise CourseError(f"{path} has {unknown[0]!r} in `also`, but there is no such mistake.")
        if unknown := sorted({*fails} - {*exercise.names}):
            raise CourseError(f"{path} has {unknown[0]!r} in `fails`, but there is no such check.")
        try:
            tree = solution.with_region(form.region, _body_of(path, form, solution))
        except regions.RegionError as error:
            raise CourseError(f"{path}: {error}") from None
        file, number = path.relative_to(project).as_posix(), numbers[form.region]
        yield Mutant(path.stem, file, number, form.region, fails, also, form.replace, tree)
        numbers[form.region] += 1


def _body_of(path: Path, form: _Form, solution: SourceTree) -> str:
    if bool(form.body) == bool(form.replace):
        raise CourseError(f"{path} needs either `body` or `replace` in each form.")
    if form.region not in solution.places:
        raise CourseError(f"{path} is for the region {form.region!r}, which does not exist.")
    if form.body:
        return form.body
    body = solution.body(form.region).text
    for old, new in form.replace:
        if body.count(old) != 1:
            raise CourseError(
                f"{path} replaces {old!r}, which stands {body.count(old)} times in {form.region}. "
                "Quote lines that stand there once."
            )
        body = body.replace(old, new)
    return body


def _require_python(path: Path, mutant: Mutant) -> None:
    where, _ = mutant.tree.places[mutant.region]
    source = without_magics(mutant.tree.texts[where])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, f"<{path.name}>", "exec")
    except SyntaxError as error:
        quoted = f" near `{error.text.strip()}`" if error.text else ""
        raise CourseError(
            f"{path} puts invalid Python into {mutant.region}{quoted}: {error.msg}. Correct it; if "
            f"the syntax error is the mistake, give it one of the names {SYNTAX_MISTAKES}."
        ) from None


def without_magics(source: str) -> str:
    """Return a cell's code with an empty line in place of each line magic of Jupyter."""
    lines = source.splitlines(keepends=True)
    return "".join("\n" if line.startswith("%") else line for line in lines)
