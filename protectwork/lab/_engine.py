"""The thread that runs a service: it looks at the tasks, decides by ECS's rules, starts processes and signals them."""

from __future__ import annotations

import logging
import random
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protectwork.lab._container import Container, ContainerProcess
from protectwork.lab._control import ControlPlane
from protectwork.lab._facts import Cause, Event, EventKind
from protectwork.lab._output import Output
from protectwork.lab._plan import Restarts, View, plan
from protectwork.lab._spec import Spec
from protectwork.lab._tasks import LabTask
from protectwork.lab._watchdog import Watchdog
from protectwork.lab.journal import TASK_VARIABLE
from protectwork.testing import DeploymentStatus, FakeDeployment

__all__ = ["Deployed", "Engine"]

_LOOK_S = 0.02  # how often it looks: protection runs out and processes end without a word
_logger = logging.getLogger("protectwork.lab")


@dataclass(slots=True, kw_only=True)
class Deployed:
    """One deployment: what it runs, and when it was complete."""

    fake: FakeDeployment
    containers: tuple[Container, ...]
    began: float
    completed: float | None = None


@dataclass(eq=False, slots=True, kw_only=True)
class Engine:
    """The tasks of one service, and what becomes of them. Its methods may be called by any thread.

    Attributes:
        spec: What holds for the service.
        control: The other side.
        output: What reads the containers.
        environ: What every container finds in its environment.
        states: Where the directories are that the containers of one task share.
        watchdog: What kills the processes if this one is killed.
        changed: Guards all below; tells of every look.
        tasks: Every task so far, in the order in which they were started.
        deployed: Every deployment so far, oldest first.
        events: What happened so far.
    """

    spec: Spec
    control: ControlPlane
    output: Output
    environ: Mapping[str, str]
    states: Path
    watchdog: Watchdog
    changed: threading.Condition = field(default_factory=threading.Condition)
    tasks: list[LabTask] = field(default_factory=list[LabTask])
    deployed: list[Deployed] = field(default_factory=list[Deployed])
    events: list[Event] = field(default_factory=list[Event])
    _running: list[LabTask] = field(default_factory=list[LabTask])  # those of `tasks` that have not ended
    _restarts: Restarts = field(default_factory=Restarts)
    _random: random.Random = field(init=False)
    _thread: threading.Thread = field(init=False)
    _closing: bool = False
    _complained: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random(self.spec.seed)  # noqa: S311 - of victims
        self._thread = threading.Thread(target=self._run, name="protectwork-lab", daemon=True)

    # -- what it is told

    def start(self, containers: tuple[Container, ...]) -> None:
        """Begin, with the deployment that the service has."""
        now = self.control.time.now()
        self.deployed.append(Deployed(fake=self.control.service.primary, containers=containers, began=now))
        self._thread.start()

    def scale(self, desired: int) -> None:
        """Change how many tasks there are to be."""
        with self.changed:
            self._note(EventKind.SCALED, detail=f"from {self.control.service.desired} to {desired} tasks")
            self.control.service.desired = desired

    def deploy(self, containers: tuple[Container, ...]) -> FakeDeployment:
        """Make a newer deployment the primary one."""
        with self.changed:
            fake = self.control.service.deploy()
            self.deployed.append(Deployed(fake=fake, containers=containers, began=self.control.time.now()))
            self._restarts = Restarts()
            self._note(EventKind.DEPLOYMENT_BEGAN, detail=fake.id)
            return fake

    def roll_back(self) -> FakeDeployment:
        """Make the deployment before the primary one primary again."""
        with self.changed:
            fake = self.control.service.roll_back()
            again = self.deployed_of(fake)
            again.began, again.completed = self.control.time.now(), None
            self._restarts = Restarts()
            self._note(EventKind.ROLLED_BACK, detail=fake.id)
            return fake

    def stop(self, task: LabTask, cause: Cause, *, within_s: float | None = None) -> bool:
        """Tell a task to stop, if that can still be done; returns whether it was told."""
        with self.changed:
            return task.live and self._stop(task, cause, within_s=within_s)

    def close(self, *, grace_s: float) -> None:
        """End every task, within so many seconds or by SIGKILL, and stop. Blocks until all of them have ended."""
        with self.changed:
            self._closing = True
            for task in self._running:
                if task.live:
                    self._stop(task, Cause.CLOSE, within_s=grace_s)
                task.kill_at = min(task.kill_at, self.control.time.now() + grace_s)
            self.changed.notify_all()
        if self._thread.ident:
            self._thread.join()

    def is_settled(self) -> bool:
        """Whether the newest deployment is complete, there are as many tasks as desired, and none stops."""
        with self.changed:
            return self._is_whole() and self.deployed_of(self.control.service.primary).completed is not None

    def deployed_of(self, fake: FakeDeployment) -> Deployed:
        """What is known of a deployment."""
        return next(one for one in self.deployed if one.fake is fake)

    # -- its thread

    def _run(self) -> None:
        while True:
            with self.changed:
                try:
                    self._look(self.control.time.now())
                except Exception:  # whatever it was, the processes have to be looked after
                    if not self._complained:
                        _logger.exception("the lab goes on after an error")
                    self._complained = True
                self.changed.notify_all()
                if self._closing and not self._running:
                    return
                self.changed.wait(_LOOK_S)

    def _look(self, now: float) -> None:
        for task in list(self._running):
            self._look_at(task, now)
        if not self._closing:
            self._balance(now)
            self._complete(now)

    def _look_at(self, task: LabTask, now: float) -> None:
        if task.has_ended():
            self._ended(task, now)
        elif task.live and task.lost_an_essential():
            self._stop(task, Cause.EXIT)
        elif now >= task.kill_at:
            task.kill()
            self._note(EventKind.TASK_KILLED, task)

    def _ended(self, task: LabTask, now: float) -> None:
        if task.cause is None:
            task.cause, task.chosen_at = Cause.EXIT, now
            task.was_protected = task.placement.task.protected
        if task.cause is Cause.EXIT:
            self._restarts = self._restarts.ended(now, lived_s=now - task.began)
        task.ended = now
        task.placement.end()
        self.control.forget(task.placement)
        self._running.remove(task)
        shutil.rmtree(self.states / task.id, ignore_errors=True)
        for process in task.processes:
            self.watchdog.forget(process.pid)
        codes = ", ".join(map(str, task.exit_codes()))
        self._note(EventKind.TASK_ENDED, task, detail=f"{task.cause}; exit status {codes}")

    def _balance(self, now: float) -> None:
        service, live = self.control.service, {task.name: task for task in self._running if task.live}
        decided = plan(
            [_view(task) for task in live.values()],
            desired=service.desired,
            maximum_percent=self.spec.maximum_percent,
            minimum_healthy_percent=self.spec.minimum_healthy_percent,
            random=self._random,
        )
        for name in decided.scale_in:
            self._stop(live[name], Cause.SCALE_IN)
        for name in decided.replaced:
            self._stop(live[name], Cause.DEPLOYMENT)
        if now >= self._restarts.not_before:
            for _ in range(decided.start):
                self._start(now)

    def _complete(self, now: float) -> None:
        primary = self.control.service.primary
        one = self.deployed_of(primary)
        if one.completed is None and self._is_whole():
            one.completed = now
            self._note(EventKind.DEPLOYMENT_COMPLETED, detail=f"{primary.id} after {now - one.began:.1f} s")

    def _is_whole(self) -> bool:
        service = self.control.service
        whole = all(task.live and task.deployment is service.primary for task in self._running)
        return whole and len(self._running) == service.desired

    def _stop(self, task: LabTask, cause: Cause, *, within_s: float | None = None) -> bool:
        timeout_s = self.spec.stop_timeout_s if within_s is None else within_s
        primary = self.control.service.primary.id
        told = task.choose(cause, now=self.control.time.now(), stop_timeout_s=timeout_s, primary=primary)
        if told:
            self._note(EventKind.TASK_STOPPING, task, detail=cause)
        return told

    def _start(self, now: float) -> None:
        deployment = self.control.service.primary
        containers = self.deployed_of(deployment).containers
        placement = self.control.service.start(deployment=deployment)
        placement.containers = tuple(container.name for container in containers)
        name = f"{self.spec.name}-{len(self.tasks) + 1}"
        task = LabTask(name=name, placement=placement, deployment=deployment, began=now)
        self.tasks.append(task)
        self._running.append(task)
        try:
            self._begin(task, containers)
        except OSError as error:
            self._note(EventKind.TASK_NOT_STARTED, task, detail=str(error))
            task.kill()
        else:
            self._note(EventKind.TASK_STARTED, task, detail=deployment.id)

    def _begin(self, task: LabTask, containers: Sequence[Container]) -> None:
        state = self.states / task.id
        state.mkdir(mode=0o700)
        for container in containers:
            own = {
                **self.control.environ(task.placement, container.name),
                TASK_VARIABLE: task.id,
                "PROTECTWORK_STATE_DIR": str(state),
            }
            process = ContainerProcess(container, environ={**own, **self.environ}, directory=self.spec.directory)
            task.processes.append(process)
            self.watchdog.look_after(process.pid)
            for stream, pipe in process.pipes.items():
                self.output.add(pipe, task=task.name, container=container.name, stream=stream)

    def _note(self, kind: EventKind, task: LabTask | None = None, *, detail: str = "") -> None:
        now = self.control.time.now()
        self.events.append(Event(time=now, kind=kind, task=task.name if task else None, detail=detail))


def _view(task: LabTask) -> View:
    primary = task.deployment.status is DeploymentStatus.PRIMARY
    return View(name=task.name, primary=primary, protected=task.placement.task.protected)
