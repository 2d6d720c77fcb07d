"""The classifiers of the exercises."""
