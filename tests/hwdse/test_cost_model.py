"""What there is beside a cost model's own arithmetic: its kind, and how a network runs."""

import pytest

from hwdse.cost_model import Run, for_fpgas, for_gpus, named
from hwdse.cost_models.dataflow import Dataflow


def test_a_model_is_found_with_its_settings() -> None:
    assert named("dataflow", {"multiplier": "lut"}) == for_fpgas("dataflow", {"multiplier": "lut"})
    assert for_fpgas("dataflow", {}) == Dataflow()


def test_a_model_of_fpgas_is_refused_for_gpus() -> None:
    message = r"^cost model 'dataflow' does not price GPUs; known: (?!.*dataflow)"
    with pytest.raises(ValueError, match=message):
        for_gpus("dataflow", {})


def test_a_batch_has_a_frame() -> None:
    with pytest.raises(ValueError, match=r"^a batch has at least 1 frame, not 0$"):
        Run(batch=0)
    with pytest.raises(ValueError, match=r"^tokens are all or one, not 'some'$"):
        Run(tokens="some")  # type: ignore[arg-type]
