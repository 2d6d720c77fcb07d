"""python -m gradkit build: the public answers, computed from the solution and the mistakes.

They are committed as `assignment/checks/EXERCISE.json`, since students get them as they are. They
are numbers and hints only; for what they hold see `assignment.checks.answers`.
"""

from pathlib import Path

from assignment.checks.answers import Answers
from assignment.checks.check import Exercise
from assignment.checks.differences import relative_error
from gradkit.bank import answers_for, read_bank


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
