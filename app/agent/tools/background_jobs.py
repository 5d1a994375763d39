"""Commands that run on while the agent does something else. They end with the run at the latest."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Final, Literal

from app.agent.model_client import Cancellation
from app.agent.tools.processes import Command, Process

JobStatus = Literal["running", "completed", "stopped", "failed"]

KEPT_BYTES: Final = 10_000_000
MAX_JOBS: Final = 20  # running at the same time, and of those that have ended


class TooManyJobs(Exception):
    """No more jobs may run at the same time."""


class Job:
    """One command, and the thread that follows it until it has ended. Its methods are for any thread."""

    def __init__(self, job_id: str, shown: str, command: Command) -> None:
        """Raises OSError if the command can't start."""
        self.id = job_id
        self.command = shown
        self.exit_code: int | None = None
        self._stopped = False
        self._begun = time.monotonic()
        self._ended: float | None = None
        self._waiting: list[threading.Event] = []
        self._process = Process(command, kept=KEPT_BYTES)
        self._thread = threading.Thread(target=self._work, name=job_id, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._process.end()
            raise

    @property
    def status(self) -> JobStatus:
        if self._ended is None:
            return "running"
        if self._stopped:
            return "stopped"
        return "failed" if self.exit_code else "completed"

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._begun

    def output(self) -> bytes:
        return self._process.output()

    @property
    def left(self) -> tuple[str, ...]:
        """Commands that were still at work when the job ended by itself, and were ended then."""
        return self._process.left

    def wait(self, seconds: float, cancellation: Cancellation) -> None:
        """Until it has ended, the time is over, or the run is cancelled."""
        news = threading.Event()
        self._waiting.append(news)
        with cancellation.calling(news.set):
            if self._ended is None:
                news.wait(seconds)
        self._waiting.remove(news)

    def stop(self) -> None:
        """Ends the command and all that it started; returns when that is done, or has failed for good."""
        self.interrupt()
        self._thread.join()

    def interrupt(self) -> None:
        """Begins to stop, without waiting."""
        self._process.interrupt()

    def _work(self) -> None:
        try:
            self._stopped = not self._process.follow()
        finally:
            self.exit_code = self._process.end()
            self._ended = time.monotonic()
            for news in list(self._waiting):
                news.set()


class BackgroundJobs:
    """The jobs of one toolset. All of them belong to one run and end with it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._jobs: dict[str, Job] = {}

    def start(self, shown: str, command: Command) -> Job:
        """Forgets the oldest of those that have ended, as all that they have written is kept in memory. TooManyJobs;
        OSError if the command can't start."""
        ended = [job.id for job in self._jobs.values() if job.status != "running"]
        if len(self._jobs) - len(ended) >= MAX_JOBS:
            raise TooManyJobs
        for job_id in ended[:-MAX_JOBS]:
            del self._jobs[job_id]
        job_id = f"job_{int(time.time())}_{next(self._numbers)}"
        job = self._jobs[job_id] = Job(job_id, shown, command)
        return job

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def stop(self) -> None:
        """Ends all of them at the same time, so that the slowest decides how long it takes."""
        for job in self.all():
            job.interrupt()
        for job in self.all():
            job.stop()
