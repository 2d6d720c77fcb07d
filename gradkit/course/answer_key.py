"""python -m gradkit build: the public answers, computed from the solution and the mistakes.

They are committed as `assignment/checks/EXERCISE.json`, since students get them as they are. They
are numbers and hints only; for what they hold see `assignment.checks.answer_key`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from assignment.checks.answer_key import ROUNDING, Answers, Fingerprint
from assignment.checks.check import Arrays, Check, Exercise, Outcome, execute, load_exercise
from assignment.checks.differences import find_difference, relative_error
from gradkit.course.config import read_manifest
from gradkit.course.late_policy import Late
from gradkit.course.mistakes import Bank, BankError, Tree, bank_paths, read_bank

Run = Callable[[Check, "Tree"], Outcome]


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


def answers_path(exercise: Exercise, project: Path) -> Path:
    return project / "assignment" / "checks" / f"{exercise.name}.json"


def build(exercise: Exercise, project: Path) -> Path:
    """Compute the public answers of an exercise, write them, and return their path."""
    answers = answers_for(read_bank(exercise, project), exercise.seed)
    path = answers_path(exercise, project)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(answers.to_json(), encoding="utf-8", newline="\n")
    unfinished.replace(path)
    return path


def stale(answers: Answers, exercise: Exercise, project: Path) -> str:
    """What in the committed answers is not as just computed; empty where they are current."""
    path = answers_path(exercise, project)
    if not path.exists():
        return f"{path.name} is missing"
    try:
        stored = Answers.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{path.name} is empty or damaged"
    computed = Answers.from_json(answers.to_json())
    if stored.seed != computed.seed or stored.mistakes != computed.mistakes:
        return f"{path.name} has another seed, or other mistakes or hints"
    if _names(stored) != _names(computed):
        return f"{path.name} has references for other checks or arrays"
    for check in exercise.checks:
        if not check.judged:
            continue
        name = check.name
        kept, new = stored.fingerprints.get(name, []), computed.fingerprints[name]
        if [(f.mistake, f.shows_in) for f in kept] != [(f.mistake, f.shows_in) for f in new]:
            return f"{path.name} has other fingerprints for {name}"
        pairs = [(stored.reference[name], computed.reference[name])]
        pairs += [(a.arrays, b.arrays) for a, b in zip(kept, new, strict=True)]
        for old, fresh in pairs:
            # A mistake's array that differs by little more or less than the threshold may come
            # and go, but not all of them.
            if not old.keys() & fresh.keys():
                return f"{path.name} has other numbers for {name}"
            for key in old.keys() & fresh.keys():
                if not relative_error(old[key], fresh[key]) <= max(check.tolerance, 1e-9):
                    return f"{path.name} has other numbers for {name}: {key}"
    return ""


def _names(answers: Answers) -> dict[str, set[str]]:
    """The names of the reference's arrays, by check."""
    return {check: set(arrays) for check, arrays in answers.reference.items()}


def exam_digest(name: str, project: Path, starter: Mapping[str, bytes]) -> str:
    """What an exam is made of: the starter's files, the solutions, the manifest and the bank.

    What is added to its results, for late work and answers in words, is no part of it.
    """
    exercise = load_exercise(name)
    sha256 = hashlib.sha256()
    contents = dict(starter)
    solved = [project / path for path in (*exercise.files, exercise.notebook)]
    for path in [*solved, *bank_paths(name, project)]:
        contents[f"solved/{path.relative_to(project).as_posix()}"] = path.read_bytes()
    manifest = read_manifest(project / "grading" / name / "exercise.toml")
    contents["manifest"] = repr(replace(manifest, late=Late(), questions={}, quick={})).encode()
    for name, content in sorted(contents.items()):
        sha256.update(f"{name}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()[:16]
