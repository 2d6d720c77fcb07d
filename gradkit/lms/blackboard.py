"""Blackboard: names in the download of an assignment's submissions.

    Softmax 1_jdoe_attempt_2026-03-01-23-59-10_softmax.zip    assignment, user, time, student's file
    Softmax 1_jdoe_attempt_2026-03-01-23-59-10.txt            receipt: `Name: Jane Doe (jdoe)`, ...

The files of all attempts are there. The time has no zone. Assignments and users may contain "_":
the receipt tells where the user begins, else it is behind the last "_", as in other tools.

Sources: nbgrader/plugins/zipcollect.py of jupyter/nbgrader, README.md of kwurst/bb-file-cleanup,
utils/organiser.py of vangef/BBGradebookOrganiser; for the receipt psef/blackboard.py of
CodeGra-de/CodeGra.de. An import of scores needs the number of the course's column.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from gradkit.files import open_file
from gradkit.lms.platform import ParsedName, Platform, Submitters
from gradkit.lms.times import find_time

_NAME = re.compile(
    r"(?P<attempt>(?P<owner>.+?)_attempt_(?P<time>20\d\d(?:-\d\d){5}))"
    r"(?:_(?P<rest>.+)|(?: ?\(\d+\))?\.txt)"
)
_RECEIPT = re.compile(r"\s*Name:(?P<name>.*)\((?P<user>[^()]+)\)\s*\n")
_RECEIPT_START = 1000  # bytes


class Blackboard(Platform):
    name = "Blackboard"

    def parse_name(self, name: str) -> ParsedName | None:
        match = _NAME.fullmatch(name)
        time = find_time(match["time"]) if match else None
        if match is None or time is None:
            return None
        user = match["owner"].rpartition("_")[2] or match["owner"]
        rest = match["rest"] or ""
        return ParsedName(user, user, rest, user=user, time=time[0], is_online_text=not rest)

    def own_files(self, names: Collection[str]) -> set[str]:
        """Return the receipts of attempts with files."""
        matches = [match for name in names if (match := _NAME.fullmatch(name))]
        with_files = {match["attempt"] for match in matches if match["rest"]}
        return {m[0] for m in matches if not m["rest"] and m["attempt"] in with_files}

    def read_submitters(self, folder: Path) -> dict[str, Submitters]:
        """Return the user of each entry, with the name in a receipt."""
        owners = {
            path.name: match["owner"]
            for path in folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        }
        people: dict[str, tuple[str, ...]]
        people = {owner: (owner.rpartition("_")[2] or owner,) for owner in owners.values()}
        for name, owner in owners.items():
            receipt = _RECEIPT.match(_start_of(folder / name)) if name.endswith(".txt") else None
            if receipt and f"_{owner}".endswith(f"_{receipt['user']}"):
                people[owner] = (receipt["user"], receipt["name"].strip())
        counts = Counter(ids[0] for ids in people.values())
        for owner, ids in people.items():
            if counts[ids[0]] > 1:  # such as j_doe and k_doe, or two assignments
                people[owner] = (owner, *ids[1:])
        return {name: Submitters((people[owner],), None) for name, owner in owners.items()}


def _start_of(path: Path) -> str:
    with contextlib.suppress(OSError), open_file(path) as file:
        return file.read(_RECEIPT_START).decode("utf-8", "replace")
    return ""
