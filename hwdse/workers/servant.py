"""What runs inside of a worker, wherever that is: the network of a study, which it builds once."""

import pickle
import traceback

from hwdse.workers import Job, Outcome, evaluate
from hwdse.workers.pool import Broke, Ready, Refused


class Servant:
    """Answers whatever it is told to do; an error of the code is an answer too."""

    def build(self, maker: bytes) -> Ready | Refused | Broke:
        """Builds the network, with a pickled `Maker`."""
        try:
            self._evaluator = pickle.loads(maker)()
            return Ready(self._evaluator.context)
        except ValueError as error:  # what the network, its data or its recipe refuse
            return Refused(str(error))
        except Exception:
            return Broke(traceback.format_exc())

    def do(self, job: Job) -> Outcome | Broke:
        """Does a job."""
        try:
            return evaluate(self._evaluator, job)
        except Exception:
            return Broke(traceback.format_exc())
