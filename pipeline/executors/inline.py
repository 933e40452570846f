"""One job after another in this process."""

from __future__ import annotations

from collections.abc import Callable

from data.registry import load_plugins
from pipeline.executor import EXECUTORS, Event, Executor, known_error
from pipeline.perform import Order, perform


@EXECUTORS.register("inline")
class Inline(Executor):
    """Nothing is started, so this is the one for debugging and for small jobs."""

    def __init__(self, workers: int = 1, threads: int = 1, plugins: tuple[str, ...] = ()) -> None:
        super().__init__(1, threads, plugins)
        self._order: Order | None = None

    def free(self) -> int:
        return 0 if self._order else 1

    def submit(self, order: Order, alone: bool = False) -> None:
        assert self._order is None
        self._order = order

    def wait(self, on_event: Callable[[Event], None]) -> None:
        if self._order is None:
            return
        order, self._order = self._order, None
        path = order.job.path
        try:
            load_plugins(self.plugins)
            outcome = perform(
                order,
                lambda share, text: on_event(Event("progress", path, share, text)),
                lambda text: on_event(Event("waiting", path, text=text)),
            )
        except Exception as error:
            on_event(Event("error", path, error=known_error(path, error)))
        else:
            on_event(Event("done", path, outcome=outcome))

    def cancel(self) -> None:
        self._order = None
