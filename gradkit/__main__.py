"""python -m gradkit COMMAND: the commands of instructors and graders."""

import argparse
import io
import sys

from gradkit.notebook import NotebookFailed, demo, store_outputs


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 0 on success and 1 when the work failed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has a ✓
    parser = argparse.ArgumentParser(prog="python -m gradkit", description=__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command, text in (
        (demo, "run the solved notebook, print what it finds, write demo/softmax.html"),
        (store_outputs, "run the solved notebook on the stand-in and store its outputs in it"),
    ):
        name = command.__name__.replace("_", "-")
        commands.add_parser(name, help=text, description=text).set_defaults(command=command)
    try:
        parser.parse_args(arguments).command()
    except NotebookFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
