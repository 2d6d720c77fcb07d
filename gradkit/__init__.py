"""For instructors and graders: what is never in the students' copy."""


class GradkitError(Exception):
    """The work of a command cannot be done; the text is for the person who typed it."""
