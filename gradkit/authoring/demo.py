"""The main job, shown on the kit's own class: from the starter to what comes back.

    starters -> a class of 30 submissions, over all exercises -> graded -> gradebooks -> pages

The class is made of what the tree holds: the solution, correct variants, known mistakes with all
else right, known mistakes with nothing written after them, and what nobody has worked on. So what
comes out of it is known, and the page of the class shows what such a page can say.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from assignment.checks.check import load_exercise
from assignment.checks.display import MARKS
from assignment.workspace import regions
from assignment.workspace.submit import packed
from gradkit.autograder.sandbox import Isolation, SandboxError, self_test
from gradkit.batch.grade_class import Request, grade_class
from gradkit.course.exercises import exercise_names
from gradkit.course.mistakes import Bank, SourceTree, read_bank, solved_tree
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.feedback.class_page import write_pages
from gradkit.feedback.html import points
from gradkit.gradebook.export import write_gradebook
from gradkit.gradebook.grades import ClassGrades, StudentGrade
from gradkit.release.build import release

FOLDER = "demo"
SUBMISSIONS = 30
LEAST = 7  # of one exercise, however many there are: one of each kind
STUBS = 2  # of each exercise, and one archive that is damaged

T = TypeVar("T")


def demo(project: Path, jobs: int, say: Callable[[str], None]) -> None:
    """Build the starters, make a class for each exercise, grade it, write its pages.

    Raises
    ------
    GradkitError
        Something of that cannot be done.
    """
    folder = project / FOLDER
    _empty(folder)
    say(release(project, folder))
    try:
        self_test()
        isolation = Isolation.SANDBOX
    except SandboxError as error:
        isolation = Isolation.NONE
        reason = str(error).partition(". ")[0]
        say(f"Without a sandbox, since this class is the kit's own. {reason}.")
    names = exercise_names(project)
    for name in names:
        submissions = folder / "submissions" / name
        write_submissions(project, name, submissions, max(LEAST, SUBMISSIONS // len(names)))
        out = folder / "grades" / name
        request = Request(project, name, out, submissions, jobs, isolation=isolation)
        report = grade_class(request, lambda line: None)
        class_grades, [page, *_] = write_pages(request)
        say(f"\n{class_grades.exercise.title}: {report}\n")
        for line in _table(class_grades):
            say(line)
        say(f"\nThe gradebook: {write_gradebook(request)}")
        say(f"The class's page, with links to everyone's: {page}")


def _empty(folder: Path) -> None:
    """Remove what an earlier demo has left, and nothing else."""
    ours = ("submissions", "grades")
    strays = [
        path.name for path in folder.glob("*") if not path.name.endswith(("-starter", ".zip"))
    ]
    if other := sorted(set(strays) - set(ours)):
        raise GradkitError(
            f"{folder} holds {other[0]}, which no demo has left there. Move it away: the folder is "
            "made anew each time."
        )
    for name in ours:
        shutil.rmtree(folder / name, ignore_errors=True)


# --- the class -----------------------------------------------------------------------------------


def write_submissions(project: Path, name: str, folder: Path, count: int) -> None:
    """Write so many submissions to an exercise into a folder, each as `submit` packs it."""
    starter = {path: text.decode() for path, text in starter_files(project, [name]).items()}
    exercise = load_exercise(name)
    bank = read_bank(exercise, project)
    text = regions.read_source(project / exercise.notebook)
    solved = regions.extract_cells(regions.read_notebook(text, exercise.notebook), "it")
    written_answers = {
        name: text for name, text in solved.items() if name not in bank.solution.cells
    }
    stubs = solved_tree(exercise, starter)
    folder.mkdir(parents=True)
    for number, tree in enumerate(_trees(bank, stubs, count - 1), start=1):
        written = written_answers if tree is not stubs else {}
        # Every third one has left a question open.
        left_open = sorted(written)[: number % 3 == 0]
        given = {name: text for name, text in written.items() if name not in left_open}
        content = packed(_contents(tree, stubs, given, starter, exercise.notebook))
        (folder / f"s{number:02}.zip").write_bytes(content)
    (folder / f"s{count:02}.zip").write_bytes(content[: len(content) // 2])


def _trees(bank: Bank, stubs: SourceTree, count: int) -> Iterator[SourceTree]:
    """What so many submissions hold: of ten one is solved, two are variants, two are stuck."""
    solved, variants, stuck = count // 10 + 1, count // 5, count // 6
    yield from [bank.solution] * solved
    yield from (mutant.tree for mutant in spread(bank.variants, variants))
    mistakes = count - solved - variants - stuck - STUBS
    yield from (mutant.tree for mutant in spread(bank.mutants, mistakes))
    order = list(bank.solution.places)
    early = [mutant for mutant in bank.mutants if mutant.region != order[-1]]
    # Not the same ones again: those between them.
    for mutant in spread(early[len(early) // (2 * stuck) :], stuck):
        tree = mutant.tree
        for region in order[order.index(mutant.region) + 1 :]:
            tree = tree.with_region(region, stubs.body(region).text)
        yield tree
    yield from [stubs] * STUBS


def spread(items: Sequence[T], count: int) -> list[T]:
    """So many of the items, evenly from first to last; none where there are none."""
    return [items[number * len(items) // count] for number in range(count)] if items else []


def _contents(
    tree: SourceTree,
    stubs: SourceTree,
    written_answers: dict[str, str],
    starter: dict[str, str],
    notebook: str,
) -> dict[str, bytes]:
    """The files that a student with this code and these answers hands in."""
    bodies = tree.bodies()
    contents = {}
    for path in tree.files:
        mine = {name: bodies[name] for name in regions.extract(starter[path], path)}
        contents[path] = regions.graft(starter[path], mine, path).encode()
    nb = regions.read_notebook(starter[notebook], notebook)
    cells = {
        name: regions.graft(text, {name: bodies[name]}, notebook)
        for name, text in stubs.cells.items()
    }
    nb = regions.graft_cells(nb, {**cells, **written_answers}, notebook)
    return {**contents, notebook: regions.write_notebook(nb).encode()}


# --- the gradebook in a terminal -----------------------------------------------------------------


def _table(class_grades: ClassGrades) -> Iterator[str]:
    width = max(len(student_grade.student) for student_grade in class_grades.student_grades)
    points_are = f"points of {class_grades.maximum}, so far"
    yield f"{'':{width}}  {points_are}; each check; the first that is not passed"
    for student_grade in class_grades.student_grades:
        marks = "".join(MARKS[i.verdict.status] if i.verdict else " " for i in student_grade.checks)
        yield (
            f"{student_grade.student:{width}}  {points(student_grade.score):>5}  {marks}  {_first(student_grade)}"
        ).rstrip()


def _first(student_grade: StudentGrade) -> str:
    if student_grade.result is None:
        return " ".join(student_grade.notes)[:100]
    for item in student_grade.checks:
        if item.verdict and not item.verdict.passed:
            return f"{item.title}: {item.verdict.headline}"
    return ""
