"""python -m gradkit COMMAND: the commands of instructors and graders.

A command is a subparser and a function of its arguments that returns the exit status: 0 on success,
1 when the work failed and stderr says why. Each imports what it needs when it runs.
"""

import argparse
import io
import os
import sys
from pathlib import Path
from typing import Any

from assignment import PROJECT
from assignment.workspace.regions import RegionError
from gradkit.errors import GradkitError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; wrong usage exits with 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has a ✓
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (GradkitError, RegionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gradkit", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    text = "build the starter, make a class of 30, grade it, write its pages: all in demo/"
    command = commands.add_parser("demo", help=text, description=text)
    _add_jobs(command)
    command.set_defaults(run=_demo)

    text = "run the solved notebooks on the stand-in and store their outputs in them"
    command = commands.add_parser("store-outputs", help=text, description=text)
    _add_only(command)
    command.set_defaults(run=_store_outputs)

    text = "make the starter for students, a folder and a zip file"
    command = commands.add_parser("release", help=text, description=text)
    command.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=PROJECT / "dist",
        help="where it goes (dist in the project's folder)",
    )
    text = "and the archive of an autograder for Gradescope"
    command.add_argument("--gradescope", action="store_true", help=text)
    text = "and a template repository for GitHub Classroom, a folder"
    command.add_argument("--github", action="store_true", help=text)
    command.set_defaults(run=_release)

    text = "compute the public answers from the solution and the mistakes"
    command = commands.add_parser("build", help=text, description=text)
    _add_only(command)
    command.set_defaults(run=_build)

    text = "prove starter, solution, variants and mistakes; print what was proved"
    command = commands.add_parser("verify", help=text, description=text)
    _add_only(command)
    command.set_defaults(run=_verify)
    _add_gradescope(commands)
    _add_grade(commands)
    _add_look(commands)
    _add_after(commands)
    _add_pages(commands)
    return parser


def _add_gradescope(commands: Any) -> None:
    text = "grade the one submission of a Gradescope container; its run_autograder calls this"
    command = commands.add_parser("gradescope", help=text, description=text)
    command.add_argument(
        "--autograder",
        type=Path,
        default=Path("/autograder"),
        metavar="FOLDER",
        help="where submission and results are (/autograder)",
    )
    text = "see that the solution passes here, and grade nothing"
    command.add_argument("--prove", action="store_true", help=text)
    command.add_argument("--exercise", metavar="NAME", help="which one, where there are several")
    command.set_defaults(run=_gradescope)


def _add_grade(commands: Any) -> None:
    text = "grade a folder of submissions into a ledger and gradebook.csv"
    command = commands.add_parser("grade", help=text, description=text)
    command.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="the class's folder")
    command.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="whose submission is whose: a column `student`, and others found in files' names",
    )
    where = command.add_mutually_exclusive_group()
    _add_jobs(where)
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="grade on the Dask cluster of this scheduler, tcp://HOST:PORT",
    )
    command.add_argument(
        "--seed",
        type=_seed,
        metavar="NUMBER",
        help="the secret seed; without it one is drawn at the first run, and kept in the ledger",
    )
    command.add_argument(
        "--no-sandbox",
        action="store_true",
        help="run the submissions as yourself: for work that you trust as if it were your own",
    )
    command.add_argument(
        "--regrade",
        nargs="?",
        const="",
        metavar="STUDENT",
        help="do the results of a student over, or all of them",
    )
    _add_out(command)
    command.set_defaults(run=_grade)


def _add_look(commands: Any) -> None:
    text = "lay out one submission, to look into it with pytest --nbval"
    command = commands.add_parser("look", help=text, description=text)
    command.add_argument("submission", type=Path, metavar="SUBMISSION", help="a folder or archive")
    command.add_argument("desk", type=Path, metavar="DESK", help="a new folder for it")
    command.add_argument("--no-sandbox", action="store_true", help="for work that you trust")
    _add_out(command)
    command.set_defaults(run=_debug)


def _add_after(commands: Any) -> None:
    text = "judge all results again, after a correction of checks, tolerances or hints"
    command = commands.add_parser("reverdict", help=text, description=text)
    _add_out(command)
    command.set_defaults(run=_rejudge)

    text = "print the gradebook, as others read it; who is left out is told on stderr"
    command = commands.add_parser("export", help=text, description=text)
    command.add_argument(
        "--format",
        choices=("csv", "json", "canvas", "moodle", "gradescope"),
        default="csv",
        help="for a spreadsheet (csv), a program (json), or what a platform imports",
    )
    command.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help="the platform's own list: Canvas's exported gradebook, Moodle's grading worksheet, "
        "or students with their e-mail addresses for Gradescope",
    )
    _add_out(command)
    command.set_defaults(run=_export)


def _add_pages(commands: Any) -> None:
    text = "write the page of the class, and one for each student"
    command = commands.add_parser("feedback", help=text, description=text)
    command.add_argument(
        "--zip",
        action="store_true",
        help="pack the students' pages, as the platform wants them named that the work came from",
    )
    _add_out(command)
    command.set_defaults(run=_feedback)

    text = "write answers.html, on which answers in words are graded in a browser"
    command = commands.add_parser("answers", help=text, description=text)
    command.add_argument("--hide-names", action="store_true", help="show nobody's name on it")
    _add_out(command)
    command.set_defaults(run=_answers)

    text = "take points and comments from a CSV: of answers, and of checks, with a reason"
    command = commands.add_parser("import-manual", help=text, description=text)
    command.add_argument("csv", type=Path, metavar="CSV", help="student,item,points,comment")
    _add_out(command)
    command.set_defaults(run=_import_manual)


