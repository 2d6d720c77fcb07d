"""The command line: `gradkit COMMAND`, or `python -m gradkit COMMAND` from a checkout.

A command is one function below its options. It imports what it needs when it runs, so that
`gradkit --help` is quick. An error that a user can mend ends in one line and exit status 1, wrong
usage in status 2, Ctrl-C in 130.
"""

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from assignment import PROJECT, __version__
from assignment.workspace.regions import RegionError
from gradkit.errors import GradkitError

if TYPE_CHECKING:
    from gradkit.autograder.sandbox import Isolation
    from gradkit.gradebook.database import GradebookFolder

COMMANDS = {
    "For instructors": ("release", "verify", "answer-key", "run-notebooks", "demo"),
    "For graders": ("grade", "manual-page", "import-grades", "feedback", "export"),
    "When a result is in doubt": ("debug", "rejudge"),
    "Called by a service": ("gradescope",),
}

Command = TypeVar("Command", bound=Callable[..., Any])


class _CommandsByUser(click.Group):
    """A group whose help lists its commands by who uses them."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in COMMANDS.items():
            rows = [(name, self.commands[name].get_short_help_str(70)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=_CommandsByUser, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gradkit", message="%(prog)s %(version)s")
def cli() -> None:
    """Build assignments for students, grade what they hand in, and give feedback.

    `gradkit COMMAND --help` describes a command and its options. The documents in docs/ show the
    whole way: grading.md for graders, new-exercise.md for instructors.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has a ✓
    try:
        status = cli.main(arguments, prog_name="gradkit", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (GradkitError, RegionError) as error:
        click.echo(f"error: {error}", err=True)
        return 1
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has enough. Else Python complains again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130


# --- options of several commands -----------------------------------------------------------------


PATH = click.Path(path_type=Path)
one_exercise = click.option(
    "--exercise", metavar="NAME", help="The exercise, where the course has several."
)
any_exercise = click.option("--exercise", metavar="NAME", help="Only this exercise (default: all).")
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    metavar="N",
    help="Processes to work in parallel (default: number of CPUs).",
)
no_sandbox_option = click.option(
    "--no-sandbox",
    is_flag=True,
    help="Run submissions as yourself: only for code that you trust as your own.",
)


def gradebook_options(command: Command) -> Command:
    """Add --out and --exercise, which together name a class's gradebook."""
    help = "Folder of the gradebook (default: grades in the course's folder)."
    out = click.option("--out", type=PATH, default=PROJECT / "grades", metavar="FOLDER", help=help)
    return out(one_exercise(command))


class _Seed(click.ParamType[int]):
    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        # A smaller seed could be found by trying them all against the seed of one check.
        if not str(value).isdecimal() or not 1 << 64 <= int(value) < 1 << 128:
            self.fail(f"{value!r} is not a whole number from 2^64 to 2^128.", param, ctx)
        return int(value)


# --- for instructors -----------------------------------------------------------------------------


@cli.command()
@click.option(
    "--out",
    type=PATH,
    default=PROJECT / "dist",
    metavar="FOLDER",
    help="Folder to write to (default: dist in the course's folder).",
)
@click.option("--gradescope", is_flag=True, help="Also write a Gradescope autograder an exercise.")
@click.option("--github", is_flag=True, help="Also write template repositories for GitHub.")
def release(out: Path, gradescope: bool, github: bool) -> None:
    """Build the starters that students get, as folders and zip files.

    Fails if a line of a solution, or the output of a cell, would get into a starter.
    """
    from gradkit.release.build import release

    click.echo(release(PROJECT, out, gradescope, github))


@cli.command()
@any_exercise
@click.option("--all", "again", is_flag=True, help="Prove again what was proved before.")
@click.pass_context
def verify(ctx: click.Context, exercise: str | None, again: bool) -> None:
    """Prove that starter, solution and mistakes get the right verdicts.

    Grades the starter, the solution, each correct variant and each known mistake, and prints one
    row for each statement that was proved. Exit status 1 if one of them is false.
    """
    from gradkit.authoring.verify import verify_all

    ctx.exit(0 if verify_all(_chosen(exercise), PROJECT, again) else 1)


