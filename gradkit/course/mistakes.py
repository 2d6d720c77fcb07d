"""The mistake bank of an exercise: its solution, known mistakes and correct variants.

    grading/EXERCISE/mistakes.toml    wrong bodies for regions, or the lines that differ, by id
    grading/EXERCISE/variants.toml    the same for correct code other than the solution
    grading/SHARED/...                the same for each exercise whose exercise.toml names SHARED

An id with a name and a hint, but without code, describes the mistake of that id in the other file.
The mistakes that ready-made checks find have a name and a hint already.

Each form of a mistake or variant becomes a mutant: the solved tree with another body in one region.
The arrays of a check on a mutant are the mistake's fingerprint (`gradkit.course.answer_key`).
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from assignment.checks.check import Exercise, Mistake
from assignment.checks.errors import KNOWN
from assignment.checks.student import Student
from assignment.workspace import regions
from gradkit.course.exercise_config import CONFIG, read_config
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError, read_toml

MISTAKES, VARIANTS = "mistakes.toml", "variants.toml"

Edit = tuple[str, str]  # text of the solution, its replacement

KNOWN_HINTS = {known.name: known.hint for known in KNOWN}

# A mutant is valid Python, except those of the mistakes that are themselves syntax errors.
SYNTAX_ERRORS = {"SyntaxError", "IndentationError", "TabError"}
SYNTAX_MISTAKES = [known.name for known in KNOWN if known.kind in SYNTAX_ERRORS]


@dataclass(frozen=True, eq=False)  # compared by identity, so it can be a key
class SourceTree:
    """The texts of an exercise that hold regions: files by path, notebook cells by name."""

    files: Mapping[str, str]
    cells: Mapping[str, str]

    def student(self, notebook: Mapping[str, Any] | None = None) -> Student:
        """Return the tree's code as a check runs it, with the notebook's variables, if any."""
        return Student(self.files, notebook)

    @cached_property
    def loaded(self) -> Student:
        """The student of the tree's code without a notebook, whose modules are loaded once."""
        return self.student()

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

    id: str
    file: str  # the file's path in the project
    number: int  # counts the id's forms for the same region, from 0
    region: str
    edits: tuple[Edit, ...]  # empty for a whole body
    tree: SourceTree

    @property
    def is_variant(self) -> bool:
        return self.file.endswith(VARIANTS)

    @property
    def label(self) -> str:
        """The form's name, which no other form of the exercise's mistakes has."""
        form = f", form {self.number + 1}" if self.number else ""
        return f"{self.id} in {self.region}{form}"

    def __str__(self) -> str:
        return f"{self.file}: {self.label}"


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
    _require_regions(exercise, solution)
    ready_made = {id: known for check in exercise.checks for id, known in check.mistakes.items()}
    mistakes: dict[str, Mistake] = {}
    named: dict[str, str] = {}
    mutants: list[Mutant] = []
    for id, tables in _read_tables(exercise.name, project, MISTAKES, _Mistake).items():
        if forms := list(_mutants(id, tables, solution, project)):
            mistakes[id] = _describe(id, tables, ready_made.get(id, Mistake("", "")))
            mutants += forms
            where = f"{forms[0].file}: {id}"
            if (other := named.setdefault(mistakes[id].name, where)) != where:
                raise CourseError(
                    f"{where} has the same name as {other}: {mistakes[id].name!r}. Rename one, or "
                    "make them forms of one mistake."
                )
        elif (path := tables[0][0]).parent.name == exercise.name:
            raise CourseError(f"{path}: {id} has no form. Write `replace` or `body`.")
    variants: list[Mutant] = []
    for id, written in _read_tables(exercise.name, project, VARIANTS, _Variant).items():
        variants += _mutants(id, written, solution, project)
    may_be_invalid = {id for id, mistake in mistakes.items() if mistake.name in SYNTAX_MISTAKES}
    for mutant in (*(m for m in mutants if m.id not in may_be_invalid), *variants):
        _require_python(mutant)
    _require_different(solution, (*variants, *mutants))
    return Bank(exercise, solution, mistakes, tuple(mutants), tuple(variants))


def mistake_paths(name: str, project: Path) -> list[Path]:
    """Return the files that an exercise's mistakes are read from, its own and shared ones."""
    return [path for folder in _bank_folders(name, project) if (path := folder / MISTAKES).exists()]


