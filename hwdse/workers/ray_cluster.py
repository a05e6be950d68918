"""Workers on a Ray cluster: actors that Ray spreads over its nodes, each with one thread for its tensors.

Every node needs hwdse and the files that the study names, at the same paths. Ray restarts nothing by
itself: an actor that died with its node is a dead worker, as everywhere else.
"""

import os
import pickle
import socket
from collections.abc import Sequence
from typing import Any, cast

from hwdse.workers import Job, Maker
from hwdse.workers.pool import Died, News
from hwdse.workers.processes import ONE_THREAD
from hwdse.workers.servant import Servant

KNOCK_SECONDS = 10  # for a machine to answer


class Worker:
    """An actor and the call that it has not yet answered."""

    def __init__(self, actor: Any, maker: bytes) -> None:
        self.actor = actor
        self.call: Any | None = actor.build.remote(maker)


class RayCluster:
    """The crew of actors."""

    def __init__(self, make: Maker, address: str | None) -> None:
        try:
            import ray
        except ImportError:
            raise ValueError("executor 'ray' needs the package ray: pip install 'hwdse[ray]'") from None
        self._ray: Any = ray
        self._maker = pickle.dumps(make)
        self._ours = not ray.is_initialized()
        if self._ours:
            self._join(address)
        options = {"num_cpus": 1, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self._remote = self._ray.remote(Servant).options(**options, runtime_env={"env_vars": ONE_THREAD})

    def _join(self, address: str | None) -> None:
        named = os.environ.get("RAY_ADDRESS") if address is None else address
        try:
            _knock(named)
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except Exception as error:  # Ray's own, of gRPC, or that nothing is there
            place = "of this machine" if named is None else named
            raise ValueError(f"the Ray cluster {place} cannot be used: {str(error).splitlines()[0]}") from error

    def start(self) -> Worker:
        """A new actor on some node that has a core for it."""
        return Worker(self._remote.remote(), self._maker)

    def give(self, worker: Worker, job: Job) -> None:
        """Calls the actor."""
        worker.call = worker.actor.do.remote(job)

    def news(self, workers: Sequence[Worker], seconds: float | None) -> list[tuple[Worker, News]]:
        """The answers; a call that has none any more is a death."""
        of = {worker.call: worker for worker in workers if worker.call is not None}
        answered, _ = self._ray.wait(list(of), timeout=seconds) if of else ([], [])
        return [(of[call], self._answer(of[call])) for call in answered]

    def close(self, workers: Sequence[Worker]) -> None:
        """Ends the actors, and leaves the cluster if it was joined here."""
        for worker in workers:
            self._ray.kill(worker.actor)
        if self._ours:
            self._ray.shutdown()

    def _answer(self, worker: Worker) -> News:
        call, worker.call = worker.call, None
        try:
            return cast(News, self._ray.get(call))
        except self._ray.exceptions.RayError as error:
            return Died(f"on the Ray cluster: {str(error).splitlines()[0]}")


def _knock(address: str | None) -> None:
    """OSError if nothing is at `host:port`, for which Ray would wait for minutes."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), KNOCK_SECONDS).close()
