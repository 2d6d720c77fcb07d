"""The student's command line: `python -m assignment COMMAND`.

Each command is a subparser and a function that runs it and returns the exit status: 0 for success,
1 for a failure that it has explained on stderr, 2 for wrong usage. Commands import their modules
when they run, so that each works without the packages of the others.
"""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from assignment.output import prepare_output

PACKAGES = ("numpy", "tqdm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status."""
    prepare_output()
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return int(options.run(options))
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        print(
            f"{error.name} is not installed: run `pip install -r requirements.txt` in the "
            "project's folder, with its environment active.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"\n{options.interrupted}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has read enough; Python writes the rest as it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m assignment",
        description="Check your code, get the data, hand in, and update the assignment.",
        epilog="`python -m assignment COMMAND --help` explains a command.",
    )
    parser.set_defaults(interrupted="Stopped.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_check(commands.add_parser("check", help="check your code, and show what to do next"))
    _add_data(commands.add_parser("data", help="download CIFAR-10, or draw a stand-in for it"))
    _add_submit(commands.add_parser("submit", help="pack your files and notebook to hand in"))
    _add_update(
        commands.add_parser(
            "update", help="update to a newer starter, and keep your code and answers"
        )
    )
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the checks of an exercise on your saved files. Shows which checks pass, which mistake "
        "was found, and what to do next."
    )
    parser.usage = "%(prog)s [-h] [--watch] [EXERCISE] [CHECK ...]"
    parser.add_argument(
        "names",
        nargs="*",
        metavar="CHECK",
        help="the exercise, if there are several, then checks to show in full (default: all)",
    )
    parser.add_argument("--watch", action="store_true", help="run again each time you save a file")
    parser.set_defaults(run=_check, usage_error=parser.error)


def _check(options: argparse.Namespace) -> int:
    from assignment.checks.check import exercises
    from assignment.checks.terminal import check, watch

    names, known = options.names, exercises()
    named = bool(names) and (names[0] in known or len(known) > 1)
    options.exercise = names.pop(0) if named else None
    name = _exercise(options)
    _require_checks(options, name)
    if options.watch:
        watch(name, names)
    return 0 if check(name, names) else 1


def _require_checks(options: argparse.Namespace, exercise_name: str) -> None:
    """Exit with wrong usage for a name that is not a check to be run in a terminal."""
    from assignment.checks.check import exercises, load_exercise

    exercise = load_exercise(exercise_name)
    runnable = [check.name for check in exercise.checks if not check.in_notebook]
    for name in options.names:
        if name in runnable:
            continue
        if name in exercise.names:
            options.usage_error(f"{name} needs results of the notebook: run {exercise.notebook}")
        options.usage_error(
            f"there is no exercise {name!r}; there are: {', '.join(exercises())}. It is "
            f"not a check of {exercise_name}, which has: {', '.join(runnable)}"
        )


def _add_exercise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "exercise", nargs="?", metavar="EXERCISE", help="the exercise, if there are several"
    )


def _exercise(options: argparse.Namespace) -> str:
    """Return the name of the exercise; exit with wrong usage if it is unknown or missing."""
    from assignment.checks.check import exercises

    names = exercises()
    if options.exercise not in (*names, None):
        options.usage_error(
            f"there is no exercise {options.exercise!r}; there are: {', '.join(names)}"
        )
    if options.exercise is None and len(names) > 1:
        options.usage_error(f"name one of the exercises: {', '.join(names)}")
    return options.exercise or names[0]


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Download CIFAR-10 (170 MB) into datasets/ and verify it. The next run resumes an "
        "interrupted download; a complete folder is left alone."
    )
    parser.epilog = (
        "The environment variable CIFAR10_MIRRORS may list other addresses to try, in order: http "
        "or https, separated by blanks."
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from", dest="source", metavar="FILE", type=Path, help="install a downloaded archive"
    )
    source.add_argument(
        "--synthetic",
        action="store_true",
        help="draw a stand-in with CIFAR-10's layout; needs no network",
    )
    parser.add_argument(
        "--accept-checksum",
        metavar="SHA256",
        type=_sha256,
        help="accept a re-encoded archive with this SHA-256 in place of the published one",
    )
    parser.set_defaults(
        run=_data,
        usage_error=parser.error,
        interrupted="Interrupted. What was downloaded is kept: the same command resumes it.",
    )


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA-256: it has 64 digits 0-9, a-f")
    return text.lower()


def _data(options: argparse.Namespace) -> int:
    from assignment.cifar10.archive import PUBLISHED, Archive, DataError
    from assignment.cifar10.install import install_cifar10, install_synthetic

    if options.synthetic and options.accept_checksum:
        options.usage_error("--synthetic draws its files: give no --accept-checksum with it")
    archive = PUBLISHED
    if options.accept_checksum:
        archive = Archive(options.accept_checksum)
    try:
        if options.synthetic:
            install_synthetic()
        else:
            install_cifar10(archive=archive, source=options.source)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Pack your saved files and your notebook into a zip file to hand in. Shows what is in it, "
        "what is not written yet, and what would not work where it is graded."
    )
    _add_exercise(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="the zip file (default: EXERCISE-submission.zip in the project's folder)",
    )
    parser.set_defaults(run=_submit, usage_error=parser.error)


def _submit(options: argparse.Namespace) -> int:
    from assignment.checks.check import load_exercise
    from assignment.workspace.submit import SubmitError, submit

    try:
        print(submit(load_exercise(_exercise(options)), options.out))
    except SubmitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _add_update(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Update this project to the newer starter in a zip file. Your code and your answers are "
        "put into the new files; the old ones are kept in a folder backup-1."
    )
    parser.add_argument("archive", metavar="NEW.zip", type=Path, help="the course's zip file")
    parser.set_defaults(
        run=_update, interrupted="Interrupted. Nothing is lost; run the same update again."
    )


def _update(options: argparse.Namespace) -> int:
    from assignment.workspace.update import UpdateError, update

    try:
        print(update(options.archive))
    except UpdateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
