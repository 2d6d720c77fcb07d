"""python -m gradkit COMMAND: the commands of instructors and graders.

A command is a subparser and a function of its arguments that returns the exit status: 0 on success,
1 when the work failed and stderr says why. Each imports what it needs when it runs.
"""

import argparse
import io
import sys
from pathlib import Path

from assignment import PROJECT
from assignment.regions import RegionError
from gradkit import GradkitError


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

    text = "run the solved notebook, print what it finds, write demo/softmax.html"
    commands.add_parser("demo", help=text, description=text).set_defaults(run=_demo)

    text = "run the solved notebook on the stand-in and store its outputs in it"
    command = commands.add_parser("store-outputs", help=text, description=text)
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
    command.set_defaults(run=_release)

    text = "compute the public answers from the solution and the mistakes"
    commands.add_parser("build", help=text, description=text).set_defaults(run=_build)

    text = "prove starter, solution, variants and mistakes; print what was proved"
    commands.add_parser("verify", help=text, description=text).set_defaults(run=_verify)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from gradkit.notebook import demo

    demo()
    return 0


def _store_outputs(options: argparse.Namespace) -> int:
    from gradkit.notebook import store_outputs

    store_outputs()
    return 0


def _release(options: argparse.Namespace) -> int:
    from gradkit.release import release

    print(release(PROJECT, options.out))
    return 0


def _build(options: argparse.Namespace) -> int:
    from assignment.checks.check import load_exercise
    from gradkit.build import build
    from gradkit.release import exercise_names

    for name in exercise_names(PROJECT):
        print(f"Wrote {build(load_exercise(name), PROJECT)}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from gradkit.verify import verify_all

    return 0 if verify_all(PROJECT) else 1


if __name__ == "__main__":
    sys.exit(main())
