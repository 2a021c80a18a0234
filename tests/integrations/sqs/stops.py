"""The points at which SIGTERM may meet a worker, and what must have become of its messages then."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from integrations.celery_worker.matrix import WHOLE
from integrations.sqs.program import SHAPES, Order, Shape
from integrations.sqs.scene import Scene
from integrations.sqs.workers import Worker

from protectwork.testing.faults import Hang

VISIBILITY_S = 30  # what is only visible again because its time is over was stranded
SHORT_S = 2
_HEARD = "heard SIGTERM"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Stop:
    """SIGTERM at one point of one shape of consuming."""

    shape: Shape
    point: str

    def __repr__(self) -> str:
        return f"{self.shape} {self.point}"

    def play(self, scene: Scene) -> list[str]:
        """Have it happen; what was wrong."""
        return POINTS[self.point](scene, self.shape)


def during_the_long_poll(scene: Scene, shape: Shape) -> list[str]:
    """It waits for messages, and one comes just then."""
    worker = _worker(scene, shape, wait_time=20)
    scene.wire.until(lambda: bool(scene.wire.exchanges("ReceiveMessage")), what=lambda: "it receives")
    _terminate(scene, worker)
    scene.send(Order())
    return [*_over(scene, worker), *_nothing_was_handled(scene, received=1)]


def while_the_answer_is_on_its_way(scene: Scene, shape: Shape) -> list[str]:
    """Messages were delivered, and it does not know of them yet."""
    scene.send(*(Order(number=number) for number in range(3)))
    with scene.wire.hold("ReceiveMessage", answers=True) as held:
        worker = _worker(scene, shape)
        held.reached()
        _terminate(scene, worker)
    return [*_over(scene, worker), *_nothing_was_handled(scene)]


def before_the_start(scene: Scene, shape: Shape) -> list[str]:
    """It has messages, and ECS has not said yet whether it protects them."""
    scene.agent.fail(Hang(), times=None, only="enable")
    scene.send(*(Order(number=number) for number in range(3)))
    worker = _worker(scene, shape)
    assert scene.agent.wait_until(lambda: bool(scene.agent.enables))
    _terminate(scene, worker)
    return [*_over(scene, worker), *_nothing_was_handled(scene)]


def in_handlers(scene: Scene, shape: Shape) -> list[str]:
    """Handlers run, and more messages are in hand."""
    scene.send(*(Order(run_s=0.5, number=number) for number in range(6)))
    worker = _worker(scene, shape)
    scene.begun()
    _terminate(scene, worker)
    faults = _over(scene, worker)
    accounts = scene.accounts()
    handled = {run.id for run in accounts.runs if run.ended}
    return [
        *faults,
        *(f"a handler was cut short: {run.id}" for run in accounts.runs if not run.ended),
        *accounts.unsettled(handled),
    ]


def during_the_delete(scene: Scene, shape: Shape) -> list[str]:
    """A handler has ended, and its message is being deleted."""
    ids = scene.send(Order())
    with scene.wire.hold("DeleteMessageBatch", answers=False) as held:
        worker = _worker(scene, shape)
        held.reached()
        _terminate(scene, worker)
    faults = _over(scene, worker)
    deletions = len(scene.wire.exchanges("DeleteMessageBatch"))
    return [
        *faults,
        *scene.accounts().unsettled(ids),
        *([f"{len(scene.runs())} runs"] if len(scene.runs()) != 1 else []),
        *([f"deleted {deletions} times"] if deletions != 1 else []),
    ]


def after_a_handler_that_outlasts_the_visibility(scene: Scene, shape: Shape) -> list[str]:
    """A handler took three times as long as a message is hidden, and another message waited in hand meanwhile."""
    ids = scene.send(Order(run_s=3.1 * SHORT_S), Order(number=1))
    worker = _worker(scene, shape, visibility_timeout=SHORT_S)
    scene.begun()
    found = [message for _ in range(3 * SHORT_S) for message in scene.receive(wait_s=1)]  # there is always a rival
    scene.settled(2)
    with scene.wire.hold("ReceiveMessage", answers=False) as held:
        held.reached()  # so it is not about to ask when it hears the signal
        _terminate(scene, worker)
    return [
        *_over(scene, worker),
        *scene.accounts().faults(ids, visibility_s=SHORT_S),
        *([f"{len(found)} messages were delivered to a rival"] if found else []),
        *([f"received {len(scene.accounts().receipts)} times"] if len(scene.accounts().receipts) != 2 else []),
    ]


POINTS: dict[str, Callable[[Scene, Shape], list[str]]] = {
    play.__name__.replace("_", " "): play
    for play in (
        during_the_long_poll,
        while_the_answer_is_on_its_way,
        before_the_start,
        in_handlers,
        during_the_delete,
        after_a_handler_that_outlasts_the_visibility,
    )
}

_STOPPED: tuple[Shape, ...] = SHAPES if WHOLE else ("for", "batches", "consumer", "async consumer")
_LONGEST = "after a handler that outlasts the visibility"
STOPS = tuple(
    Stop(shape=shape, point=point)
    for point in sorted(POINTS, key=lambda point: point != _LONGEST)
    for shape in SHAPES
    if shape in _STOPPED or point == _LONGEST
)


def _worker(scene: Scene, shape: Shape, **options: int) -> Worker:
    size = {} if "consumer" in shape else {"batch_size": 4}
    given = {"wait_time": 1, "visibility_timeout": VISIBILITY_S, **size, **options}
    return scene.worker(scene.plan(shape, concurrency=2, **given))


def _terminate(scene: Scene, worker: Worker) -> None:
    # A signal that comes between Python's last look and its system call is heard when that ends, here in 20 s.
    scene.until(worker.sleeps, what="it waits for something", workers=[worker])
    worker.signal(signal.SIGTERM)
    scene.until(lambda: worker.said(_HEARD), what="it has heard the signal", workers=[worker])


def _over(scene: Scene, worker: Worker) -> list[str]:
    """What is wrong with the end of any worker."""
    heard_at = scene.agent.now()
    code = worker.ended()
    accounts = scene.accounts()
    receipts = scene.wire.exchanges("ReceiveMessage", since=heard_at)
    return [
        *([f"it ended with {code}: {worker.log()}"] if code else []),
        *([f"{len(receipts)} receipts after the signal"] if receipts else []),
        *accounts.faults((), visibility_s=VISIBILITY_S),
        *accounts.not_given_back(),
    ]


def _nothing_was_handled(scene: Scene, *, received: int | None = None) -> list[str]:
    accounts, found = scene.accounts(), scene.receive(wait_s=1)
    counts = {int(message["Attributes"]["ApproximateReceiveCount"]) for message in found}
    facts = {
        f"{len(accounts.runs)} messages were handled": not accounts.runs,
        f"{len(accounts.receipts)} messages were received": bool(accounts.receipts)
        and received in (None, len(accounts.receipts)),
        f"what can be received now was received {counts} times before": max(counts, default=0) == 2,
    }
    return [fault for fault, good in facts.items() if not good]
