"""`gradkit demo`: the whole job on a made-up class, from the starters to the feedback.

    starters -> a class of 45 submissions, over all exercises -> graded -> gradebooks -> pages

The submissions are made of the tree's own solution, variants and mistakes: a mistake with all else
right, a mistake with nothing written after it, and untouched starters. So their grades are known.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from assignment.checks.check import load_exercise
from assignment.checks.display import MARKS
from assignment.workspace import regions
from assignment.workspace.starter import pack_zip
from gradkit.autograder.sandbox import Isolation, SandboxError, self_test
from gradkit.batch.grade_class import Request, grade_class
from gradkit.course.exercises import exercise_names, solved_paths
from gradkit.course.mistakes import Bank, SourceTree, read_bank, solved_tree
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.html import format_points
from gradkit.gradebook.export import write_gradebook
from gradkit.gradebook.grades import ClassGrades, StudentGrade
from gradkit.release.build import release

FOLDER = "demo"
CLASS_SIZE = 45
MIN_SUBMISSIONS = 7  # for an exercise, so that it has one of each kind
UNTOUCHED = 2  # for each exercise; one more is a damaged archive

T = TypeVar("T")


def demo(project: Path, jobs: int, say: Callable[[str], None]) -> None:
    """Build the starters, make a class for each exercise, grade it, write its pages."""
    folder = project / FOLDER
    _remove_older(folder)
    say(release(project, folder))
    try:
        self_test()
        isolation = Isolation.SANDBOX
    except SandboxError as error:
        isolation = Isolation.NONE
        reason = str(error).partition(". ")[0]
        say(f"Without a sandbox, since the demo wrote these submissions itself. {reason}.")
    names = exercise_names(project)
    for name in names:
        submissions = folder / "submissions" / name
        size = max(MIN_SUBMISSIONS, CLASS_SIZE // len(names))
        write_submissions(project, name, submissions, size)
        out = folder / "grades" / name
        request = Request(project, name, out, submissions, jobs, isolation=isolation)
        report = grade_class(request, lambda line: None)
        class_grades, [page, *_] = write_pages(request)
        say(f"\n{class_grades.exercise.title}: {report}\n")
        for line in _table(class_grades):
            say(line)
        say(f"\nThe gradebook: {write_gradebook(request)}")
        say(f"The class's page, with links to everyone's: {page}")


def _remove_older(folder: Path) -> None:
    """Remove what an earlier demo wrote; raise GradkitError for anything else."""
    names = {path.name for path in folder.glob("*") if not path.name.endswith(("-starter", ".zip"))}
    if strays := sorted(names - {"submissions", "grades"}):
        raise GradkitError(
            f"{folder} holds {strays[0]}, which is not from a demo. Move it away: a demo replaces "
            "what is in that folder."
        )
    for name in names:
        shutil.rmtree(folder / name)


# --- the class -----------------------------------------------------------------------------------


def write_submissions(project: Path, name: str, folder: Path, count: int) -> None:
    """Write `count` submissions to an exercise into a new folder, each as a zip file."""
    files = starter_files(project, [name])
    starter = {path: content.decode() for path, content in files.items()}
    exercise = load_exercise(name)
    bank = read_bank(exercise, project)
    untouched = solved_tree(exercise, starter)
    text = regions.read_source(project / exercise.notebook)
    cells = regions.extract_cells(regions.read_notebook(text, exercise.notebook), exercise.notebook)
    answers = sorted(cells.keys() - bank.solution.cells.keys())
    folder.mkdir(parents=True)
    content = b""
    for number, tree in enumerate(_trees(bank, untouched, count - 1), start=1):
        # An untouched starter has no written answers; every third submission lacks one.
        written = [] if tree is untouched else answers[number % 3 == 0 :]
        texts = {**_graft(tree, untouched.files), **_graft(tree, untouched.cells)}
        bodies = {name: texts[name] for name in untouched.cells}
        bodies |= {name: cells[name] for name in written}
        nb = regions.read_notebook(starter[exercise.notebook], exercise.notebook)
        texts[exercise.notebook] = regions.write_notebook(
            regions.graft_cells(nb, bodies, exercise.notebook)
        )
        content = pack_zip({path: texts[path].encode() for path in solved_paths(exercise)})
        (folder / f"s{number:02}.zip").write_bytes(content)
    (folder / f"s{count:02}.zip").write_bytes(content[: len(content) // 2])


def _trees(bank: Bank, untouched: SourceTree, count: int) -> Iterator[SourceTree]:
    """Yield `count` trees: of ten, one is solved, two are variants and two stop after a mistake."""
    solved, variants, stuck = count // 10 + 1, count // 5, count // 6
    yield from [bank.solution] * solved
    yield from (mutant.tree for mutant in spread(bank.variants, variants))
    mistakes = count - solved - variants - stuck - UNTOUCHED
    yield from (mutant.tree for mutant in spread(bank.mutants, mistakes))
    order = list(bank.solution.places)
    early = [mutant for mutant in bank.mutants if mutant.region != order[-1]]
    # Begin between two of those above, so that others are drawn.
    for mutant in spread(early[len(early) // (2 * stuck) :], stuck):
        tree = mutant.tree
        for region in order[order.index(mutant.region) + 1 :]:
            tree = tree.with_region(region, untouched.body(region).text)
        yield tree
    yield from [untouched] * UNTOUCHED


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return `count` of the items, evenly spaced; none of an empty sequence."""
    return [items[number * len(items) // count] for number in range(count)] if items else []


def _graft(tree: SourceTree, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the starter's texts with a tree's regions, as a student has them."""
    bodies = tree.bodies()
    return {
        where: regions.graft(
            text, {name: bodies[name] for name in regions.extract(text, where)}, where
        )
        for where, text in texts.items()
    }


# --- the gradebook in a terminal -----------------------------------------------------------------


def _table(class_grades: ClassGrades) -> Iterator[str]:
    width = max(len(grade.student) for grade in class_grades.student_grades)
    heading = f"points of {class_grades.maximum}, so far; each check; the first that is not passed"
    yield f"{'':{width}}  {heading}"
    for grade in class_grades.student_grades:
        marks = "".join(MARKS[i.verdict.status] if i.verdict else " " for i in grade.checks)
        score = format_points(grade.score)
        yield f"{grade.student:{width}}  {score:>5}  {marks}  {_first_problem(grade)}".rstrip()


def _first_problem(grade: StudentGrade) -> str:
    if grade.result is None:
        return " ".join(grade.notes)[:100]
    for item in grade.checks:
        if item.verdict and not item.verdict.passed:
            return f"{item.title}: {item.verdict.headline}"
    return ""
