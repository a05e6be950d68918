"""How fast the joint choice of variants is found, beside HiGHS on the same mixed-integer programs.

    python benchmarks/variants.py [--json]

Of three networks on three devices, with four pairs of formats each. Both are exact; that they agree is asserted. HiGHS
solves two programs for a choice: the smallest largest share of the device, then the fewest LUTs within it.
"""

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from hwdse import variants
from hwdse.cost_models import dataflow
from hwdse.design import Quantizer
from hwdse.pricing import Question, price
from hwdse.target import FpgaTarget
from hwdse.variants import ABSENT, Counts

DEVICES = ("ecp5_85f", "xc7z020", "xczu3eg")
NETWORKS = (("cifar-resnet20", 100.0), ("digits-resnet", 20_000.0), ("digits-cnn", 20_000.0))
FORMATS = (("int8:channel", "uint8"), ("int5:channel", "uint5"), ("e2m1:channel", "ue2m2"), ("e3m2:channel", "ue3m3"))
TOLERANCE = 1e-9  # of a share, in the second program

Problem = tuple[Sequence[Counts], Counts, FpgaTarget]


def problems() -> list[Problem]:
    """What the pricing of the networks asks for."""
    found = list[Problem]()

    def note(parts: Sequence[Counts], fixed: Counts, target: FpgaTarget) -> tuple[int, ...]:
        found.append((parts, fixed, target))
        return variants.best(parts, fixed, target)

    dataflow.best = note  # type: ignore[attr-defined]
    for device in DEVICES:
        for network, rate in NETWORKS:
            for weights, activations in FORMATS:
                pair = Quantizer.parse(weights), Quantizer.parse(activations)
                price(Question(network, device, frames_per_second=rate), pair)
    dataflow.best = variants.best  # type: ignore[attr-defined]
    return found


def ours(problem: Problem) -> float:
    """The LUTs of the best choice."""
    parts, fixed, target = problem
    picks = variants.best(parts, fixed, target)
    return float(sum(ways[pick, 0] for ways, pick in zip(parts, picks, strict=True)) + fixed[0])


def highs(problem: Problem) -> float:
    """The same, by HiGHS."""
    parts, fixed, target = problem
    have = np.array([target.luts, target.ffs, target.dsps, target.brams, target.urams], np.float64)
    have = np.where(have > 0, have, ABSENT)
    ways, count = np.concatenate(parts), sum(map(len, parts))
    one_each = np.zeros((len(parts), count + 1))
    ends = np.cumsum([0, *map(len, parts)])
    for i in range(len(parts)):
        one_each[i, ends[i] : ends[i + 1]] = 1
    shares = np.hstack([(ways / have).T, -np.ones((len(have), 1))])
    rules = (LinearConstraint(one_each, 1, 1), LinearConstraint(shares, -np.inf, -fixed / have))
    settings = {"constraints": rules, "integrality": np.append(np.ones(count), 0), "options": {"mip_rel_gap": 0}}
    upper = np.append(np.ones(count), np.inf)
    share = milp(np.append(np.zeros(count), 1), bounds=Bounds(0, upper), **settings).fun
    upper[-1] = share * (1 + TOLERANCE)
    return float(milp(np.append(ways[:, 0], 0), bounds=Bounds(0, upper), **settings).fun + fixed[0])


def main() -> None:
    """Times both, problem by problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object instead of words")
    arguments = parser.parse_args()
    times = np.zeros(2)
    asked = problems()
    for problem in asked:
        found = list[float]()
        for i, solve in enumerate((ours, highs)):
            start = time.perf_counter()
            found.append(solve(problem))
            times[i] += time.perf_counter() - start
        assert round(found[0]) == round(found[1]), problem
    if arguments.json:
        print(json.dumps({"benchmark": "variants", "ratios": {"HiGHS to ours": times[1] / times[0]}}))
        return
    own, other = 1000 * times / len(asked)
    print(f"{len(asked)} networks on devices, equal choices: {own:.1f} ms each, by HiGHS {other:.1f} ms")


if __name__ == "__main__":
    main()
