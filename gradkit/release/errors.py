"""The exception of this room."""

from gradkit.errors import GradkitError


class ReleaseError(GradkitError):
    """Nothing was released; the message names what is wrong and what to do."""
