"""The base of all exceptions that a command answers with one sentence and exit status 1."""


class GradkitError(Exception):
    """A command cannot do its work; the text says to its user what was found and what to do."""
