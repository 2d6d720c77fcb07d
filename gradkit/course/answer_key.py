"""Answer keys: for one seed, the reference of each check and the fingerprints of each mistake.

compute_answer_key    runs the checks on the solution and on every mutant
public_answer_key     the same for the public seed, remembered until its inputs change
write_answer_key      `gradkit answer-key`: assignment/checks/EXERCISE.json, which students get
find_staleness        compares that file with the tree's solution and mistakes
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from assignment.checks.answer_key import ROUNDING, AnswerKey, Fingerprint
from assignment.checks.check import Arrays, Check, Exercise, Outcome, load_exercise, run_check_for
from assignment.checks.differences import find_difference, is_part, relative_error
from assignment.checks.verdict import Judge
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.course import cache
from gradkit.course.exercise_config import read_config
from gradkit.course.exercises import solved_paths
from gradkit.course.instructor_tree import CourseError
from gradkit.course.late_policy import LatePolicy
from gradkit.course.mistakes import Bank, SourceTree, mistake_paths, read_bank
from gradkit.files import content_digest, write_atomic


class Run(Protocol):
    """Returns the outcome of a check on a tree."""

    def __call__(self, check: Check, tree: SourceTree) -> Outcome: ...


def compute_answer_key(bank: Bank, seed: int, run: Run | None = None) -> AnswerKey:
    """Compute reference and different fingerprints for a seed, of all checks that compare arrays.

    A check that requires others has the fingerprints of those mutants that pass them: on all others
    it does not count. If it is slow as well, it has none. `run` returns the outcome of a check on a
    tree (default: runs it, and loads each tree once).

    Raise CourseError if the solution has no arrays for a check.
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
        if not any(is_part(name, check.compared) for name in outcome.arrays):
            raise CourseError(
                f"{check.name} compares {', '.join(check.compared)}, but the solution returns "
                f"{', '.join(outcome.arrays)}. Give `compared` the names before ' where '."
            )
        answer_key.reference[check.name] = outcome.arrays
        answer_key.fingerprints[check.name] = []
    references = AnswerKey(seed, answer_key.reference, mistakes=answer_key.mistakes)
    for mutant in bank.mutants:
        tree = mutant.tree
        judge = Judge(bank.exercise, references, tree.files, partial(run, tree=tree))
        differing = {
            check.name: arrays
            for check in compared
            if mutant.region in check.regions and not (check.slow and check.requires)
            if all(judge.verdict(name).passed for name in check.requires)
            if (arrays := _differing_arrays(check, run(check, tree).arrays, answer_key))
        }
        for name, arrays in differing.items():
            fingerprint = Fingerprint(mutant.id, arrays, len(differing))
            if not any(_is_same(fingerprint, other) for other in answer_key.fingerprints[name]):
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


def _is_same(one: Fingerprint, other: Fingerprint) -> bool:
    """Return whether two forms of a mistake leave the same fingerprint."""
    if (one.mistake, one.shows_in) != (other.mistake, other.shows_in):
        return False
    return one.arrays.keys() == other.arrays.keys() and all(
        relative_error(array, other.arrays[name]) <= ROUNDING / 10
        for name, array in one.arrays.items()
    )


def _differing_arrays(check: Check, arrays: Arrays, answer_key: AnswerKey) -> Arrays:
    """Return the arrays that differ from the reference; none if the check passes or some lack."""
    reference = answer_key.reference[check.name]
    if not arrays.keys() >= reference.keys() or not find_difference(
        arrays, reference, check.compared, check.tolerance
    ):
        return {}
    return {
        name: arrays[name]
        for name, expected in reference.items()
        if not relative_error(arrays[name], expected) <= ROUNDING / 10
    }


def public_answer_key(exercise: Exercise, project: Path) -> AnswerKey:
    """Return the answer key of the public seed, computed only if its inputs have changed.

    Its numbers have the precision of the file that students get.

    Raise CourseError or RegionError if the solution or the mistake bank is wrong.
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
    try:
        stored = AnswerKey.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{path.name} is missing or damaged"
    computed = AnswerKey.from_json(answer_key.to_json())
    if stored.seed != computed.seed or stored.mistakes != computed.mistakes:
        return f"{path.name} has another seed, or other mistakes or hints"
    for check in exercise.checks:
        if check.compared and (difference := _find_difference(check, stored, computed)):
            return f"{path.name} has {difference} for {check.name}"
    return ""


def _find_difference(check: Check, stored: AnswerKey, computed: AnswerKey) -> str:
    """Return what differs between the references and fingerprints of a check; "" if nothing."""
    old, new = (key.reference.get(check.name, {}) for key in (stored, computed))
    if old.keys() != new.keys():
        return "other arrays"
    pairs = [(old, new)]
    before, after = (key.fingerprints.get(check.name, []) for key in (stored, computed))
    if [(f.mistake, f.shows_in) for f in before] != [(f.mistake, f.shows_in) for f in after]:
        return "other fingerprints"
    pairs += [(a.arrays, b.arrays) for a, b in zip(before, after, strict=True)]
    for old, new in pairs:
        # An array of a fingerprint whose difference lies at the threshold may come and go.
        common = old.keys() & new.keys()
        errors = [relative_error(old[name], new[name]) for name in common]
        if not all(error <= max(check.tolerance, 1e-9) for error in errors) or not errors:
            return "other numbers"
    return ""


def spec_digest(name: str, project: Path, starter: Mapping[str, bytes]) -> str:
    """Return a digest of all that a grading spec is made of: 16 hexadecimal digits.

    `starter` are the starter's files. Late policy, points of questions and Colab's folder, which
    only the README gives, and verify's parameters do not count: they change no result of a check.
    """
    paths = [project / path for path in solved_paths(load_exercise(name))]
    config = read_config(project, name)
    config = replace(config, late=LatePolicy(), questions={}, quick={}, colab="", given=())
    contents = {**starter, "config": repr(config).encode()}
    for path in ("README.md", STARTER_MANIFEST):
        contents.pop(path, None)
    for solved in [*paths, *mistake_paths(name, project)]:
        contents[f"solved/{solved.relative_to(project).as_posix()}"] = solved.read_bytes()
    return content_digest(contents)[:16]
