"""The checks: what is asked of a student's code, and what is said about what came of it.

EXERCISE.py     the checks of an exercise: small problems made from a seed, and arrays
EXERCISE.json   for the public seed: the right arrays, those of known mistakes, and hints

student         the student's code, loaded afresh        draws   numbers that a seed fixes
check           runs a check: an outcome                 loops   loops in a source
verdict         judges an outcome, by the answers        differences, errors   in plain words
display         a verdict as text and as HTML
notebook        one line in a notebook                   terminal   python -m assignment check
"""
