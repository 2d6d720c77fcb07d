"""The instructor's half of an exercise: its solved tree, its known mistakes, its correct variants.

    grading/EXERCISE/mistakes/ID.toml    a wrong body for a region, or the lines that differ
    grading/EXERCISE/variants/ID.toml    the same for code that is right, but not the solution

Either is *planted*: grafted into the solved tree. What a check makes of a planted mistake is the
mistake's fingerprint (`answers_for`).
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assignment import regions
from assignment.checks.answers import ROUNDING, Answers, Fingerprint, Mistake
from assignment.checks.check import Arrays, Check, Exercise, Outcome, execute
from assignment.checks.differences import find_difference, relative_error
from assignment.checks.errors import KNOWN
from assignment.checks.student import Student
from gradkit import GradkitError

Run = Callable[[Check, "Tree"], Outcome]


class BankError(GradkitError):
    """A file of the bank is not what it should be; the text names it and says why."""


@dataclass(frozen=True)
class Tree:
    """The texts of an exercise that hold regions: its files, and the cells of its notebook."""

    files: Mapping[str, str]
    cells: Mapping[str, str]

    def student(self, notebook: Mapping[str, Any] | None = None) -> Student:
        return Student(self.files, notebook)

    def body(self, region: str) -> regions.Body:
        """What stands in a region; KeyError where there is no such region."""
        return self.bodies()[region]

    def planted(self, region: str, text: str) -> "Tree":
        """A copy with another body in the region. Less indented text is moved to its place."""
        body = replace(self.body(region), text=text)
        if text[:1] not in ("", " ", "\t", "\n"):
            body = replace(body, indent="")
        graft = {region: body}
        for path, source in self.files.items():
            if region in regions.extract(source, path):
                return replace(self, files={**self.files, path: regions.graft(source, graft, path)})
        cell = regions.graft(self.cells[region], graft, region)
        return replace(self, cells={**self.cells, region: cell})

    def bodies(self) -> dict[str, regions.Body]:
        texts = {**self.files, **self.cells}
        return {
            name: body
            for where, text in texts.items()
            for name, body in regions.extract(text, where).items()
        }


@dataclass(frozen=True)
class Plant:
    """One form of a mistake or variant: the tree that has it, and the checks it fails.

    `also` are the ids of other mistakes that are in it as well; a check may call it by their names.
    `edits` are what was replaced in the solution, by what; none where the whole body is given.
    """

    id: str
    number: int
    region: str
    fails: tuple[str, ...]
    also: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]
    tree: Tree

    def __str__(self) -> str:
        return f"{self.id} in {self.region}" + (f" ({self.number})" if self.number else "")


@dataclass(frozen=True)
class Bank:
    """All that is known of an exercise besides its checks."""

    exercise: Exercise
    solution: Tree
    mistakes: Mapping[str, Mistake]
    plants: tuple[Plant, ...]
    variants: tuple[Plant, ...]


def solved_tree(exercise: Exercise, texts: Mapping[str, str]) -> Tree:
    """The regions of a tree given as texts by path: the instructor's, or a starter."""
    files = {path: texts[path] for path in exercise.files}
    notebook = regions.read_notebook(texts[exercise.notebook], exercise.notebook)
    cells = regions.extract_cells(notebook, exercise.notebook)
    code = {name: text for name, text in cells.items() if regions.find(text, name)}
    return Tree(files, code)


def read_bank(exercise: Exercise, project: Path) -> Bank:
    """Read an exercise's solution, mistakes and variants.

    Raises
    ------
    BankError
        A file of the bank is wrong: unknown keys, a line that is not in the solution, and so on.
    RegionError
        The regions of the solved tree are.
    """
    paths = (*exercise.files, exercise.notebook)
    solution = solved_tree(exercise, {path: regions.read_source(project / path) for path in paths})
    folder = project / "grading" / exercise.name
    mistakes: dict[str, Mistake] = {}
    plants: list[Plant] = []
    for path in sorted((folder / "mistakes").glob("*.toml")):
        stored = _read(path, {"name", "hint", "plant"})
        mistakes[path.stem] = Mistake(stored["name"], _hint(path, stored))
        plants.extend(_plants(path, stored, exercise, solution))
    variants: list[Plant] = []
    for path in sorted((folder / "variants").glob("*.toml")):
        variants.extend(_plants(path, _read(path, {"plant"}), exercise, solution))
    return Bank(exercise, solution, mistakes, tuple(plants), tuple(variants))


