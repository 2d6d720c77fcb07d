"""The main job, shown on the kit's own class: from the starter to what comes back.

    starter -> a class of 30 submissions -> graded -> gradebook -> pages

The class is made of what the tree holds: the solution, correct variants, known mistakes with all
else right, known mistakes with nothing written after them, and what nobody has worked on. So what
comes out of it is known, and the page of the class shows what such a page can say.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from assignment import regions
from assignment.checks.check import load_exercise
from assignment.checks.display import MARKS
from assignment.submit import packed
from gradkit import GradkitError
from gradkit.bank import Bank, Tree, read_bank, solved_tree
from gradkit.engine import Request, grade_class
from gradkit.pages import points
from gradkit.release import release, starter_files
from gradkit.report import write_gradebook, write_pages
from gradkit.sandbox import Enclosure, SandboxError, probe
from gradkit.standing import Class, Standing

FOLDER = "demo"
SOLVED, VARIANTS, MISTAKES, STUCK = 3, 6, 13, 5  # and two stubs, and a damaged archive: 30

T = TypeVar("T")


def demo(project: Path, exercise: str, jobs: int, say: Callable[[str], None]) -> None:
    """Build the starter, make a class, grade it, write its pages.

    Raises
    ------
    GradkitError
        Something of that cannot be done.
    """
    folder = project / FOLDER
    _empty(folder)
    say(release(project, folder))
    class_folder = folder / "submissions"
    names = write_submissions(project, exercise, class_folder)
    say(f"{len(names)} submissions\n  {class_folder}\n")
    try:
        probe()
        enclosure = Enclosure.SANDBOX
    except SandboxError as error:
        enclosure = Enclosure.NONE
        say(f"Without a sandbox, since this class is the kit's own. {str(error).splitlines()[0]}")
    request = Request(project, exercise, folder / "grades", class_folder, jobs, enclosure=enclosure)
    report = grade_class(request, lambda line: None)
    say(f"\n{report}\n")
    class_, _ = write_pages(request)
    for line in _table(class_):
        say(line)
    say(f"\nThe gradebook: {write_gradebook(request)}")
    say(f"The class's page, with links to everyone's: {request.out / 'class.html'}")


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


def write_submissions(project: Path, exercise_name: str, folder: Path) -> list[str]:
    """Write the class's submissions into a folder, each as `submit` packs it; their names."""
    starter = {path: content.decode() for path, content in starter_files(project).items()}
    exercise = load_exercise(exercise_name)
    bank = read_bank(exercise, project)
    text = regions.read_source(project / exercise.notebook)
    solved = regions.extract_cells(regions.read_notebook(text, exercise.notebook), "it")
    answers = {name: text for name, text in solved.items() if name not in bank.solution.cells}
    stubs = solved_tree(exercise, starter)
    folder.mkdir(parents=True)
    names = []
    for number, tree in enumerate(_trees(bank, stubs), start=1):
        written = answers if tree is not stubs else {}
        # Every third one has left a question open.
        left_open = sorted(written)[: number % 3 == 0]
        given = {name: text for name, text in written.items() if name not in left_open}
        names.append(f"s{number:02}.zip")
        (folder / names[-1]).write_bytes(
            packed(_contents(tree, stubs, given, starter, exercise.notebook))
        )
    names.append(f"s{len(names) + 1:02}.zip")
    damaged = (folder / names[0]).read_bytes()
    (folder / names[-1]).write_bytes(damaged[: len(damaged) // 2])
    return names


def _trees(bank: Bank, stubs: Tree) -> Iterator[Tree]:
    yield from [bank.solution] * SOLVED
    yield from (plant.tree for plant in spread(bank.variants, VARIANTS))
    yield from (plant.tree for plant in spread(bank.plants, MISTAKES))
    order = list(bank.solution.places)
    early = [p for p in bank.plants if p.region != order[-1] and p.region in stubs.places]
    for plant in spread(early[len(early) // (2 * STUCK) :], STUCK):
        tree = plant.tree
        for region in order[order.index(plant.region) + 1 :]:
            tree = tree.planted(region, stubs.body(region).text)
        yield tree
    yield from [stubs] * 2


def spread(items: Sequence[T], count: int) -> list[T]:
    """So many of the items, evenly from first to last."""
    return [items[number * len(items) // count] for number in range(count)]


def _contents(
    tree: Tree, stubs: Tree, answers: dict[str, str], starter: dict[str, str], notebook: str
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
    nb = regions.graft_cells(nb, {**cells, **answers}, notebook)
    return {**contents, notebook: regions.write_notebook(nb).encode()}


# --- the gradebook in a terminal -----------------------------------------------------------------


def _table(class_: Class) -> Iterator[str]:
    width = max(len(standing.student) for standing in class_.standings)
    points_are = f"points of {class_.maximum}, so far"
    yield f"{'':{width}}  {points_are}; each check; the first that is not passed"
    for standing in class_.standings:
        marks = "".join(MARKS[i.verdict.status] if i.verdict else " " for i in standing.checks)
        yield (
            f"{standing.student:{width}}  {points(standing.score):>5}  {marks}  {_first(standing)}"
        ).rstrip()


def _first(standing: Standing) -> str:
    if standing.result is None:
        return " ".join(standing.notes)[:100]
    for item in standing.checks:
        if item.verdict and not item.verdict.passed:
            return f"{item.title}: {item.verdict.headline}"
    return ""
