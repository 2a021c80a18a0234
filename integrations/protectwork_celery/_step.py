"""The bootstep: what joins the parts to a worker, and follows it through its life."""

from __future__ import annotations

import atexit
from importlib import import_module
from typing import Any, cast

from protectwork import (
    AdmissionClosed,
    AdmissionOpened,
    Event,
    LeaseConfirmed,
    LeaseRefused,
    ProtectionManager,
    State,
    get_manager,
)
from protectwork.adapters import Pause, Watch, configure_for_framework
from protectwork_celery._advice import advise
from protectwork_celery._celery import (
    Bootstep,
    Consumer,
    is_closing,
    keep_running_jobs,
    limits_of,
    logger,
    runs_in_children,
    signals,
    worker_state,
)
from protectwork_celery._door import Door
from protectwork_celery._install import options_of
from protectwork_celery._intake import Intake
from protectwork_celery._options import Options, configured_settings
from protectwork_celery._runs import Runs

__all__ = ["ProtectionStep"]

_LOOK_EVERY_S = 1.0
_WAKE_EVERY_S = 0.25
_LOOK_SOON_S = 0.02  # while requests stand aside
_STOPPING = "the Celery worker is stopping"


class ProtectionStep(Bootstep):  # type: ignore[misc]  # Celery has no types
    """Protects what the worker of its consumer runs; outside ECS, nothing at all."""

    name = "protectwork"
    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)  # pyright: ignore[reportUnknownMemberType]
        consumer = cast("Consumer", parent)
        self._options = options_of(consumer.app).completed(consumer.app)
        import_module("protectwork_celery._inspect")  # its command is registered
        self.manager = _manager_of(self._options, consumer)
        self.enabled = self.manager.status().state is not State.OFF
        self._down = False
        if self.enabled:
            self._join(consumer)

    def _join(self, consumer: Consumer) -> None:
        settings, state = self.manager.settings, worker_state()
        refused = self._options.when_refused or settings.when_refused or "run"
        self._pause = Pause(
            self.manager,
            when_refused=refused == "pause",
            when_unprotected=settings.on_unprotected == "raise",
        )
        self._consumer = consumer
        self._in_children = runs_in_children(consumer)
        self._runs = Runs(
            self.manager,
            state,
            deserves=self._options.deserves,
            in_children=self._in_children,
            limits=limits_of(consumer),
        )
        self._intake = Intake(consumer, self.manager)
        self._watch = Watch(self._look, name="celery")
        self._door = Door(
            hand_over=consumer.on_task_request,
            runs=self._runs,
            state=state,
            on_refused=self._refuse,
            on_aside=self._have_it_opened,
        )
        consumer.on_task_request = self._door
        if not self._in_children:
            signals.task_prerun.connect(self._runs.on_prerun, weak=False, dispatch_uid=id(self))
            signals.task_postrun.connect(self._runs.on_postrun, weak=False, dispatch_uid=id(self))
        atexit.register(self._runs.end_all)
        self._unsubscribe = self.manager.subscribe(self)

    def _leave(self) -> None:
        self._unsubscribe()
        atexit.unregister(self._runs.end_all)
        signals.task_postrun.disconnect(dispatch_uid=id(self))
        signals.task_prerun.disconnect(dispatch_uid=id(self))

    def start(self, parent: Any) -> None:
        """Celery has connected, for the first time or again."""
        advise(parent, self._options)
        keep_running_jobs(parent)
        self.manager.admission.reopen(_STOPPING)
        self.manager.start()
        self._intake.begin_anew()
        self._watch.start()
        if parent.hub:  # before kombu 5.7 nothing from another thread wakes it
            parent.timer.call_repeatedly(_WAKE_EVERY_S, self._tick)

    def stop(self, parent: Any) -> None:
        """Celery goes down, or its connection is gone. Jobs still run: nothing is released here."""
        if is_closing(parent):
            self.manager.admission.close(_STOPPING)
            self._door.give_back_all()
        else:
            self._door.forget_all()

    def shutdown(self, _parent: Any) -> None:
        """The pool has ended; after a cold shutdown jobs may still run on threads."""
        self._down = True
        self._pause.end()
        self._watch.ring()

    def on_event(self, event: Event) -> None:
        """What the manager tells: whether messages may be taken has perhaps changed."""
        if isinstance(event, AdmissionClosed | AdmissionOpened | LeaseConfirmed | LeaseRefused):
            self._watch.ring()

    def _have_it_opened(self) -> bool:
        """See to it that the door is opened when it is time; False where nobody is there to do so."""
        running = self._watch.start()
        self._watch.ring()
        return running or bool(self._consumer.hub)

    def _tick(self) -> None:
        """What the consumer's own thread does now and then."""
        self._watch.start()
        self._intake.apply()
        self._door.open()

    def _refuse(self) -> None:
        """What goes back must not come again at once: first no more messages are taken."""
        self._pause.begin()
        self._consumer.call_soon(self._return)

    def _return(self) -> None:
        self._intake.apply()
        self._door.give_back_refused()

    def _look(self) -> float | None:
        """What the thread beside does; Celery's own timers stand still while it shuts down."""
        empty = self._runs.sweep()
        if self._down and empty:
            self._leave()
            return None
        if self._down:
            return _LOOK_EVERY_S
        self._pause.look()
        self._intake.look()
        if self._door.is_settled():
            self._consumer.call_soon(self._door.open)
        return _LOOK_SOON_S if self._door.has_some_aside else _LOOK_EVERY_S


def _manager_of(options: Options, consumer: Consumer) -> ProtectionManager:
    if options.manager:
        return options.manager
    settings = configured_settings(consumer.app)
    if settings and not configure_for_framework(**settings):
        logger.warning(
            "protectwork_%s of the Celery configuration come too late: protectwork is in use already;"
            " call protectwork.configure() before",
            ", protectwork_".join(settings),
        )
    return get_manager()
