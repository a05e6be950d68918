"""A study as one TOML file: the question, the network and its data, the formats to try, the device, the search.

Everything that can be checked is checked when the file is read, because a study that runs for hours
must not fail at its end. A file that breaks a rule is one sentence with the file, the key, the rule
and the known names. `sections` explains the keys, `patterns.expand` how formats are written.
"""

import tomllib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from hwdse import placement
from hwdse.design import Quantizer
from hwdse.gemm import GROUPS
from hwdse.metrics import ACCURACIES
from hwdse.racing import RACED
from hwdse.result import FOR_GPUS, Constraint, Objective
from hwdse.study.messages import sentence, worst
from hwdse.study.rules import TEXT, applied, check_metric
from hwdse.study.section import Section
from hwdse.study.sections import (
    Budget,
    Choice,
    ConstraintSection,
    Data,
    Formats,
    Model,
    ObjectiveSection,
    Search,
    Techniques,
)
from hwdse.study.targets import FpgaSection, GpuSection, Target, Targets, labels
from hwdse.study.toml import frozen, write
from hwdse.target import devices

# What a run may be continued with another value of, beside its words and its budget: no trial depends on it.
FREE = (("choice", "max_loss"), ("choice", "max_perplexity_ratio"), ("search", "sensitivity"))
PATHS = (("model", "checkpoint"), ("data", "path"), ("data", "calibration_path"))  # keys that name files