@cli.command()
@any_exercise
def answer_key(exercise: str | None) -> None:
    """Compute the public answer key, which students' checks compare with.

    Run it after a change of a solution, a check or a known mistake. It writes
    assignment/checks/EXERCISE.json.
    """
    from assignment.checks.check import load_exercise
    from gradkit.course.answer_key import write_answer_key

    for name in _chosen(exercise):
        click.echo(f"Wrote {write_answer_key(load_exercise(name), PROJECT)}")


@cli.command()
@any_exercise
def run_notebooks(exercise: str | None) -> None:
    """Run the solved notebooks and store their outputs in them.

    They run on the synthetic images, so that everyone can compute the same outputs again.
    """
    from assignment.checks.check import load_exercise
    from gradkit.authoring.notebook_outputs import store_outputs

    for name in _chosen(exercise):
        store_outputs(PROJECT / load_exercise(name).notebook)


@cli.command()
@jobs_option
def demo(jobs: int) -> None:
    """Show everything on a class of 30 made-up submissions.

    Builds the starters, makes the submissions, grades them and writes all pages into demo/.
    """
    from gradkit.authoring.demo import demo

    demo(PROJECT, jobs, click.echo)


# --- for graders ---------------------------------------------------------------------------------


@cli.command()
@click.argument("submissions", type=PATH)
@gradebook_options
@click.option(
    "--roster",
    type=PATH,
    metavar="CSV",
    help="Students of the class: a column `student`, and others found in file names.",
)
@jobs_option
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Grade on the Dask cluster of this scheduler, tcp://HOST:PORT.",
)
@click.option(
    "--seed",
    type=_Seed(),
    metavar="NUMBER",
    help="Secret seed of the class (default: drawn in the first run and kept).",
)
@no_sandbox_option
@click.option(
    "--regrade",
    is_flag=False,
    flag_value="",
    metavar="[STUDENT]",
    help="Regrade one student, or everyone.",
)
@click.pass_context
def grade(
    ctx: click.Context,
    submissions: Path,
    out: Path,
    exercise: str | None,
    roster: Path | None,
    jobs: int,
    scheduler: str | None,
    seed: int | None,
    no_sandbox: bool,
    regrade: str | None,
) -> None:
    """Grade a folder of submissions.

    SUBMISSIONS is the class's folder, as a platform's bulk download unpacks: archives, folders or
    single files. Writes gradebook.csv. The same command continues after an interruption, and
    grades only what is new.
    """
    from tqdm import tqdm

    from gradkit.batch.grade_class import Request, grade_class
    from gradkit.batch.regrade import delete_results
    from gradkit.gradebook.export import write_gradebook

    if scheduler and ctx.get_parameter_source("jobs") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--jobs and --scheduler exclude each other.")
    request = Request(
        PROJECT,
        _chosen_for(out, exercise),
        out,
        submissions,
        jobs,
        roster,
        seed,
        _isolation(no_sandbox),
        scheduler,
    )
    if regrade is not None:
        delete_results(request, regrade)
    try:
        report = grade_class(request, tqdm.write)
    finally:
        gradebook = write_gradebook(request)
    click.echo(report)
    click.echo(f"The gradebook: {gradebook}")


@cli.command()
@gradebook_options
@click.option("--hide-names", is_flag=True, help="Replace the students' names by pseudonyms.")
def manual_page(out: Path, exercise: str | None, hide_names: bool) -> None:
    """Write the page on which people grade written answers."""
    from gradkit.feedback.manual_grading_page import write_manual_page

    click.echo(write_manual_page(_folder(out, exercise), hide_names))


@cli.command()
@click.argument("csv", type=PATH)
@gradebook_options
def import_grades(csv: Path, out: Path, exercise: str | None) -> None:
    """Import points and comments that people gave.

    CSV has the columns student, item, points and comment: the export of the manual grading page,
    or a table written by hand. For a check, the comment is the reason, which the student sees.
    """
    from gradkit.gradebook.export import write_gradebook
    from gradkit.gradebook.manual_grades import import_manual

    folder = _folder(out, exercise)
    click.echo(import_manual(folder, csv))
    click.echo(f"The gradebook: {write_gradebook(folder)}")


@cli.command()
@gradebook_options
@click.option("--zip", "zipped", is_flag=True, help="Also pack the pages, named for the platform.")
@jobs_option
def feedback(out: Path, exercise: str | None, zipped: bool, jobs: int) -> None:
    """Write a page for each student and one for the class."""
    from gradkit.feedback.class_page import write_pages

    _, written = write_pages(_folder(out, exercise), zipped, jobs)
    for path in written:
        click.echo(path)


