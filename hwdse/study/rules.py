"""Which targets a metric is for: those of a kind that has it, or those on the device that is named with it."""

from collections.abc import Sequence
from typing import TypeVar

from hwdse.metrics import TEXT_METRICS, metric, metrics_of
from hwdse.study.sections import ConstraintSection, ObjectiveSection
from hwdse.study.targets import Target

TEXT = "text"  # the name of the data that has tokens

Wanted = TypeVar("Wanted", ObjectiveSection, ConstraintSection)


def applied(sections: Sequence[Wanted], target: Target) -> tuple[Wanted, ...]:
    """Those for `target`, as a study of it alone has them."""
    return tuple(one.model_copy(update={"device": None}) for one in sections if _is_for(one, target))


def _is_for(section: ObjectiveSection | ConstraintSection, target: Target) -> bool:
    return section.device in (None, target.device) and target.kind in metric(section.metric).kinds


def check_metric(
    key: str, section: ObjectiveSection | ConstraintSection, targets: Sequence[Target], *, text: bool, data: str
) -> None:
    """ValueError where a metric is for none of `targets`, or not of the kind of data."""
    devices = dict.fromkeys(target.device for target in targets)
    if section.device is not None and section.device not in devices:
        raise ValueError(f"{key}.device: no target {section.device!r}; known: {', '.join(devices)}")
    meant = [target for target in targets if section.device in (None, target.device)]
    known = ", ".join(dict.fromkeys(name for target in meant for name in metrics_of(target.kind, text=text)))
    name = section.metric
    if not any(_is_for(section, target) for target in targets):
        raise ValueError(f"{key}.metric: {name!r} is nothing that {_shown(meant)} has; known: {known}")
    if name in TEXT_METRICS and not text:
        raise ValueError(f"{key}.metric: {name!r} is of text, and not of data {data!r}; known: {known}")


def _shown(targets: Sequence[Target]) -> str:
    """`the GPU 'h200'`."""
    return f"the {targets[0].kind} {targets[0].device!r}"
