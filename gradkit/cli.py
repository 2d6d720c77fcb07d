"""The command line: `gradkit COMMAND`, or `python -m gradkit COMMAND` from a checkout.

A command is one function below its options. It imports what it needs when it runs, so that
`gradkit --help` is quick. An error that a user can mend ends in one line and exit status 1, wrong
usage in status 2. Ctrl-C (status 130), SIGTERM and SIGHUP end a command after it has cleaned up.
"""

import contextlib
import functools
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from assignment import PROJECT, __version__
from gradkit.errors import GradkitError, describe
from gradkit.files import shown

if TYPE_CHECKING:
    from gradkit.autograder.sandbox import Isolation
    from gradkit.gradebook.database import GradebookFolder

COMMANDS = {
    "For instructors": (
        "new",
        "release",
        "verify",
        "spread",
        "answer-key",
        "run-notebooks",
        "demo",
    ),
    "For graders": ("grade", "manual-page", "import-grades", "feedback", "export"),
    "When a result is in doubt": ("debug", "rejudge"),
    "Called by a service": ("gradescope",),
}


# They would change how notebooks run without a sandbox, or end a command at somebody's warning.
USER_SETTINGS = {"IPYTHONDIR", "MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS"}


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
    _open_closed_streams()
    _drop_user_settings()
    with _signals_as_interrupts() as caught:
        try:
            status = int(cli.main(arguments, prog_name="gradkit", standalone_mode=False) or 0)
            sys.stdout.flush()  # while an error can still be reported
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("Stopped.", err=True)
            status = 128 + (caught or [signal.SIGINT])[0]
        except Exception as error:
            sentence = describe(error)
            if sentence is None:
                raise
            click.echo(f"error: {sentence}", err=True)
            status = 1
        try:
            sys.stdout.flush()
        except OSError:  # else Python complains again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status


def _open_closed_streams() -> None:
    """Connect closed standard streams to nowhere, so that no other file gets their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal has a ✓, and whoever reads a pipe waits for each line.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)


def _drop_user_settings() -> None:
    """Remove what the user has set for other programs, here and in all that this command starts."""
    for name in os.environ.keys() & USER_SETTINGS:
        del os.environ[name]
    if sys.warnoptions:  # which multiprocessing passes on
        sys.warnoptions.clear()
        warnings.simplefilter("ignore")


class _Stopped(KeyboardInterrupt):
    """A signal. For KeyboardInterrupt itself Python may end with SIGINT in place of our status."""


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first signal that asks this process to end; yield its number.

    Those after it are ignored until this process ends, so that nothing interrupts its cleaning up.
    """
    caught: list[int] = []
    # In the background and under nohup, some are ignored from the beginning.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {s: signal.getsignal(s) for s in signals if signal.getsignal(s) != signal.SIG_IGN}

    def interrupt(number: int, frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if not caught:
            caught.append(number)
            raise _Stopped

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if caught else handler)


# --- options of several commands -----------------------------------------------------------------


PATH = click.Path(path_type=Path)


def _exercises(ctx: click.Context, param: click.Parameter, name: str | None) -> list[str]:
    from gradkit.course.exercises import exercise_names

    return [_choose(name)] if name else exercise_names(PROJECT)


def _isolation(ctx: click.Context, param: click.Parameter, no_sandbox: bool) -> "Isolation":
    from gradkit.autograder.sandbox import Isolation

    return Isolation.NONE if no_sandbox else Isolation.SANDBOX


exercises_option = click.option(
    "--exercise",
    "exercises",
    metavar="NAME",
    callback=_exercises,
    help="Only this exercise (default: all).",
)
isolation_option = click.option(
    "--no-sandbox",
    "isolation",
    is_flag=True,
    callback=_isolation,
    help="Run submissions as yourself: only for code that you trust as your own.",
)
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    metavar="N",
    help="Processes to work in parallel (default: number of CPUs).",
)
exercise_option = click.option(
    "--exercise",
    metavar="NAME",
    help="The exercise, where the course has several and no submission or gradebook shows it.",
)


