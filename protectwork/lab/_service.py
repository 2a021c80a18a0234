"""Service: a small ECS service on this machine, whose tasks are processes."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from protectwork._errors import SettingsError
from protectwork._policy_time import LAB_PREFIX
from protectwork._policy_time import VARIABLE as SCALE_VARIABLE
from protectwork._settings import seconds
from protectwork._types import Seconds
from protectwork.lab._calls import counted
from protectwork.lab._container import Container
from protectwork.lab._control import ControlPlane
from protectwork.lab._engine import Engine
from protectwork.lab._facts import Cause, DeploymentFacts, Event, OutputLine, Snapshot
from protectwork.lab._output import Output
from protectwork.lab._report import Report, made
from protectwork.lab._runs import Runs
from protectwork.lab._spec import Spec, check_count, containers_of, environ_of
from protectwork.lab._tasks import LabTask
from protectwork.lab._views import deployment_facts, snapshot, task_facts
from protectwork.lab._watchdog import Watchdog
from protectwork.lab.journal import JOURNAL_VARIABLE
from protectwork.testing import FakeAgent, FakeEcsApi, FakeTask, Quota

__all__ = ["Service"]

_MARK = f"{LAB_PREFIX}ID"
_AT_ONCE_S = 0.5  # what tasks get to end in when an exception, Ctrl-C among them, ends the lab
_LONGEST_STOP_S = 3600.0
_SPOT_S = 120.0  # what a Spot interruption leaves at most (contract §4)
_WAIT_S = 0.05


class Service:
    """An ECS service on this machine: as many tasks as desired, each of one process or several.

    It starts them, replaces those that end, and scales and deploys by ECS's rules: only unprotected tasks are stopped,
    chosen at random from a seed, by SIGTERM and, after `stop_timeout`, SIGKILL. Every container has an agent, metadata
    and an API of ECS of its own to talk to, as on ECS.

        with lab.Service(["python", "worker.py"], 6) as service:
            service.scale(2)
            service.wait_until(lambda: service.settled, timeout_s=60)
        print(service.report().killed)

    Any thread may use it. It runs once, between `start` and `close`, or in a ``with``.

    Args:
        command: The program of each task and its arguments.
        desired_count: How many tasks there are to be.
        containers: Further containers of each task; all of them share the task's protection, and its state directory.
        name: What it is called; the container of `command`, too, and in front of a number each task.
        cluster: The name of its cluster.
        environ: What its containers find in their environment, beside what is in this process's.
        directory: Where they start; here by default.
        stop_timeout: How long a task gets to end after SIGTERM, 30 s by default.
        maximum_percent: How many of the desired tasks there may be during a deployment.
        minimum_healthy_percent: How many of them there have to be.
        time_scale: How many times as fast policy time passes: leases, their expiry, the linger. From 1 to 10.
        seed: What the choice of those that are stopped is drawn from.

    Raises:
        SettingsError: An argument is outside its rule, or there is no such program.
    """

    def __init__(
        self,
        command: Sequence[str],
        desired_count: int,
        *,
        containers: Iterable[Container] = (),
        name: str = "worker",
        cluster: str = "lab",
        environ: Mapping[str, str] | None = None,
        directory: str | None = None,
        stop_timeout: Seconds = 30.0,
        maximum_percent: int = 200,
        minimum_healthy_percent: int = 100,
        time_scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self._desired = check_count(desired_count)
        self._spec = Spec(
            name=name,
            cluster=cluster,
            environ=environ_of(environ or {}),
            directory=directory,
            stop_timeout_s=seconds("stop_timeout", stop_timeout, low_s=0, high_s=_LONGEST_STOP_S),
            maximum_percent=maximum_percent,
            minimum_healthy_percent=minimum_healthy_percent,
            time_scale=time_scale,
            seed=seed,
        )
        self._others = tuple(containers)
        self._directory = Path()
        self._containers = containers_of(name, command, self._others, environ=self._spec.environ)
        self._opened = ExitStack()
        self._closing = threading.Lock()  # one thread ends it, and others wait until it has ended
        self._engine: Engine | None = None
        self._began = 0.0
        self._ended: float | None = None
        self._last: tuple[DeploymentFacts, ...] | None = None  # how the deployments stood when the end began

    # -- begin and end

    def start(self) -> None:
        """Start the tasks, and what they talk to. Does not wait for them.

        Raises:
            SettingsError: It was started before.
        """
        if self._engine:
            raise SettingsError(setting="start", rule="called once", value="a second call", remedy="make another one")
        with ExitStack() as opened:
            self._directory = Path(tempfile.mkdtemp(prefix="protectwork-lab-"))
            opened.callback(shutil.rmtree, self._directory, ignore_errors=True)
            self._engine = self._made(opened)
            opened.callback(self._engine.close, grace_s=_AT_ONCE_S)
            self._began = self._engine.control.time.now()
            self._engine.start(self._containers)
            self._opened = opened.pop_all()

    def _made(self, opened: ExitStack) -> Engine:
        spec, mark = self._spec, f"{_MARK}={uuid4().hex}"
        journal, states = self._directory / "journal", self._directory / "states"
        journal.touch()
        states.mkdir()
        self._runs = Runs(journal)
        watchdog = Watchdog(mark, self._directory)
        opened.callback(watchdog.close)
        opened.callback(self._runs.read)  # for the last time, before the directory goes
        control = ControlPlane(cluster=spec.cluster, service=spec.name, desired=self._desired, minute_s=spec.minute_s)
        opened.callback(control.close)
        control.service.maximum_percent = spec.maximum_percent
        control.service.minimum_healthy_percent = spec.minimum_healthy_percent
        output = Output(control.time.now)
        opened.callback(output.close)
        own = {JOURNAL_VARIABLE: str(journal), SCALE_VARIABLE: f"{spec.time_scale:g}", _MARK: mark.partition("=")[2]}
        environ = {**spec.environ, **own}
        return Engine(spec=spec, control=control, output=output, environ=environ, states=states, watchdog=watchdog)

    def close(self, grace: Seconds = 5.0) -> None:
        """End every task, by SIGKILL after `grace`, and leave no process, no port and no file; twice is as once.

        What it knows stays: `report`, `events` and `output` answer as before. Blocks until all is gone.
        """
        grace_s = seconds("grace", grace, low_s=0, high_s=_LONGEST_STOP_S)
        with self._closing:
            if not self._engine or self._ended is not None:
                return
            with self._engine.changed:
                self._last = deployment_facts(self._engine, self.now())
            self._engine.close(grace_s=grace_s)
            self._ended = self._engine.control.time.now()
            self._opened.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(_AT_ONCE_S if exc_type else 5.0)

    # -- what is done to it

    def scale(self, desired_count: int) -> None:
        """Change how many tasks there are to be. Those that are too many stop when they are not protected.

        Raises:
            SettingsError: It is no number of tasks, or the service does not run.
        """
        self._working("scale").scale(check_count(desired_count))

    def deploy(self, command: Sequence[str] | None = None, *, containers: Iterable[Container] | None = None) -> str:
        """Replace every task by one that runs `command`, by default the same again; return the deployment's id.

        Raises:
            SettingsError: There is no such program, or the service does not run.
        """
        engine = self._working("deploy")
        command = self._containers[0].command if command is None else command
        others = self._others if containers is None else tuple(containers)
        made = containers_of(self._spec.name, command, others, environ=self._spec.environ)
        return engine.deploy(made).id

    def roll_back(self) -> str:
        """Take the last deployment back, as ECS's circuit breaker does; return the id of the one before it.

        Raises:
            SettingsError: There is none before it, or the service does not run.
        """
        return self._working("roll_back").roll_back().id

    def stop_task(self, task: str) -> bool:
        """Stop one task, protected or not, as StopTask does; return whether it was told to.

        Args:
            task: Its name, its id or its ARN.

        Raises:
            SettingsError: There is no such task, or the service does not run.
        """
        engine = self._working("stop_task")
        return engine.stop(_found(engine, task), Cause.STOP_TASK)

    def spot_interrupt(self, task: str) -> bool:
        """Take one task's Spot capacity away, protected or not: it ends within 2 min; return whether it was told to.

        Args:
            task: Its name, its id or its ARN.

        Raises:
            SettingsError: There is no such task, or the service does not run.
        """
        engine = self._working("spot_interrupt")
        within_s = min(self._spec.stop_timeout_s, _SPOT_S)
        return engine.stop(_found(engine, task), Cause.SPOT, within_s=within_s)

    # -- what it talks to

    @property
    def agent(self) -> FakeAgent:
        """The agents of all containers, to let them go wrong."""
        return self._known().control.agent

    @property
    def ecs(self) -> FakeEcsApi:
        """The API of ECS, and the metadata of all containers, to ask or to let them go wrong."""
        return self._known().control.ecs

    @property
    def quota(self) -> Quota:
        """The account's bucket of task protection actions."""
        return self._known().control.quota

    # -- what is known of it

    def now(self) -> float:
        """The time: seconds of CLOCK_BOOTTIME, where there is one; after the end, that of the end."""
        return self._known().control.time.now() if self._ended is None else self._ended

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened so far, oldest first."""
        engine = self._known()
        with engine.changed:
            return tuple(engine.events)

    def task(self, name: str) -> FakeTask:
        """The protection of one task, and its timeline.

        Args:
            name: Its name, its id or its ARN.

        Raises:
            SettingsError: There is no such task.
        """
        return _found(self._known(), name).placement.task

    def output(self, since: int = 0) -> list[OutputLine]:
        """What the containers wrote, from the line of that number on: the newest 20,000 lines are kept."""
        return self._known().output.since(since)

    def snapshot(self) -> Snapshot:
        """The service now, with every task that has not ended, and its jobs."""
        engine, runs = self._known(), self._runs.read()
        with engine.changed:
            return snapshot(engine, runs, self.now())

    @property
    def settled(self) -> bool:
        """Whether the newest deployment is complete, there are as many tasks as desired, and none stops."""
        return self._known().is_settled()

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 10.0) -> bool:
        """Wait until `condition` holds; it is asked again after each look at the tasks. Returns whether it does.

        Args:
            condition: For example ``lambda: service.settled``.
            timeout_s: For how long to wait at most.
        """
        engine = self._known()
        ends = engine.control.time.now() + timeout_s
        while not condition():
            left_s = ends - engine.control.time.now()
            if left_s <= 0:
                return False
            with engine.changed:
                engine.changed.wait(min(left_s, _WAIT_S))
        return True

    def report(self) -> Report:
        """What came of it so far."""
        engine = self._known()
        with engine.changed:
            now = self.now()
            tasks = [task_facts(task, now) for task in engine.tasks]
            deployments = deployment_facts(engine, now) if self._last is None else self._last
        # Read last: whatever a task that has ended had to tell is in it then.
        runs = self._runs.read()
        calls = counted((*engine.control.agent.calls, *engine.control.ecs.calls))
        return made(began=self._began, now=now, runs=runs, tasks=tasks, deployments=deployments, calls=calls)

    def _known(self) -> Engine:
        if not self._engine:
            raise SettingsError(setting="a service", rule="started first", value="one that was not")
        return self._engine

    def _working(self, method: str) -> Engine:
        engine = self._known()
        if self._ended is not None:
            raise SettingsError(setting=method, rule="called before close", value="a call after it")
        return engine


def _found(engine: Engine, name: str) -> LabTask:
    with engine.changed:
        for task in engine.tasks:
            if name in {task.name, task.id, task.placement.arn}:
                return task
        known = ", ".join(task.name for task in engine.tasks if task.ended is None)
    raise SettingsError(setting="task", rule=f"one of {known or 'none'}", value=repr(name))
