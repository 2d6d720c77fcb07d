"""Answer keys: for one seed, the reference of each check and the fingerprints of each mistake.

compute_answer_key    runs the checks on the solution and on every mutant
public_answer_key     the same for the public seed, remembered until its inputs change
write_answer_key      `gradkit answer-key`: assignment/checks/EXERCISE.json, which students get
find_staleness        compares that file with the tree's solution and mistakes
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from assignment.checks.answer_key import ROUNDING, AnswerKey, Fingerprint
from assignment.checks.check import Arrays, Check, Exercise, Outcome, load_exercise, run_check_for
from assignment.checks.differences import find_difference, relative_error
from gradkit.course import cache
from gradkit.course.config import read_config
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError
from gradkit.course.late_policy import LatePolicy
from gradkit.course.mistakes import Bank, SourceTree, mistake_paths, read_bank
from gradkit.files import content_digest, write_atomic

Run = Callable[[Check, SourceTree], Outcome]


def compute_answer_key(bank: Bank, seed: int, run: Run | None = None) -> AnswerKey:
    """Compute reference and fingerprints for a seed, of all checks that compare arrays.

    `run` returns the outcome of a check on a tree (default: runs it, and loads each tree once).

    Raises
    ------
    CourseError
        The solution has no arrays for a check.
    """
    run = run or _runner(seed)
    answer_key = AnswerKey(seed, mistakes=dict(bank.mistakes))
    compared = [check for check in bank.exercise.checks if check.compared]
    for check in compared:
        outcome = run(check, bank.solution)
        if not outcome.arrays:
            raised = outcome.raised.traceback if outcome.raised else ""
            reason = outcome.missing or outcome.invalid or raised or "no reason"
            raise CourseError(f"The solution returns no arrays for {check.name}: {reason}")
        answer_key.reference[check.name] = outcome.arrays
        answer_key.fingerprints[check.name] = []
    for mutant in bank.mutants:
        concerned = [c for c in compared if mutant.region in c.regions and not c.requires]
        differing = {
            check.name: arrays
            for check in concerned
            if (arrays := _differing_arrays(check, run(check, mutant.tree).arrays, answer_key))
        }
        for name, arrays in differing.items():
            fingerprint = Fingerprint(mutant.id, arrays, len(differing))
            answer_key.fingerprints[name].append(fingerprint)
    return answer_key


def _runner(seed: int) -> Run:
    """Return a function that runs checks and keeps the code of the tree that it ran last."""
    last = None

    def run(check: Check, tree: SourceTree) -> Outcome:
        nonlocal last
        if last is None or last[0] is not tree:
            last = tree, tree.student()
        return run_check_for(check, last[1], seed)

    return run


def _differing_arrays(check: Check, arrays: Arrays, answer_key: AnswerKey) -> Arrays:
    """Return the arrays that differ from the reference; none if the check passes or has none."""
    reference = answer_key.reference[check.name]
    if not arrays or not find_difference(arrays, reference, check.compared, check.tolerance):
        return {}
    return {
        name: array
        for name, array in arrays.items()
        if not relative_error(array, reference[name]) <= ROUNDING / 10
    }


def public_answer_key(exercise: Exercise, project: Path) -> AnswerKey:
    """Return the answer key of the public seed, computed only if its inputs have changed.

    Its numbers have the precision of the file that students get.

    Raises
    ------
    CourseError, RegionError
        The solution or the mistake bank is wrong.
    """
    # Only public seeds are remembered. Their numbers are in every starter; the key of a secret seed
    # is the right answers of a graded run, which one gradebook keeps and no other run asks for.
    kind, digest = f"answer-key-{exercise.name}", cache.exercise_digest(project, exercise.name)
    text = cache.load(kind, digest)
    if text is None:
        text = compute_answer_key(read_bank(exercise, project), exercise.seed).to_json()
        cache.store(kind, digest, text)
    return AnswerKey.from_json(text)


def answer_key_path(exercise: Exercise, project: Path) -> Path:
    """Return the place of the committed answer key."""
    return project / "assignment" / "checks" / f"{exercise.name}.json"


def write_answer_key(exercise: Exercise, project: Path) -> Path:
    """Write the public answer key of an exercise, and return its path."""
    answer_key = public_answer_key(exercise, project)
    return write_atomic(answer_key_path(exercise, project), answer_key.to_json())


def find_staleness(answer_key: AnswerKey, exercise: Exercise, project: Path) -> str:
    """Return how the committed answer key differs from a computed one; "" if it is current."""
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
    if _array_names(stored) != _array_names(computed):
        return f"{path.name} has references for other checks or arrays"
    for check in exercise.checks:
        if check.compared and (difference := _find_difference(check, stored, computed)):
            return f"{path.name} has {difference}"
    return ""


def _array_names(answer_key: AnswerKey) -> dict[str, set[str]]:
    return {check: set(arrays) for check, arrays in answer_key.reference.items()}


def _find_difference(check: Check, stored: AnswerKey, computed: AnswerKey) -> str:
    """Return what differs between the fingerprints and references of a check; "" if nothing."""
    name = check.name
    old, new = stored.fingerprints.get(name, []), computed.fingerprints[name]
    if [(f.mistake, f.shows_in) for f in old] != [(f.mistake, f.shows_in) for f in new]:
        return f"other fingerprints for {name}"
    pairs = [(stored.reference[name], computed.reference[name])]
    pairs += [(a.arrays, b.arrays) for a, b in zip(old, new, strict=True)]
    for before, after in pairs:
        # An array of a fingerprint whose difference lies at the threshold may come and go.
        common = before.keys() & after.keys()
        if not common:
            return f"other numbers for {name}"
        for key in common:
            if not relative_error(before[key], after[key]) <= max(check.tolerance, 1e-9):
                return f"other numbers for {name}: {key}"
    return ""


def spec_digest(name: str, project: Path, starter: Mapping[str, bytes]) -> str:
    """Return a digest of all that a grading spec is made of: 16 hexadecimal digits.

    `starter` are the starter's files. Late policy, points of questions and verify's parameters do
    not count, since they change no result of a check.
    """
    paths = [project / path for path in solved_paths(load_exercise(name))]
    config = replace(read_config(project, name), late=LatePolicy(), questions={}, quick={})
    contents = {**starter, "config": repr(config).encode()}
    for path in [*paths, *mistake_paths(name, project)]:
        contents[f"solved/{path.relative_to(project).as_posix()}"] = path.read_bytes()
    return content_digest(contents)[:16]