def gradebook_options(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the gradebook that --out and --exercise name as a command's first argument."""
    help = "Folder of the gradebook (default: grades in the course's folder)."

    @click.option("--out", type=PATH, default=PROJECT / "grades", metavar="FOLDER", help=help)
    @exercise_option
    @functools.wraps(command)
    def with_gradebook(out: Path, exercise: str | None, **options: Any) -> None:
        from gradkit.gradebook.database import GradebookFolder, exercise_of

        name = _choose(exercise or exercise_of(out) or _exercise_of_work(**options))
        command(GradebookFolder(PROJECT, name, out), **options)

    return with_gradebook


@contextlib.contextmanager
def _writing_gradebook(gradebook: "GradebookFolder") -> Iterator[None]:
    """Write gradebook.csv when the body has ended, also by an error, and print where it is."""
    from gradkit.gradebook.export import write_gradebook

    try:
        yield
    except BaseException:
        with contextlib.suppress(GradkitError, OSError):  # the first error is the one to report
            write_gradebook(gradebook)
        raise
    click.echo(f"The gradebook: {write_gradebook(gradebook)}")


def _exercise_of_work(
    submissions: Path | None = None, submission: Path | None = None, **options: Any
) -> str | None:
    """Return the exercise that the class's folder, or the submission, of a command shows."""
    from assignment.checks.check import load_exercise
    from gradkit.course.exercises import exercise_names
    from gradkit.submissions.discover import single_submission
    from gradkit.submissions.exercise import common_exercise, exercise_of_class

    exercises = [*map(load_exercise, exercise_names(PROJECT))]
    if submissions:
        return exercise_of_class(submissions, exercises)
    return common_exercise(single_submission(submission).paths, exercises) if submission else None


def _choose(name: str | None) -> str:
    """Return the exercise of this name; without a name, the only one of the course."""
    from gradkit.course.exercises import exercise_names

    names = exercise_names(PROJECT)
    if name in names:
        return str(name)
    if not name and len(names) == 1:
        return names[0]
    found = f"There is no exercise {shown(name)}. " if name else ""
    raise GradkitError(f"{found}Name one of the exercises with --exercise: {', '.join(names)}.")


class _Seed(click.ParamType[int]):
    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        # A smaller seed could be found by trying them all against the seed of one check.
        if not str(value).isdecimal() or not 1 << 64 <= int(value) < 1 << 128:
            self.fail(f"{value!r} is not a whole number from 2^64 to 2^128.", param, ctx)
        return int(value)


# --- for instructors -----------------------------------------------------------------------------


@cli.command()
@click.argument("name")
@click.argument("solutions", metavar="SOLUTION.py...", type=PATH, nargs=-1, required=True)
def new(name: str, solutions: Sequence[Path]) -> None:
    """Write the files of a new exercise around its solved modules.

    Reads the regions of modules below assignment/, and writes notebook, checks, settings and a
    starter. Each function or method with a region gets a check. No file is overwritten.
    """
    from gradkit.authoring.new_exercise import new_exercise

    for path in new_exercise(PROJECT, name, solutions):
        click.echo(f"Wrote {path}")


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
@click.option(
    "--accept",
    multiple=True,
    metavar="EXERCISE",
    callback=lambda ctx, param, names: [_choose(name) for name in names],
    help="Students may read the new lines in the files of this exercise.",
)
def release(out: Path, **options: Any) -> None:
    """Build the starters that students get, as folders and zip files.

    Fails if a line of a solution, or the output of a cell, would get into a starter, or a line that
    is new in an exercise's files.
    """
    from gradkit.release.build import release

    click.echo(release(PROJECT, out, **options))


@cli.command()
@exercises_option
@click.option("--all", "again", is_flag=True, help="Prove again what was proved before.")
@click.option("--keep-going", is_flag=True, help="Go on after a row that is broken.")
@click.option("--accept", is_flag=True, help="Write grading/EXERCISE/mistakes.lock.")
@click.option("--mistake", default="", metavar="ID", help="Prove the forms of one mistake only.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=20,
    metavar="N",
    help="Other seeds to prove the verdicts for (default: 20; 200 before a release).",
)
@click.pass_context
def verify(
    ctx: click.Context, /, exercises: list[str], accept: bool, mistake: str, **options: Any
) -> None:
    """Prove that starter, solution and mistakes get the right verdicts.

    Grades the starter, the solution, each correct variant and each known mistake, and prints one
    row for each statement that was proved. Exit status 1 if one of them is false.

    mistakes.lock records which checks each form of a mistake fails, and by which names they call
    it. Without --accept each difference from it is reported.
    """
    from gradkit.authoring.verify import verify_all

    if accept and mistake:
        raise click.UsageError("--accept records all mistakes: leave out --mistake.")
    ctx.exit(0 if verify_all(exercises, PROJECT, accept, mistake, **options) else 1)


@cli.command()
@click.argument("exercise")
@click.option(
    "--seeds",
    type=click.IntRange(min=20),
    default=20,
    metavar="N",
    help="Runs of the solution, each with other data (default: 20, the fewest that suffice).",
)
@click.option(
    "--notebook",
    is_flag=True,
    help="Use the notebook's own parameters, and only print: for the bounds in the checks' module.",
)
def spread(exercise: str, seeds: int, notebook: bool) -> None:
    """Measure what training reaches, and set the bounds of EXERCISE by it.

    Runs the solution as it is graded. Writes mean, standard deviation and bound of each measured
    number into exercise.toml, and warns of a bound that proves nothing.
    """
    from gradkit.authoring.spread import write_spread

    for line in write_spread(_choose(exercise), PROJECT, seeds, as_graded=not notebook):
        click.echo(line)


@cli.command()
@exercises_option
def answer_key(exercises: list[str]) -> None:
    """Compute the public answer key, which students' checks compare with.

    Run it after a change of a solution, a check or a known mistake. It writes
    assignment/checks/EXERCISE.json.
    """
    from assignment.checks.check import load_exercise
    from gradkit.course.answer_key import write_answer_key

    for name in exercises:
        click.echo(f"Wrote {write_answer_key(load_exercise(name), PROJECT)}")


@cli.command()
@exercises_option
def run_notebooks(exercises: list[str]) -> None:
    """Run the solved notebooks and store their outputs in them.

    They run on the synthetic images, so that everyone can compute the same outputs again.
    """
    from assignment.checks.check import load_exercise
    from gradkit.authoring.notebook_outputs import store_outputs

    for name in exercises:
        store_outputs(load_exercise(name))


@cli.command()
@jobs_option
def demo(jobs: int) -> None:
    """Show everything on a made-up class, with 15 submissions to each exercise.

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
    help="Secret seed of the class, a whole number from 2^64 to 2^128 (default: drawn in the first "
    "run and kept).",
)
@isolation_option
@click.option(
    "--regrade",
    is_flag=False,
    flag_value="",
    metavar="[STUDENT]",
    help="Regrade one student, or everyone.",
)
def grade(
    gradebook: "GradebookFolder", scheduler: str | None, regrade: str | None, **options: Any
) -> None:
    """Grade a folder of submissions.

    SUBMISSIONS is the class's folder, as a platform's bulk download unpacks: archives, folders or
    single files. Writes gradebook.csv. The same command continues after an interruption, and
    grades only what is new. Exit status 1 if a submission could not be graded, through no fault of
    its own: the same command tries it again.
    """
    from tqdm import tqdm

    from gradkit.batch.grade_class import Request, grade_class
    from gradkit.batch.regrade import delete_results

    ctx = click.get_current_context()
    if scheduler and ctx.get_parameter_source("jobs") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--jobs and --scheduler exclude each other.")
    request = Request(**vars(gradebook), scheduler=scheduler, **options)
    if regrade is not None:
        delete_results(request, regrade)
    with _writing_gradebook(request):
        report = grade_class(request, tqdm.write)
        click.echo(report)
    ctx.exit(1 if report.failed else 0)


@cli.command()
@gradebook_options
@click.option("--hide-names", is_flag=True, help="Replace the students' names by pseudonyms.")
def manual_page(gradebook: "GradebookFolder", hide_names: bool) -> None:
    """Write the page on which people grade written answers."""
    from gradkit.feedback.manual_grading_page import write_manual_page

    click.echo(write_manual_page(gradebook, hide_names))


@cli.command()
@click.argument("csv", type=PATH)
@gradebook_options
def import_grades(gradebook: "GradebookFolder", csv: Path) -> None:
    """Import points and comments that people gave.

    CSV has the columns student, item, points and comment: the export of the manual grading page,
    or a table written by hand. For a check, the comment is the reason, which the student sees.
    """
    from gradkit.gradebook.manual_grades import import_manual

    with _writing_gradebook(gradebook):
        click.echo(import_manual(gradebook, csv))


@cli.command()
@gradebook_options
@click.option("--zip", "zipped", is_flag=True, help="Also pack the pages, named for the platform.")
@jobs_option
def feedback(gradebook: "GradebookFolder", zipped: bool, jobs: int) -> None:
    """Write a page for each student and one for the class."""
    from gradkit.feedback.class_page import write_pages

    _, written = write_pages(gradebook, zipped, jobs)
    for path in written:
        click.echo(path)


@cli.command()
@gradebook_options
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "json", "canvas", "moodle", "gradescope", "brightspace")),
    default="csv",
    help="For a spreadsheet (csv, the default), a program (json), or a platform's import.",
)
@click.option(
    "--roster",
    type=PATH,
    metavar="CSV",
    help="The platform's own list: Canvas's gradebook, Moodle's grading worksheet, Brightspace's "
    "exported grades, or students with e-mail addresses for Gradescope.",
)
def export(gradebook: "GradebookFolder", form: str, roster: Path | None) -> None:
    """Print the gradebook in a format that others read.

    Students who are left out are listed on stderr.
    """
    from gradkit.gradebook.export import export

    exported = export(gradebook, form, roster)
    for sentence in exported.notes:
        click.echo(sentence, err=True)
    click.echo(exported.text.encode(errors="backslashreplace"), nl=False)  # in any locale


# --- when a result is in doubt -------------------------------------------------------------------


@cli.command()
@click.argument("submission", type=PATH)
@click.argument("workdir", type=PATH)
@gradebook_options
@isolation_option
def debug(
    gradebook: "GradebookFolder", submission: Path, workdir: Path, isolation: "Isolation"
) -> None:
    """Prepare one submission to be run by hand with pytest --nbval.

    SUBMISSION is a folder or an archive, WORKDIR a new folder.
    """
    from gradkit.batch.regrade import debug_submission

    notebook = debug_submission(gradebook, submission, workdir, isolation)
    click.echo("Run it with")
    click.echo(f"    {sys.executable} -m pytest -p gradkit.autograder.debug --nbval {notebook}")


@cli.command()
@gradebook_options
def rejudge(gradebook: "GradebookFolder") -> None:
    """Judge all results again, without running any submission.

    Use it after a correction of a check, a tolerance or a hint. Prints whose points changed.
    """
    from gradkit.batch.regrade import rejudge

    with _writing_gradebook(gradebook):
        for line in rejudge(gradebook):
            click.echo(line)


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
@exercise_option
@click.pass_context
def gradescope(ctx: click.Context, autograder: Path, prove: bool, exercise: str | None) -> None:
    """Grade the submission in a Gradescope container.

    The container's run_autograder calls this, and its setup.sh with --prove.
    """
    from gradkit.batch.gradescope_run import grade_upload, prove_image

    name = _choose(exercise)
    if prove:
        prove_image(name)
    else:
        ctx.exit(grade_upload(autograder, name))
