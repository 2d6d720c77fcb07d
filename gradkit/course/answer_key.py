"""python -m gradkit build: the public answers, computed from the solution and the mistakes.

They are committed as `assignment/checks/EXERCISE.json`, since students get them as they are. They
are numbers and hints only; for what they hold see `assignment.checks.answer_key`.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from assignment.checks.answer_key import ROUNDING, AnswerKey, Fingerprint
from assignment.checks.check import Arrays, Check, Exercise, Outcome, load_exercise, run_check_for
from assignment.checks.differences import find_difference, relative_error
from gradkit.course.config import read_config
from gradkit.course.instructor_tree import CourseError
from gradkit.course.late_policy import LatePolicy
from gradkit.course.mistakes import Bank, SourceTree, bank_paths, read_bank

Run = Callable[[Check, SourceTree], Outcome]


def compute_answer_key(bank: Bank, seed: int, run: Run | None = None) -> AnswerKey:
    """Reference and fingerprints for a seed, of all checks that a comparison judges.

    `run` gives the outcome of a check on a tree; it may remember what it has run before.
    """
    run = run or (lambda check, tree: run_check_for(check, tree.student(), seed))
    answer_key = AnswerKey(seed, mistakes=dict(bank.mistakes))
    compared = [check for check in bank.exercise.checks if check.compared]
    for check in compared:
        outcome = run(check, bank.solution)
        if not outcome.arrays:
            raise CourseError(f"The solution gives no arrays for {check.name}: {_why(outcome)}")
        answer_key.reference[check.name] = outcome.arrays
        answer_key.fingerprints[check.name] = []
    for mutant in bank.mutants:
        ran = [c for c in compared if mutant.region in c.regions and not c.requires]
        differing = {
            check.name: arrays
            for check in ran
            if (arrays := _differing(check, run(check, mutant.tree).arrays, answer_key))
        }
        for name, arrays in differing.items():
            fingerprint = Fingerprint(mutant.id, arrays, len(differing))
            answer_key.fingerprints[name].append(fingerprint)
    return answer_key


def _differing(check: Check, arrays: Arrays, answer_key: AnswerKey) -> Arrays:
    """The arrays that are not as they should be; none where the check passes or did not end."""
    reference = answer_key.reference[check.name]
    if not arrays or not find_difference(arrays, reference, check.compared, check.tolerance):
        return {}
    return {
        name: array
        for name, array in arrays.items()
        if not relative_error(array, reference[name]) <= ROUNDING / 10
    }


def _why(outcome: Outcome) -> str:
    raised = outcome.raised.traceback if outcome.raised else ""
    return outcome.missing or outcome.invalid or raised or "no reason"


def answer_key_path(exercise: Exercise, project: Path) -> Path:
    return project / "assignment" / "checks" / f"{exercise.name}.json"


def build(exercise: Exercise, project: Path) -> Path:
    """Compute the public answers of an exercise, write them, and return their path."""
    answer_key = compute_answer_key(read_bank(exercise, project), exercise.seed)
    path = answer_key_path(exercise, project)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(answer_key.to_json(), encoding="utf-8", newline="\n")
    unfinished.replace(path)
    return path


def stale(answer_key: AnswerKey, exercise: Exercise, project: Path) -> str:
    """What in the committed answers is not as just computed; empty where they are current."""
    path = answer_key_path(exercise, project)
    if not path.exists():
        return f"{path.name} is missing"
    try:
        stored = AnswerKey.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{path.name} is empty or damaged"
    computed = AnswerKey.from_json(answer_key.to_json())
    if stored.seed != computed.seed or stored.mistakes != computed.mistakes:
        return f"{path.name} has another seed, or other mistakes or hints"
    if _names(stored) != _names(computed):
        return f"{path.name} has references for other checks or arrays"
    for check in exercise.checks:
        if not check.compared:
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


def _names(answer_key: AnswerKey) -> dict[str, set[str]]:
    """The names of the reference's arrays, by check."""
    return {check: set(arrays) for check, arrays in answer_key.reference.items()}


def spec_digest(name: str, project: Path, starter: Mapping[str, bytes]) -> str:
    """What an exam is made of: the starter's files, the solutions, the manifest and the bank.

    What is added to its results, for late work and answers in words, is no part of it.
    """
    exercise = load_exercise(name)
    sha256 = hashlib.sha256()
    contents = dict(starter)
    solved = [project / path for path in (*exercise.files, exercise.notebook)]
    for path in [*solved, *bank_paths(name, project)]:
        contents[f"solved/{path.relative_to(project).as_posix()}"] = path.read_bytes()
    config = read_config(project, name)
    contents["manifest"] = repr(replace(config, late=LatePolicy(), questions={}, quick={})).encode()
    for name, content in sorted(contents.items()):
        sha256.update(f"{name}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()[:16]
