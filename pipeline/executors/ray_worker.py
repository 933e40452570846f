"""What runs in Ray's processes: the workers that do orders, and the mailbox for what they say on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.executor import Event
    from pipeline.perform import Order


class Mailbox:
    """An actor: workers put events in, the command takes them out."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, int, Event]] = []

    def put(self, place: int, number: int, event: Event) -> None:
        """An event of the worker that is the `number`th one, at `place`."""
        self._letters.append((place, number, event))

    def take(self) -> list[tuple[int, int, Event]]:
        """All that came since the last time, in order."""
        letters, self._letters = self._letters, []
        return letters

    def all_in(self) -> None:
        """Returns when everything that the same sender has put in before is there: Ray keeps their order."""


def without_root(order: Order, node: str) -> Event | None:
    """The error of a node that does not see the store; None where it does."""
    from data.errors import InputError
    from pipeline.executor import Event

    if order.root.is_dir():
        return None
    words = (
        f"{order.root}: not to be seen on node {node}; root=FOLDER must be on storage that all nodes share"
    )
    return Event("error", order.job.path, error=InputError(words))


def worker_class() -> type:
    """The actor that does orders.

    A class inside a function is sent by value: the worker must look for our packages where the command found
    them (sys.path) before it can import anything of ours. environment: what it has beside Ray's own. command:
    process after which it ends, where that is on the same machine: Ray takes a second to miss it.
    """

    class RayWorker:
        def __init__(
            self, path: list[str], folder: str, command: int | None, environment: dict[str, str]
        ) -> None:
            import os
            import sys

            sys.path += [entry for entry in path if entry not in sys.path]
            if os.path.isdir(folder):
                os.chdir(folder)  # relative paths of settings mean the command's folder
            os.environ.update(environment)
            from pipeline.executors.ray_output import Output
            from pipeline.executors.worker import die_after

            if command is not None:
                die_after(command)
            self._output = Output()

        def node(self) -> str:
            """The address of the node it is on."""
            import ray

            return str(ray.util.get_node_ip_address())

        def do(self, order: Order, plugins: tuple[str, ...], mailbox: Any, place: int, number: int) -> Event:
            """Do one order; what became of it. Everything said before is in the mailbox when this returns."""
            import ray

            from pipeline.executor import Event
            from pipeline.executors.ray_worker import without_root
            from pipeline.executors.worker import do

            def send(event: Event) -> Any:
                return mailbox.put.remote(place, number, event)

            with self._output.sent(lambda text: send(Event("output", "", text=text))):
                event = without_root(order, self.node()) or do(order, plugins, send)
            ray.get(mailbox.all_in.remote())
            return event

    return RayWorker
