"""A peer: protection is asked for in `task_prerun`, and given up in `task_postrun`.

It does what this one says that it does: https://github.com/DIAGNijmegen/rse-grand-challenge/pull/2737 ("The workers
this runs for must be running in solo mode with single concurrency and with task events being sent"),
`app/config/celery.py`: the receivers PUT in the child, wait for the answer, and ask for as long as the job's time
limit. There a worker of a protected queue does not start unless its concurrency is 1, without autoscaling, its prefetch
multiplier 1 and its events on. Whoever starts it keeps to that, or shows what comes of it otherwise.
"""

import math
from typing import Any

from celery import Task
from celery.signals import task_postrun, task_prerun
from worker_parts.agent import put

TIME_LIMIT_S = 7200.0  # of all jobs, where they have none of their own


@task_prerun.connect
def protect(*_: Any, task: Task, **__: Any) -> None:
    minutes = max(math.ceil((task.time_limit or TIME_LIMIT_S) / 60), 1)
    put(ProtectionEnabled=True, ExpiresInMinutes=minutes)


@task_postrun.connect
def release(*_: Any, **__: Any) -> None:
    put(ProtectionEnabled=False)
