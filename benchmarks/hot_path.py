"""What a hold costs while the lease is confirmed, as a ratio to the least that any counter under a lock costs.

    python benchmarks/hot_path.py

The bare floor is a context manager that locks, counts and unlocks, and does the same to leave. All are measured in one
run, interleaved, and the best of many rounds is taken, for noise only ever adds. The bounds are those of the design: at
most 2.0 times the floor for `with protect()`; and what `@protected` adds to a no-op wrapt decorator is at most 1.5
times the floor.
"""

from __future__ import annotations

import sys
import threading
import timeit
from collections.abc import Callable
from typing import Any, Self

import wrapt

from protectwork import ProtectionManager, Settings
from protectwork.testing import RecordingBackend

NUMBER, ROUNDS = 20_000, 40
WITH_MOST, DECORATOR_MOST = 2.0, 1.5


class Floor:
    """Lock, count, unlock; the same to leave."""

    __slots__ = ()
    lock = threading.Lock()
    in_flight = 0

    def __enter__(self) -> Self:
        with Floor.lock:
            Floor.in_flight += 1
        return self

    def __exit__(self, *_: object) -> None:
        with Floor.lock:
            Floor.in_flight -= 1


@wrapt.decorator
def no_op(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return wrapped(*args, **kwargs)


def measure(manager: ProtectionManager) -> dict[str, float]:
    """The best time of each, in nanoseconds."""

    def bare_floor() -> None:
        with Floor():
            pass

    def hold() -> None:
        with manager.protect():
            pass

    def job() -> None:
        pass

    rivals = {"floor": bare_floor, "with": hold, "no-op wrapt": no_op(job), "decorator": manager.protected(job)}
    best = dict.fromkeys(rivals, float("inf"))
    for _ in range(ROUNDS):
        for name, rival in rivals.items():
            best[name] = min(best[name], timeit.timeit(rival, number=NUMBER) / NUMBER * 1e9)
    return best


def main() -> int:
    with ProtectionManager(RecordingBackend(), settings=Settings()) as manager, manager.protect() as outer:
        if not outer.confirmed:
            sys.exit("the lease was not confirmed")
        best = measure(manager)
    for name, nanoseconds in best.items():
        print(f"{name:12} {nanoseconds:7.0f} ns")
    with_ratio = best["with"] / best["floor"]
    decorator_ratio = (best["decorator"] - best["no-op wrapt"]) / best["floor"]
    print(f"with protect()    {with_ratio:.2f} times the bare floor (at most {WITH_MOST})")
    print(f"@protected adds   {decorator_ratio:.2f} times the bare floor (at most {DECORATOR_MOST})")
    return 0 if with_ratio <= WITH_MOST and decorator_ratio <= DECORATOR_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
