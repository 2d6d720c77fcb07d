"""The checks: run a student's code on small problems, and judge the results.

EXERCISE.py     the checks of an exercise: small problems made from a seed, and arrays
EXERCISE.json   its answer key for the public seed: reference arrays, known mistakes and hints

student, draws            the code, loaded afresh; numbers from a seed
check                     runs a check: an outcome
sanity                    checks without a reference: the initial loss, the numeric gradient
linear, vectorized        the checks that linear classifiers share; of loops, by counting
counting                  how often each line of Python runs
differences, answer_key   compare its arrays with the reference and with known mistakes
verdict, errors           judge the outcome; explain an exception
display                   a verdict, or all of them, as text and as HTML
reloading                 the notebook's modules follow the files
notebook, terminal        one line in a notebook; python -m assignment check
graded                    the same checks in a grader's sandbox: numbers only, no verdicts
"""