def apply_edits(text: str, edits: Iterable[Edit]) -> str | None:
    """Return a text with each edit in its place; None if two of them overlap."""
    pieces, position = [], 0
    for start, old, new in sorted((text.index(old), old, new) for old, new in edits):
        if start < position:
            return None
        pieces += [text[position:start], new]
        position = start + len(old)
    return "".join([*pieces, text[position:]])


# ---- the files of the bank -----------------------------------------------------------------------


Text = Annotated[str, Meta(pattern=r"\S")]  # not blank


class _Form(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to write a region: either `body` or `replace`, pairs of old and new lines."""

    replace: tuple[Edit, ...] = ()
    body: str = ""
    region: str = ""  # needed for a body, and where the replaced lines stand in several regions


class _Variant(_Form, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table with one form, or with a list of them."""

    form: tuple[_Form, ...] = ()

    def forms(self) -> tuple[_Form, ...]:
        own = (self,) if self.replace or self.body or self.region else ()
        return (*own, *self.form)


class _Mistake(_Variant, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: Text = ""
    hint: Text = ""


Table = TypeVar("Table", bound=_Variant)
Tables = Sequence[tuple[Path, Table]]  # of one id, each with its file


def _bank_folders(name: str, project: Path) -> list[Path]:
    """Return an exercise's own folder in `grading`, then those that it shares with others."""
    own = project / "grading" / name
    shared = [project / "grading" / folder for folder in read_config(project, name).shared]
    for folder in shared:
        if not folder.is_dir():
            raise CourseError(f"{own / CONFIG} shares {folder.name!r}, but there is no {folder}.")
    return [own, *shared]


def _read_tables(
    name: str, project: Path, file: str, kind: type[Table]
) -> dict[str, list[tuple[Path, Table]]]:
    """Read an exercise's own and shared tables by id, sorted by id."""
    tables: dict[str, list[tuple[Path, Table]]] = {}
    for path in (folder / file for folder in _bank_folders(name, project)):
        stored = read_toml(path, dict[str, Any]) if path.exists() else {}
        for id, table in stored.items():
            try:
                tables.setdefault(id, []).append((path, msgspec.convert(table, kind)))
            except msgspec.ValidationError as error:
                raise CourseError(
                    f"{path}: {id} does not fit: {error}. docs/new-exercise.md shows how."
                ) from None
    return dict(sorted(tables.items()))


def _describe(id: str, tables: Tables[_Mistake], ready_made: Mistake) -> Mistake:
    """Return a mistake's name and hint, its own or those of a ready-made check.

    The name of a known exception has a hint already.
    """
    described = [(path, table) for path, table in tables if table.name or table.hint]
    _require_one(id, "describe", described)
    path, table = described[0] if described else tables[0]
    name = table.name or ready_made.name
    if not name:
        raise CourseError(f"{path}: {id} has no 'name'. Write name = \"what students read\".")
    hint = table.hint or KNOWN_HINTS.get(name) or ready_made.hint
    if not hint:
        raise CourseError(
            f"{path}: {id} has no 'hint'. Write one; only a mistake with one of these names has a "
            f"hint already: {', '.join(sorted(KNOWN_HINTS))}."
        )
    return Mistake(name, hint)


def _require_one(id: str, verb: str, tables: Tables[Any]) -> None:
    if len(tables) > 1:
        raise CourseError(f"{tables[0][0]} and {tables[1][0]} both {verb} {id}. Keep one.")


def _mutants(id: str, tables: Tables[Any], solution: SourceTree, project: Path) -> Iterator[Mutant]:
    """Yield the mutants of an id's forms."""
    written = [(path, table.forms()) for path, table in tables if table.forms()]
    _require_one(id, "have forms of", written)
    numbers: Counter[str] = Counter()
    for path, forms in written:
        for form in forms:
            where = f"{path}: {id}"
            region = _region_of(where, form, solution)
            try:
                tree = solution.with_region(region, _body_of(where, form, region, solution))
            except regions.RegionError as error:
                raise CourseError(f"{where}: {error}") from None
            file = path.relative_to(project).as_posix()
            yield Mutant(id, file, numbers[region], region, form.replace, tree)
            numbers[region] += 1


def _region_of(where: str, form: _Form, solution: SourceTree) -> str:
    """Return the region of a form, if need be the only one that holds all replaced lines."""
    if bool(form.body) == bool(form.replace):
        raise CourseError(f"{where} needs either `body` or `replace` in each form.")
    known = ", ".join(solution.places)
    if form.body or form.region:
        if form.region in solution.places:
            return form.region
        problem = f"the unknown region {form.region!r}" if form.region else "a body, but no region"
        raise CourseError(f"{where} has {problem}. The regions are: {known}.")
    holders = {
        old: [name for name, body in solution.bodies().items() if old in body.text]
        for old, _ in form.replace
    }
    for old, names in holders.items():
        if not names:
            raise CourseError(f"{where} replaces {old!r}, which stands in no region.")
    common = [name for name in solution.places if all(name in names for names in holders.values())]
    if len(common) != 1:
        problem = f"stand together in {', '.join(common) or 'no region'}"
        remedy = "Add `region = ...`" if common else "Give each region a form of its own"
        raise CourseError(f"{where} replaces lines that {problem}. {remedy}.")
    return common[0]


def _body_of(where: str, form: _Form, region: str, solution: SourceTree) -> str:
    body = solution.body(region).text
    for old, _ in form.replace:
        if body.count(old) != 1:
            places = "".join(f"\n  {place}" for place in _find_places(old, region, solution))
            raise CourseError(
                f"{where} replaces {old!r}, which stands {body.count(old)} times in {region}. "
                f"Quote lines that stand there once.{places}"
            )
    edited = form.body or apply_edits(body, form.replace)
    if edited is None:
        twice = next(
            f"{a!r} and {b!r}"
            for (a, _), (b, _) in combinations(form.replace, 2)
            if apply_edits(body, ((a, ""), (b, ""))) is None
        )
        raise CourseError(
            f"{where} replaces a part of {region} twice, in {twice}. Make one pair of these two."
        )
    return edited


def _find_places(text: str, region: str, solution: SourceTree) -> Iterator[str]:
    """Yield each place of a text in a region: the file or cell, the line's number, the line."""
    name, body = solution.places[region]
    source = solution.texts[name]
    [start] = [found.body_start for found in regions.find(source, name) if found.name == region]
    for match in re.finditer(re.escape(text), body.text):
        first = start + match.start() + len(text) - len(text.lstrip())
        number = source.count("\n", 0, first) + 1
        yield f"{name}, line {number}: `{source.splitlines()[number - 1].strip()}`"


def _require_python(mutant: Mutant) -> None:
    where, _ = mutant.tree.places[mutant.region]
    source = without_magics(mutant.tree.texts[where])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, f"<{mutant.id}>", "exec")
    except SyntaxError as error:
        quoted = f" near `{error.text.strip()}`" if error.text else ""
        raise CourseError(
            f"{mutant} is invalid Python{quoted}: {error.msg}. Correct it; if the syntax error is "
            f"the mistake, give it one of the names {SYNTAX_MISTAKES}."
        ) from None


def _require_different(solution: SourceTree, forms: Iterable[Mutant]) -> None:
    """Raise CourseError for two forms with the same code, or one with the solution's."""
    owners = {(name, body.text.strip()): "the solution" for name, body in solution.bodies().items()}
    for form in forms:
        code = form.region, form.tree.body(form.region).text.strip()
        if (owner := owners.setdefault(code, str(form))) != str(form):
            raise CourseError(f"{form} has the same code as {owner}. Remove one of them.")


def _require_regions(exercise: Exercise, solution: SourceTree) -> None:
    """Raise CourseError for a check of a region that no file of the exercise has."""
    for check in exercise.checks:
        if unknown := {*check.regions}.difference(solution.places):
            raise CourseError(
                f"{exercise.path}: the check {check.name!r} has regions={min(unknown)!r}, which no "
                f"file of the exercise has. The regions are: {', '.join(solution.places)}."
            )


def without_magics(source: str) -> str:
    """Return a cell's code with an empty line in place of each line magic of Jupyter."""
    lines = source.splitlines(keepends=True)
    return "".join("\n" if line.startswith("%") else line for line in lines)
