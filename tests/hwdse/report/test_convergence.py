"""What the report says of the search: evaluations, time, hypervolume, what was dropped."""

from dataclasses import replace

import pytest

from hwdse.report.claim import Claim
from hwdse.report.convergence import convergence, elapsed, facts, hypervolume
from hwdse.result import Result


def test_every_source_of_trials_is_told_apart(result: Result) -> None:
    line, *sources = hypervolume(result).series
    assert (line.symbol, line.dash) == (None, "solid")
    assert [(one.name, len(one.marks)) for one in sources] == [("baseline", 1), ("uniform", 13), ("tpe", 39)]
    assert len({(one.colour, one.symbol) for one in sources}) == 3
    assert sources[1].marks[0].hover == f"after trial 1 (uniform): {result.hypervolume[1][1]:.6g}"


def test_the_line_keeps_what_is_reached_until_the_next_trial(result: Result) -> None:
    two = replace(result, hypervolume=((0, 1.0), (5, 4.0)))
    assert [(mark.x, mark.y) for mark in hypervolume(two).series[0].marks] == [(0, 25.0), (5, 25.0), (5, 100.0)]


def test_over_time_where_times_were_kept(result: Result, raced: Result) -> None:
    assert [plot.name for plot in convergence(result)] == ["hypervolume"]
    assert elapsed(result) is None
    assert convergence(replace(raced, hypervolume=())) == ()
    _, over_time = convergence(raced)
    assert (over_time.name, over_time.x_label) == ("hypervolume-time", "seconds of search")
    marks = [mark for one in over_time.series[1:] for mark in one.marks]
    assert len(marks) == len(raced.hypervolume) == 43
    assert marks[0].x == 2.0
    assert marks[-1].x == 43 * 2.0 + 10 * 0.5, "trials that were dropped take time too"
    part = replace(raced.trials[3], seconds=None)
    assert elapsed(replace(raced, trials=(*raced.trials[:3], part, *raced.trials[4:]))) is None


def test_facts(result: Result, raced: Result) -> None:
    assert facts(result) == (
        Claim("Evaluations", "53 designs (1 baseline, 13 uniform, 39 tpe); 1 more failed."),
        Claim(
            "Hypervolume", "2.33894 in the end, 89.2 % of it after the designs that were given; 99 % after trial 45."
        ),
    )
    evaluations, time, volume, dropped = facts(raced)
    assert evaluations == facts(result)[0]
    assert time == Claim("Time", "91.0 s of searching, 34.95 designs a minute, failed ones not counted.")
    assert volume.text.endswith("99 % after trial 45, 75.0 s.")
    assert dropped == Claim(
        "Dropped early",
        "10 of 53 designs saw fewer than all 400 images: at a confidence of 95 % they could not join the front. "
        "Every design of the front was evaluated on all of them.",
    )


@pytest.mark.parametrize(("seconds", "text"), [(1.0, "53.0 s"), (10.0, "8.8 min"), (1000.0, "14.7 h")])
def test_times_that_people_wait(result: Result, seconds: float, text: str) -> None:
    slow = replace(result, trials=tuple(replace(trial, seconds=seconds) for trial in result.trials), failures=())
    (time,) = (claim for claim in facts(slow) if claim.head == "Time")
    assert time.text == f"{text} of searching, {60 / seconds:.4g} designs a minute."


def test_nothing_was_attained(result: Result) -> None:
    assert [claim.head for claim in facts(replace(result, hypervolume=((0, 0.0),)))] == ["Evaluations"]
    given = replace(result, trials=result.trials[:14], hypervolume=result.hypervolume[:14])
    assert "given" not in facts(given)[1].text, "no sampler went on"
