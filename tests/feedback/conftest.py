"""The class whose pages are tested, made once per run."""

from tests.feedback.pages import feedback_class as feedback_class