def _add_only(command: argparse.ArgumentParser) -> None:
    command.add_argument("--exercise", metavar="NAME", help="this exercise alone (all of them)")


def _add_jobs(command: Any) -> None:
    command.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="so many submissions side by side (the number of processors)",
    )


def _jobs(options: argparse.Namespace) -> int:
    return options.jobs or os.cpu_count() or 1


def _add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--out",
        type=Path,
        default=PROJECT / "grades",
        metavar="FOLDER",
        help="where ledger and gradebook are (grades in the project's folder)",
    )
    command.add_argument("--exercise", metavar="NAME", help="which one, where there are several")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _seed(text: str) -> int:
    # A smaller one could be found by trying them all, from a check's own seed.
    if not text.isdecimal() or not 1 << 64 <= int(text) < 1 << 128:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 2^64 to 2^128")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    from gradkit.authoring.demo import demo

    demo(PROJECT, _jobs(options), print)
    return 0


def _store_outputs(options: argparse.Namespace) -> int:
    from assignment.checks.check import load_exercise
    from gradkit.authoring.notebook_outputs import store_outputs

    for name in _exercises(options):
        store_outputs(PROJECT / load_exercise(name).notebook)
    return 0


def _release(options: argparse.Namespace) -> int:
    from gradkit.release.build import release

    print(release(PROJECT, options.out, options.gradescope, options.github))
    return 0


def _gradescope(options: argparse.Namespace) -> int:
    from gradkit.batch.gradescope_run import grade_upload, prove_image

    if options.prove:
        prove_image(_exercise(options))
        return 0
    return grade_upload(options.autograder, _exercise(options))


def _build(options: argparse.Namespace) -> int:
    from assignment.checks.check import load_exercise
    from gradkit.course.answer_key import build

    for name in _exercises(options):
        print(f"Wrote {build(load_exercise(name), PROJECT)}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from gradkit.authoring.verify import verify_all

    return 0 if verify_all(_exercises(options), PROJECT) else 1


def _grade(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from gradkit.batch.grade_class import Request, grade_class
    from gradkit.batch.regrade import delete_results
    from gradkit.gradebook.export import write_gradebook

    request = Request(
        PROJECT,
        _exercise(options),
        options.out,
        options.submissions,
        _jobs(options),
        options.roster,
        options.seed,
        _enclosure(options),
        options.scheduler,
    )
    if options.regrade is not None:
        delete_results(request, options.regrade)
    try:
        report = grade_class(request, tqdm.write)
    finally:
        gradebook = write_gradebook(request)
    print(report)
    print(f"The gradebook: {gradebook}")
    return 1 if report.left else 0


def _debug(options: argparse.Namespace) -> int:
    from gradkit.batch.regrade import debug_submission

    notebook = debug_submission(
        _grades(options), options.submission, options.workdir, _enclosure(options)
    )
    print("Look into it with")
    print(f"    {sys.executable} -m pytest -p gradkit.autograder.nbval_plugin --nbval {notebook}")
    return 0


def _rejudge(options: argparse.Namespace) -> int:
    from gradkit.batch.regrade import rejudge
    from gradkit.gradebook.export import write_gradebook

    for line in rejudge(_grades(options)):
        print(line)
    print(f"The gradebook: {write_gradebook(_grades(options))}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from gradkit.gradebook.export import export

    found = export(_grades(options), options.format, options.roster)
    for sentence in found.told:
        print(sentence, file=sys.stderr)
    print(found.text, end="")
    return 0


def _feedback(options: argparse.Namespace) -> int:
    from gradkit.feedback.class_page import write_pages

    _, written = write_pages(_grades(options), options.zip)
    for place in written:
        print(place)
    return 0


def _answers(options: argparse.Namespace) -> int:
    from gradkit.feedback.manual_grading_page import write_manual_page

    print(write_manual_page(_grades(options), options.hide_names))
    return 0


def _import_manual(options: argparse.Namespace) -> int:
    from gradkit.gradebook.export import write_gradebook
    from gradkit.gradebook.manual_grades import import_manual

    print(import_manual(_grades(options), options.csv))
    print(f"The gradebook: {write_gradebook(_grades(options))}")
    return 0


def _enclosure(options: argparse.Namespace) -> Any:
    from gradkit.autograder.sandbox import Isolation

    return Isolation.NONE if options.no_sandbox else Isolation.SANDBOX


def _grades(options: argparse.Namespace) -> Any:
    from gradkit.gradebook.database import GradebookFolder

    return GradebookFolder(PROJECT, _exercise(options), options.out)


def _exercises(options: argparse.Namespace) -> list[str]:
    """The exercise that is asked for, or all of them."""
    from gradkit.course.exercises import exercise_names

    return [_exercise(options)] if options.exercise else exercise_names(PROJECT)


def _exercise(options: argparse.Namespace) -> str:
    """The exercise that is asked for, or that of the ledger that is asked for, or the only one."""
    from gradkit.course.exercises import exercise_names
    from gradkit.gradebook.database import exercise_of

    names = exercise_names(PROJECT)
    asked = options.exercise or ("out" in options and exercise_of(options.out))
    if asked in names:
        return str(asked)
    if not asked and len(names) == 1:
        return names[0]
    raise GradkitError(f"Name one of the exercises with --exercise: {', '.join(names)}.")


if __name__ == "__main__":
    sys.exit(main())
