"""Where a test plays the same in several shapes of consuming at once: most of it is waiting.

def test_something(stage):
    def play(scene, shape):
        ...

    stage.each(play, shapes("for", "async consumer"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from integrations.celery_worker.matrix import WHOLE
from integrations.sqs.program import SHAPES, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.servers import Server

_AT_ONCE = 8


def shapes(*few: Shape) -> tuple[Shape, ...]:
    """Those of which one stands for all, or all of them where the whole matrix is played."""
    return SHAPES if WHOLE else few


class Stage:
    """Room for many scenes.

    Args:
        server: Where their queues are.
        directory: An empty one.
    """

    def __init__(self, server: Server, directory: Path) -> None:
        self._server, self._directory = server, directory

    def each(self, play: Callable[..., object], cases: Iterable[Any], *, fifo: bool = False) -> None:
        """Play it once with each case, a shape or a tuple with one, in a scene of its own; several at once.

        Raises:
            ExceptionGroup: What went wrong, with the cases in which it did.
        """
        given = [case if isinstance(case, tuple) else (case,) for case in cases]

        def alone(case: tuple[Any, ...]) -> Exception | None:
            try:
                with Scene(self._server, self._directory / str(given.index(case)), fifo=fifo) as scene:
                    play(scene, *case)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others are played, and it is raised then
                error.add_note(f"with {', '.join(map(str, case))}")
                return error
            return None

        with ThreadPoolExecutor(_AT_ONCE) as threads:
            if errors := [error for error in threads.map(alone, given) if error]:
                raise ExceptionGroup(f"{len(errors)} of {len(given)} went wrong", errors)
