"""The other side of `hwdse.finn.process`: run by the Python of FINN's environment as `__main__.py REQUESTS ANSWERS`.

The arguments are file descriptors. What FINN prints goes elsewhere.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

# hwdse is not installed in this environment, and the folder that it lies in may have packages of other versions beside
# it: so only hwdse itself can be imported from there.
package = ModuleType("hwdse")
package.__path__ = [str(Path(__file__).parents[1])]
sys.modules["hwdse"] = package

from hwdse.finn import messages  # noqa: E402
from hwdse.finn_worker import without_vivado  # noqa: E402, F401 -- before anything else of FINN
from hwdse.finn_worker.handlers import answer  # noqa: E402


def main(requests: int, answers: int) -> None:
    """Answers until there are no more requests."""
    with os.fdopen(requests) as lines, os.fdopen(answers, "w") as out:
        for line in lines:
            number, text = line.split(" ", 1)
            out.write(f"{number} {json.dumps(_answered(text))}\n")
            out.flush()


def _answered(text: str) -> dict[str, object]:
    try:
        return {"answer": messages.plain(answer(messages.parse(text)))}
    except Exception as error:  # FINN raises what it likes
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
