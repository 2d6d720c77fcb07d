"""The results of a search for learning rate and regularization strength, shown while it runs."""

import sys
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display
from tqdm import tqdm


class SearchResults(dict[tuple[float, float], tuple[float, float]]):
    """A dict from (learning rate, reg) to (training accuracy, validation accuracy).

    Each new pair moves a progress bar. In a notebook that has imported `vis_utils`, it also fills a
    heat map of the pairs in the given lists, and of any others.
    """

    def __init__(self, learning_rates: Sequence[float], regs: Sequence[float], source: str) -> None:
        super().__init__()
        self._pairs, self._source = list(product(learning_rates, regs)), source
        self._start = time.monotonic()
        self._shown: Any = None

    def __setitem__(self, pair: tuple[float, float], accuracies: tuple[float, float]) -> None:
        super().__setitem__(pair, accuracies)
        self._draw()
        total = len({*self._pairs, *self})
        # A tqdm object of a stopped search would print its bar again once the next one replaces it.
        seconds = time.monotonic() - self._start
        bar = tqdm.format_meter(len(self), total, seconds, prefix="tuning")
        print(f"\r{bar:<80}", end="\n" if len(self) == total else "", flush=True)

    def _draw(self) -> None:
        vis_utils = sys.modules.get("assignment.vis_utils")
        if vis_utils and get_ipython():
            try:
                validation = {key: float(val) for key, (_, val) in self.items()}
                missing = dict.fromkeys(self._pairs, float("nan"))
                figure = vis_utils.plot_tuning(missing | validation, self._source)
            except (TypeError, ValueError):  # the check describes accuracies of another form
                return
            if self._shown:
                self._shown.update(figure)
            else:
                self._shown = display(figure, display_id=True)
