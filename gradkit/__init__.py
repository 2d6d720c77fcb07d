"""For instructors and graders: what is never in the students' copy."""

import sys

# If this can be imported, jsonschema does, and it builds a grammar of addresses, which takes longer
# than all else that a grader starts with. The schema of notebooks asks for no address.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


class GradkitError(Exception):
    """The work of a command cannot be done; the text is for the person who typed it."""