class Study(Section):
    """A study, checked. `text` is its file: `load` of it gives an equal study."""

    name: Annotated[str, Field(min_length=1)]
    question: str
    seed: NonNegativeInt = 0
    model: Model
    data: Data
    formats: Formats
    techniques: Techniques = Techniques()
    targets: Targets
    objectives: Annotated[tuple[ObjectiveSection, ...], Field(min_length=1)]
    constraints: tuple[ConstraintSection, ...] = ()
    search: Search
    budget: Budget = Budget()
    choice: Choice = Choice()

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(self.model.name) > 1 and self.model.checkpoint is not None:
            raise ValueError("model.checkpoint: the weights of one network, but model.name has several")
        self._check_targets()
        self._check_baseline()
        self._check_budget()
        for part in self.by_target:
            part._check_objectives(several=len(self.targets) > 1)
            part._check_energy()
            part._check_clock()
            part._check_racing()
            part._check_sampler()
        return self

    def _check_targets(self) -> None:
        names = self.labels
        if len(set(names)) < len(names):
            raise ValueError(f"target: every target is there once, not {', '.join(names)}")
        for target in self.targets:
            self._check_target(target)
        text = self.data.name == TEXT
        for key, sections in (("objectives", self.objectives), ("constraints", self.constraints)):
            for section in sections:
                check_metric(key, section, self.targets, text=text, data=self.data.name)

    def _check_target(self, target: Target) -> None:
        groups = [text for text in self.formats.granularity if text.startswith("group")]
        if isinstance(target, FpgaSection) and groups:
            rule = "groups that share a scale have no price on an FPGA yet"
            raise ValueError(f"formats.granularity: {rule}, so {groups[0]!r} is refused")
        if isinstance(target, FpgaSection) and self.formats.halves:
            rule = f"activations in {self.formats.halves[0].name} are for GPUs"
            raise ValueError(f"formats.activations: {rule}, and target.device {target.device!r} is an FPGA")
        taken = [f"group{size}" for size in GROUPS]
        for group in groups:
            if group not in taken:
                raise ValueError(f"formats.granularity: a GPU takes {', '.join(taken)}, not {group!r}")
        if isinstance(target, GpuSection) and target.tokens == "one" and self.data.name != TEXT:
            rule = f"'one' is of a text, one token after the other, not of data {self.data.name!r}"
            raise ValueError(f"target.tokens: {rule}; known: all")

    def _check_objectives(self, *, several: bool) -> None:
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"objectives: every metric is there once, not {', '.join(metrics)}")
        if several and len(metrics) < 2:
            left = f"only {metrics[0]}" if metrics else "none"
            raise ValueError(f"objectives: each target weighs two or more, and {self.target.device!r} has {left}")

    def _check_baseline(self) -> None:
        if self.baseline not in self.formats.uniform:
            pairs = [(w.format.name, a.format.name) for w, a in self.formats.uniform]
            known = dict.fromkeys([w for w, a in pairs if w == a] or [f"{w} with {a}" for w, a in pairs])
            raise ValueError(f"choice.baseline: it is one of the uniform designs; known: {', '.join(known)}")

    def _check_energy(self) -> None:
        if "energy" in self.metrics and self.on_fpga.model.stated(self.on_fpga.fpga) is None:
            raise ValueError(f"metric 'energy' needs a cost model that states one, unlike {self.target.cost_model!r}")

    def _check_clock(self) -> None:
        device = self.target.device
        if "mhz" in self.metrics and placement.delays(device) is None:
            known = ", ".join(name for name in devices() if placement.delays(name) is not None)
            raise ValueError(f"metric 'mhz' needs a predicted clock, which {device!r} does not have; known: {known}")

    def _check_racing(self) -> None:
        raced = [o.metric for o in self.objectives if o.metric in RACED]
        if self.search.racing is not None and len(raced) != 1:
            shown = " and ".join(raced) or "none"
            raise ValueError(f"search.racing: a race is on one objective of {', '.join(RACED)}, not on {shown}")

    def _check_sampler(self) -> None:
        metrics, sampler = [objective.metric for objective in self.objectives], self.search.sampler
        accuracies = sum(name in ACCURACIES for name in metrics)
        if sampler in ("allocate", "hybrid") and (accuracies != 1 or len(metrics) < 2):
            known, shown = ", ".join(ACCURACIES), " and ".join(metrics)
            raise ValueError(f"search.sampler: {sampler!r} weighs one accuracy ({known}) against costs, not {shown}")

    def _check_budget(self) -> None:
        if self.search.sampler == "grid" and not self.search.uniform:
            raise ValueError("search: without uniform designs it needs a sampler, not 'grid'")
        if self.search.sampler != "grid" and self.budget == Budget():
            raise ValueError("budget: the sampler has no end without 'trials' or 'minutes'")
        if self.budget.trials is not None and self.budget.trials < len(self.uniform):
            raise ValueError(
                f"budget.trials: at least the {len(self.uniform)} uniform designs, not {self.budget.trials}"
            )

    @property
    def target(self) -> Target:
        """The one target; ValueError where there are several, each in a part of its own."""
        if len(self.targets) > 1:
            raise ValueError(f"study {self.name!r} has {len(self.targets)} targets, each in a part of its own")
        return self.targets[0]

    @property
    def on_fpga(self) -> FpgaSection:
        """The one target, an FPGA; ValueError, which names what there is instead, where it is a GPU."""
        if not isinstance(self.target, FpgaSection):
            raise ValueError(
                f"study {self.name!r} is of {self.target.device}, a GPU, and this is for FPGAs; {FOR_GPUS}"
            )
        return self.target

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is optimised, then what is constrained."""
        optimised = tuple(objective.metric for objective in self.objectives)
        return (*optimised, *(constraint.metric for constraint in self.constraints))

    @property
    def baseline(self) -> tuple[Quantizer, Quantizer]:
        """The uniform design that savings are counted against."""
        return self.formats.pair(self.choice.baseline)

    @property
    def uniform(self) -> tuple[tuple[Quantizer, Quantizer], ...]:
        """The designs that come first, the baseline before all."""
        others = self.formats.uniform if self.search.uniform else ()
        return (self.baseline, *(pair for pair in others if pair != self.baseline))

    @property
    def trials(self) -> int | None:
        """How many designs, uniform ones included; None is until the minutes are over."""
        return len(self.uniform) if self.search.sampler == "grid" else self.budget.trials

    @property
    def objective_values(self) -> tuple[Objective, ...]:
        """The objectives as values of the core."""
        return tuple(section.value for section in self.objectives)

    @property
    def constraint_values(self) -> tuple[Constraint, ...]:
        """The constraints as values of the core."""
        return tuple(section.value for section in self.constraints)

    @property
    def parts(self) -> tuple["Study", ...]:
        """One study per network and target."""
        return tuple(part for network in self.by_network for part in network.by_target)

    @property
    def by_network(self) -> tuple["Study", ...]:
        """One study per network, with all targets."""
        if len(self.model.name) == 1:
            return (self,)
        models = (self.model.model_copy(update={"name": (name,)}) for name in self.model.name)
        return tuple(self.model_copy(update={"name": f"{self.name}-{m.folder}", "model": m}) for m in models)

    @property
    def by_target(self) -> tuple["Study", ...]:
        """One study per target, with the objectives and constraints that are for it, as if it had been written so."""
        if len(self.targets) == 1:
            return (self,)
        return tuple(
            self.model_copy(
                update={
                    "name": f"{self.name}-{label}",
                    "targets": (target,),
                    "objectives": applied(self.objectives, target),
                    "constraints": applied(self.constraints, target),
                }
            )
            for label, target in zip(self.labels, self.targets, strict=True)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the targets, as those of folders."""
        return labels(self.targets)

    @property
    def text(self) -> str:
        """The study as TOML, defaults and absolute paths written out."""
        return write(self._content())

    def _content(self, *left_out: str) -> dict[str, Any]:
        """The keys as a file has them, a single target as a table."""
        content = self.model_dump(exclude_none=True, by_alias=True, exclude=set(left_out))
        if len(self.targets) == 1:
            (content["target"],) = content["target"]
        return content

    @property
    def digest(self) -> str:
        """16 hex digits of what decides its trials.

        That is everything but the words, the budget, what is `FREE` (a run may be continued with
        others) and the paths (weights and data have digests of their own).
        """
        content = self._content("name", "question", "budget")
        for section, key in (*PATHS, *FREE):
            content[section].pop(key, None)
        return blake2b(write(content).encode(), digest_size=8).hexdigest()


