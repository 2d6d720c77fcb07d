"""The softmax exercise's mistakes and variants, read once for all tests that hand them in."""

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from gradkit.course.mistakes import read_bank

BANK = read_bank(EXERCISE, PROJECT)
