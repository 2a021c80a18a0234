"""No protection: after SIGTERM the jobs in flight are finished, and no other is begun."""

from lost_parts.lanes import run_job, work

if __name__ == "__main__":
    work(run_job)
