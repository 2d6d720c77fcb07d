"""The exercise that submissions are of, where nobody names it: the only one with their files."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from assignment.checks.check import Exercise
from gradkit.submissions.archives import Member, SubmissionRejected, is_ignored, open_source
from gradkit.submissions.discover import find_submissions, is_single_file
from gradkit.submissions.names import is_archive, parse_name
from gradkit.submissions.wanted_files import NameFit, WantedFiles


def exercise_of_class(folder: Path, exercises: Sequence[Exercise]) -> str | None:
    """Return the exercise of the submissions in a class's folder, or None if they leave it open.

    Raise SubmissionsError if the folder cannot be used.
    """
    submissions = find_submissions(folder, exercises[0])
    return common_exercise((path for each in submissions for path in each.paths), exercises)


def common_exercise(paths: Iterable[Path], exercises: Sequence[Exercise]) -> str | None:
    """Return the only exercise that all paths are of, except those that show none."""
    common = {exercise.name for exercise in exercises}
    for path in paths:
        with contextlib.suppress(SubmissionRejected):  # reported when it is graded
            common &= _exercises_at(path, exercises) or common
    return common.pop() if len(common) == 1 else None


def _exercises_at(path: Path, exercises: Sequence[Exercise]) -> set[str]:
    """Return the exercises of which a folder, an archive or a file has files of its own."""
    members: Iterable[Member]
    if is_single_file(path):
        members = [Member(parse_name(path.name, exercises[0]).original_filename, 0)]
    else:
        members = open_source(path, path.name).members()
    owners = Counter(target for each in exercises for target in (*each.files, each.notebook))
    wanted = {each.name: WantedFiles(each) for each in exercises}
    found = set[str]()
    for member in members:
        if is_ignored(member.name) or member.problem:
            continue
        if is_archive(member.name) and member.path:
            with contextlib.suppress(SubmissionRejected):
                found |= _exercises_at(member.path, exercises)
        for name, files in wanted.items():
            candidate = files.candidate(member)
            if candidate and candidate.fit < NameFit.OTHER and owners[candidate.target] == 1:
                found.add(name)
    return found
