"""Learning platforms: one file each, which is all that has to be added for another platform.

a name in the class's folder            -> parse_platform_name    -> its parts
a roster, or the platform's own list    -> read_student_list      -> students
final scores, for some                  -> Platform.export_scores -> a text that it imports
a submission's name                     -> feedback_name          -> the name of a page to upload
"""

from dataclasses import replace
from pathlib import Path

from gradkit.files import shown
from gradkit.lms.blackboard import Blackboard
from gradkit.lms.brightspace import Brightspace
from gradkit.lms.canvas import Canvas
from gradkit.lms.gradescope import Gradescope
from gradkit.lms.moodle import Moodle
from gradkit.lms.platform import ParsedName, Platform
from gradkit.lms.sakai import Sakai
from gradkit.lms.tables import (
    RosterError,
    StudentList,
    make_student_list,
    read_tables,
    roster_students,
    student_id,
)

# By the formats of `gradkit export`.
PLATFORMS: dict[str, Platform] = {
    each.name.lower(): each for each in (Canvas(), Moodle(), Gradescope(), Brightspace())
}
# Those whose downloads are recognized.
DOWNLOADS: tuple[Platform, ...] = (*PLATFORMS.values(), Blackboard(), Sakai())


def parse_platform_name(name: str) -> ParsedName | None:
    """Return the parts of a name that a platform gave, else None."""
    for platform in DOWNLOADS:
        if parsed := platform.parse_name(name):
            return replace(parsed, student=student_id(parsed.student), platform=platform)
    return None


def feedback_name(submission: str, page: str) -> str:
    """Return the name under which the submission's platform takes a page; else the page's own."""
    parsed = parse_platform_name(submission)
    if parsed is None or parsed.platform is None or not parsed.platform.takes_feedback:
        return page
    start = submission.removesuffix(parsed.original_filename).rstrip("_")
    return f"{start}_feedback{Path(page).suffix}"


def read_student_list(path: Path, platform: Platform | None = None) -> StudentList:
    """Read a roster, or the list that a platform exports; raise RosterError if it is unfit."""
    column = (platform or Platform).list_column
    first_rows = []
    for table in read_tables(path):
        for each in PLATFORMS.values():
            is_its = each.list_column == column or not (platform or table.has(column))
            if is_its and (students := each.read_students(table)) is not None:
                return make_student_list(table, students)
        if table.has(column):
            return make_student_list(table, roster_students(table))
        first_rows.append(",".join(table.header))
    raise RosterError(
        f"{path} has no column `{column}` in its first row, {shown(first_rows[0])!r}. "
        f"{(platform or Platform).list_advice}"
    )
