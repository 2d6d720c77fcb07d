#!/usr/bin/env python3
"""Give each submission on Gradescope the results that it has got elsewhere.

`gradkit export --format gradescope` prints this file with the results in it. Put it into a zip file
as run_autograder, together with an empty setup.sh, and upload that as the assignment's autograder.
For an unknown submission it writes no results, and fails.
"""

import json
import sys
from pathlib import Path
from typing import Any

KNOWN = json.loads("{}")


def find_results(submission: dict[str, Any]) -> dict[str, Any] | None:
    """Return the results of a submission, by its number or its people's e-mail addresses."""
    number = str(submission["id"])
    addresses = [str(user.get("email") or "").casefold() for user in submission["users"]]
    keys = [number] if number in KNOWN else addresses
    matches = [KNOWN[key] for key in keys if key in KNOWN]
    return dict(matches[0]) if matches and all(each == matches[0] for each in matches) else None


def main(folder: Path) -> int:
    """Write results.json; return the exit status."""
    submission = json.loads((folder / "submission_metadata.json").read_text(encoding="utf-8"))
    results = find_results(submission)
    if results is None:
        print("There are no results for this submission, so it gets none.")
        return 1
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "/autograder")))
