"""The events of the matrix: each sends its tasks, has the thing happen, and sees to it that it did.

A body that runs on after its event does so for longer than it would take to release the task by mistake.
"""

from __future__ import annotations

import os
import signal

from celery import group
from integrations.celery_worker.journal import ENDLESS_S, LONG_S, SHORT_S
from integrations.celery_worker.scene import Scene

# -- how a body ends


def success(scene: Scene) -> None:
    scene.send("work")
    scene.ended(1)


def exception(scene: Scene) -> None:
    scene.send("fail", "ValueError")
    scene.ended(1)
    scene.said("raised unexpected: ValueError")


def retry(scene: Scene) -> None:
    job = scene.send("retry_once")
    assert {run.id for run in scene.ended(2)} == {job}


def reject(scene: Scene) -> None:
    job = scene.send("reject")
    assert {run.id for run in scene.ended(2)} == {job}


def ignore(scene: Scene) -> None:
    scene.send("fail", "Ignore")
    scene.ended(1)
    scene.said("ignored")


def system_exit(scene: Scene) -> None:
    scene.send("fail", "SystemExit")
    scene.ended(1)


def base_exception(scene: Scene) -> None:
    scene.send("fail", "BaseException")
    scene.ended(1)


def unpicklable_result(scene: Scene) -> None:
    scene.send("unpicklable")
    scene.ended(1)
    scene.said("EncodeError")


# -- how a body is ended


def kill_of_the_child(scene: Scene) -> None:
    scene.send("work", ENDLESS_S)
    (run,) = scene.running()
    assert run.pid != scene.worker.pid
    os.kill(run.pid, signal.SIGKILL)
    scene.said("WorkerLostError")


def os_exit(scene: Scene) -> None:
    scene.send("leave")
    (run,) = scene.running()
    assert run.pid != scene.worker.pid
    scene.said("WorkerLostError")


def hard_limit(scene: Scene) -> None:
    scene.send("work", ENDLESS_S, time_limit=1)
    scene.running()
    scene.said("Hard time limit (1s) exceeded")


def soft_limit(scene: Scene) -> None:
    scene.send("overrun_softly", soft_time_limit=1)
    scene.caught()
    scene.ended(1)


def revoke_terminate(scene: Scene) -> None:
    job = scene.send("tidy_up")
    scene.running()
    scene.worker.app.control.revoke(job, terminate=True)
    scene.caught()
    scene.ended(1)


# -- what happens to the worker meanwhile


def max_tasks_per_child(scene: Scene) -> None:
    for _ in range(3):
        scene.send("work")
    assert len({run.pid for run in scene.ended(3)}) == 3


def autoscale(scene: Scene) -> None:
    for seconds in (2 * LONG_S, SHORT_S, SHORT_S):
        scene.send("work", seconds)
    scene.said("Scaling up")
    scene.ended(2)
    scene.said("Scaling down")
    scene.ended(3)


def broker_connection_drop(scene: Scene) -> None:
    scene.send("work", LONG_S)
    scene.running()
    scene.acknowledged()  # what is not comes back, and runs twice, with any worker
    assert scene.server.drop_connections(scene.worker.broker)
    scene.said("Connected to redis")
    scene.ended(1)
    scene.send("work")
    scene.ended(2)


def warm_shutdown(scene: Scene) -> None:
    scene.send("work", LONG_S)
    scene.running()
    scene.worker.signal(signal.SIGTERM)
    assert scene.worker.ended() == 0
    scene.ended(1)


def cold_shutdown(scene: Scene) -> None:
    scene.send("tidy_up", LONG_S)
    scene.running()
    scene.worker.signal(signal.SIGQUIT)
    in_celery_5_4 = "worker: Cold shutdown"
    scene.said("Hitting Ctrl+C again will terminate all running tasks", in_celery_5_4)


def soft_shutdown(scene: Scene) -> None:
    scene.send("work", LONG_S)
    scene.running()
    scene.worker.signal(signal.SIGQUIT)
    scene.said("Initiating Soft Shutdown")
    scene.ended(1)


# -- when bodies run


def eta(scene: Scene) -> None:
    agent = scene.worker.agent
    due = agent.now() + LONG_S
    scene.send("work", countdown=LONG_S)
    (run,) = scene.ended(1)
    early = 0.1  # of timers, which count in another clock
    assert run.start > due - early
    assert not any(due - early > call.time > scene.since for call in agent.enables), "protected while it only waited"


def rate_limit(scene: Scene) -> None:
    for _ in range(3):
        scene.send("limited")
    assert max(run.start for run in scene.ended(3)) - scene.since > 0.9  # two a second


def chord_of_three(scene: Scene) -> None:
    scene.send("fan_out")
    assert sorted(run.name for run in scene.ended(5)) == ["fan_out", "gather", "work", "work", "work"]


def group_of_200(scene: Scene) -> None:
    group([scene.worker.signature("work", 0.005)] * 200, app=scene.worker.app).apply_async()
    scene.ended(200)