@cli.command()
@gradebook_options
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "json", "canvas", "moodle", "gradescope")),
    default="csv",
    help="For a spreadsheet (csv, the default), a program (json), or a platform's import.",
)
@click.option(
    "--roster",
    type=PATH,
    metavar="CSV",
    help="The platform's own list: Canvas's gradebook, Moodle's grading worksheet, or students "
    "with e-mail addresses for Gradescope.",
)
def export(out: Path, exercise: str | None, form: str, roster: Path | None) -> None:
    """Print the gradebook in a format that others read.

    Students who are left out are listed on stderr.
    """
    from gradkit.gradebook.export import export

    exported = export(_folder(out, exercise), form, roster)
    for sentence in exported.notes:
        click.echo(sentence, err=True)
    click.echo(exported.text, nl=False)


# --- when a result is in doubt -------------------------------------------------------------------


@cli.command()
@click.argument("submission", type=PATH)
@click.argument("workdir", type=PATH)
@gradebook_options
@no_sandbox_option
def debug(
    submission: Path, workdir: Path, out: Path, exercise: str | None, no_sandbox: bool
) -> None:
    """Prepare one submission to be run by hand with pytest --nbval.

    SUBMISSION is a folder or an archive, WORKDIR a new folder.
    """
    from gradkit.batch.regrade import debug_submission

    folder, isolation = _folder(out, exercise), _isolation(no_sandbox)
    notebook = debug_submission(folder, submission, workdir, isolation)
    click.echo("Run it with")
    click.echo(f"    {sys.executable} -m pytest -p gradkit.autograder.debug --nbval {notebook}")


@cli.command()
@gradebook_options
def rejudge(out: Path, exercise: str | None) -> None:
    """Judge all results again, without running any submission.

    Use it after a correction of a check, a tolerance or a hint. Prints whose points changed.
    """
    from gradkit.batch.regrade import rejudge
    from gradkit.gradebook.export import write_gradebook

    folder = _folder(out, exercise)
    for line in rejudge(folder):
        click.echo(line)
    click.echo(f"The gradebook: {write_gradebook(folder)}")


# --- called by a service -------------------------------------------------------------------------


@cli.command()
@click.option(
    "--autograder",
    type=PATH,
    default=Path("/autograder"),
    metavar="FOLDER",
    help="Folder with submission/ and results/ (default: /autograder).",
)
@click.option("--prove", is_flag=True, help="Only check that the solution passes here.")
@one_exercise
@click.pass_context
def gradescope(ctx: click.Context, autograder: Path, prove: bool, exercise: str | None) -> None:
    """Grade the submission in a Gradescope container.

    The container's run_autograder calls this, and its setup.sh with --prove.
    """
    from gradkit.batch.gradescope_run import grade_upload, prove_image

    name = _chosen_for(None, exercise)
    if prove:
        prove_image(name)
    else:
        ctx.exit(grade_upload(autograder, name))


# --- what options stand for ----------------------------------------------------------------------


def _isolation(no_sandbox: bool) -> "Isolation":
    from gradkit.autograder.sandbox import Isolation

    return Isolation.NONE if no_sandbox else Isolation.SANDBOX


def _folder(out: Path, exercise: str | None) -> "GradebookFolder":
    from gradkit.gradebook.database import GradebookFolder

    return GradebookFolder(PROJECT, _chosen_for(out, exercise), out)


def _chosen(exercise: str | None) -> list[str]:
    """Return the exercise of the option, or all of them."""
    from gradkit.course.exercises import exercise_names

    return [_chosen_for(None, exercise)] if exercise else exercise_names(PROJECT)


def _chosen_for(out: Path | None, exercise: str | None) -> str:
    """Return the exercise of the option, else that of the gradebook in `out`, else the only one."""
    from gradkit.course.exercises import exercise_names
    from gradkit.gradebook.database import exercise_of

    names = exercise_names(PROJECT)
    chosen = exercise or (out and exercise_of(out))
    if chosen in names:
        return str(chosen)
    if not chosen and len(names) == 1:
        return names[0]
    raise GradkitError(f"Name one of the exercises with --exercise: {', '.join(names)}.")