def answers_for(bank: Bank, seed: int, run: Run | None = None) -> Answers:
    """Reference and fingerprints for a seed, of all checks that a comparison judges.

    `run` gives the outcome of a check on a tree; it may remember what it has run before.
    """
    run = run or (lambda check, tree: execute(check, tree.student(), seed))
    answers = Answers(seed, mistakes=dict(bank.mistakes))
    compared = [check for check in bank.exercise.checks if check.judged]
    for check in compared:
        outcome = run(check, bank.solution)
        if not outcome.arrays:
            raise BankError(f"The solution gives no arrays for {check.name}: {_why(outcome)}")
        answers.reference[check.name] = outcome.arrays
        answers.fingerprints[check.name] = []
    for plant in bank.plants:
        ran = [c for c in compared if plant.region in c.regions and not c.requires]
        differing = {
            check.name: arrays
            for check in ran
            if (arrays := _differing(check, run(check, plant.tree).arrays, answers))
        }
        for name, arrays in differing.items():
            fingerprint = Fingerprint(plant.id, arrays, len(differing))
            answers.fingerprints[name].append(fingerprint)
    return answers


def _differing(check: Check, arrays: Arrays, answers: Answers) -> Arrays:
    """The arrays that are not as they should be; none where the check passes or did not end."""
    reference = answers.reference[check.name]
    if not arrays or not find_difference(arrays, reference, check.judged, check.tolerance):
        return {}
    return {
        name: array
        for name, array in arrays.items()
        if not relative_error(array, reference[name]) <= ROUNDING / 10
    }


def _why(outcome: Outcome) -> str:
    raised = outcome.raised.traceback if outcome.raised else ""
    return outcome.missing or outcome.unusable or raised or "no reason"


def _read(path: Path, keys: set[str]) -> dict[str, Any]:
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BankError(f"{path} is not valid TOML: {error}.") from None
    unknown = set(stored) - keys
    if unknown:
        raise BankError(f"{path} has the unknown key {min(unknown)!r}; there are {sorted(keys)}.")
    for key in keys - {"hint"}:
        if not stored.get(key):
            raise BankError(f"{path} has no {key!r}.")
    return stored


def _hint(path: Path, stored: Mapping[str, Any]) -> str:
    """The file's own hint, or that of the exception that the mistake is known by."""
    known = {known.name: known.hint for known in KNOWN}
    if "hint" in stored:
        return str(stored["hint"])
    if stored["name"] in known:
        return known[stored["name"]]
    raise BankError(f"{path} has no hint, and its name is none of {sorted(known)}.")


def _plants(
    path: Path, stored: Mapping[str, Any], exercise: Exercise, solution: Tree
) -> Iterator[Plant]:
    numbers: dict[str, int] = {}
    for about in stored["plant"]:
        unknown = set(about) - {"region", "fails", "also", "replace", "body"}
        if unknown:
            raise BankError(f"{path} has a plant with the unknown key {min(unknown)!r}.")
        region = about.get("region", "")
        fails = tuple(about.get("fails", ()))
        also = tuple(about.get("also", ()))
        for id in also:
            if not path.with_name(f"{id}.toml").exists():
                raise BankError(f"{path} names the mistake {id!r}, but there is no {id}.toml.")
        for name in set(fails) - set(exercise.names):
            raise BankError(f"{path} says that {name!r} fails, but there is no such check.")
        try:
            body = solution.body(region).text
        except KeyError:
            raise BankError(f"{path} is for the region {region!r}, which is not there.") from None
        if ("body" in about) == ("replace" in about):
            raise BankError(f"{path} needs either `body` or `replace` in each plant.")
        edits = tuple((old, new) for old, new in about.get("replace", ()))
        for old, new in edits:
            if body.count(old) != 1:
                raise BankError(
                    f"{path} replaces {old!r}, which stands {body.count(old)} times in {region}; "
                    "it should stand there once."
                )
            body = body.replace(old, new)
        number = numbers[region] = numbers.get(region, -1) + 1
        tree = solution.planted(region, about.get("body", body))
        yield Plant(path.stem, number, region, fails, also, edits, tree)
