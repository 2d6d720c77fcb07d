"""grading/EXERCISE/mistakes.lock: the checks that each form of a mistake fails, and their names.

    [named]    by form, the checks that fail and call it by its own name
    [review]   a check that calls a form by another mistake's name or by none, a line each; and two
               mistakes at once that checks call by the names of third ones

`gradkit verify --accept` writes the file, and `gradkit verify` reports each difference from it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from gradkit.course.instructor_tree import read_toml
from gradkit.course.mistakes import Bank
from gradkit.files import write_atomic

HEAD = """\
# Written by `gradkit verify --accept`. A wrong name is worse than none: each line of [review] needs
# a reason.
"""

OWN, NO_NAME = "its own name", "no name"


TWINS = (
    "merge these mistakes, or tell them apart by another problem or diagnostic array of the check"
)


class Problem(NamedTuple):
    """A wrong verdict: the subject that got it, the statement that is false, the verdict."""

    subject: str
    statement: str
    verdict: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.statement}" + (f": {self.verdict}" if self.verdict else "")


class FormVerdict(NamedTuple):
    """A check's verdict on a form of a mistake.

    `name` is OWN, NO_NAME, the id of another mistake, or "" if the check does not fail. `twins` are
    forms of other mistakes from which the check gets the same arrays.
    """

    form: str  # its label
    check: str
    name: str
    verdict: str
    twins: tuple[str, ...] = ()


class Lock(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file; a key of `review` is "FORM: CHECK" or "ID + ID"."""

    named: Mapping[str, tuple[str, ...]] = {}
    review: Mapping[str, str] = {}

    @classmethod
    def of(cls, calls: Iterable[FormVerdict], pairs: Mapping[str, str]) -> "Lock":
        """Make the lock of all calls, and of the names given to two mistakes at once."""
        named: dict[str, tuple[str, ...]] = {}
        review: dict[str, str] = {}
        for call in calls:
            named.setdefault(call.form, ())
            if call.name == OWN:
                named[call.form] += (call.check,)
            elif call.name:
                review[f"{call.form}: {call.check}"] = call.name
        return cls(dict(sorted(named.items())), dict(sorted(review.items())) | dict(pairs))

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read a file; one that does not exist is empty. Raise CourseError if it does not fit."""
        return read_toml(path, cls) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Write the file."""
        named, review = ("".join(_lines(table)) for table in (self.named, self.review))
        write_atomic(path, f"{HEAD}\n[named]\n{named}\n[review]\n{review}")

    def name(self, form: str, check: str) -> str:
        """Return the name that a check gives a form, as in a FormVerdict."""
        return OWN if check in self.named.get(form, ()) else self.review.get(f"{form}: {check}", "")


def _lines(table: Mapping[str, object]) -> Iterator[str]:
    """Yield the lines of a TOML table whose values JSON writes alike."""
    for key, value in table.items():
        yield f"{json.dumps(key)} = {json.dumps(value)}\n"


def lock_path(name: str, project: Path) -> Path:
    """Return the place of an exercise's mistakes.lock."""
    return project / "grading" / name / "mistakes.lock"


def find_differences(calls: Iterable[FormVerdict], lock: Lock) -> list[Problem]:
    """Return what checks do with forms of mistakes, unless mistakes.lock has it."""
    problems, new = [], defaultdict[str, list[str]](list)
    for call in calls:
        expected = lock.name(call.form, call.check)
        if call.twins and call.name != expected:
            forms = " and ".join(sorted((call.form, *call.twins)))
            problems.append(Problem(forms, f"{call.check} gets the same arrays from all", TWINS))
        elif call.form not in lock.named:
            new[call.form] += [f"{call.check} calls it by {call.name}"] * bool(call.name)
        elif call.name != expected:
            wanted = f"call it by {expected}" if expected else "pass"
            statement = f"{call.check} should {wanted}, but is"
            problems.append(Problem(call.form, statement, call.verdict))
    for form, failing in new.items():
        statement = "is not in mistakes.lock, which `gradkit verify --accept` writes"
        problems.append(Problem(form, statement, ", ".join(failing)))
    return problems


def find_pair_differences(pairs: Mapping[str, str], lock: Lock) -> list[Problem]:
    """Return the names given to two mistakes at once, unless mistakes.lock has them."""
    before = {key: value for key, value in lock.review.items() if " + " in key}
    return [
        Problem(pair, f"are called by {pairs.get(pair, OWN)}, in mistakes.lock by", expected)
        for pair in sorted(pairs.keys() | before)
        if (expected := before.get(pair, OWN)) != pairs.get(pair, OWN)
    ]


def find_failing_nothing(calls: Iterable[FormVerdict]) -> list[Problem]:
    """Return the forms that no check fails or remarks on."""
    names = defaultdict[str, str](str)
    for call in calls:
        names[call.form] += call.name
    statement = "fails no check. Correct it, or move it to variants.toml"
    return [Problem(form, statement) for form, name in names.items() if not name]


def find_gone(lock: Lock, bank: Bank) -> list[Problem]:
    """Return the forms of the file that the bank no longer has."""
    gone = lock.named.keys() - {mutant.label for mutant in bank.mutants}
    return [Problem(form, "is in mistakes.lock, but not in mistakes.toml") for form in sorted(gone)]