def shipped() -> tuple[str, ...]:
    """The names of the studies that come with the package."""
    folder = files("hwdse.studies")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def load(study: str | Path, settings: Sequence[str] = ()) -> Study:
    """The study in a file, or the shipped one of that name; relative paths start at the file's folder.

    `settings` replace keys of the file: `budget.trials=50`, `data.path=images.npz`. Their relative
    paths start at the working directory.
    """
    path = _find(study)
    content = {"name": path.stem} | _absolute(_read(path), path.parent)
    for setting in settings:
        content = _replaced(content, setting)
    try:
        return Study.model_validate(frozen(content))
    except ValidationError as error:
        raise ValueError(f"{path}: {sentence(worst(error.errors()), Study)}") from None


def _find(study: str | Path) -> Path:
    if Path(study).is_file():
        return Path(study)
    if study in shipped():
        return Path(str(files("hwdse.studies") / f"{study}.toml"))
    raise ValueError(f"no study {str(study)!r}; give the path of a TOML file or one of {', '.join(shipped())}")


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as TOML: {error}") from None


def _absolute(content: Mapping[str, object], folder: Path) -> dict[str, object]:
    """`content` with the paths of files made absolute."""
    result = dict(content)
    for section, key in PATHS:
        table = result.get(section)
        if isinstance(table, dict) and isinstance(value := table.get(key), str):
            result[section] = table | {key: str((folder / value).resolve())}
    return result


def _replaced(content: Mapping[str, object], setting: str) -> dict[str, object]:
    """`content` with one key set, from text such as `budget.trials=50`; what is no TOML value is a text."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"a setting is written key=value, e.g. 'budget.trials=50', not {setting!r}")
    section, dot, inner = key.strip().partition(".")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = content.get(section, {}) if dot else {}
    if not isinstance(table, dict):
        raise ValueError(f"the key {section!r} of a setting is no table, so {key!r} cannot be set")
    changed = {**content, section: {**table, inner: value} if dot else value}
    return _absolute(changed, Path.cwd())
