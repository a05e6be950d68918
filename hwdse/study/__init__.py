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
from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from hwdse import placement
from hwdse.design import Quantizer
from hwdse.metrics import ACCURACIES
from hwdse.racing import RACED
from hwdse.result import Constraint, Objective
from hwdse.study.messages import sentence, worst
from hwdse.study.sections import (
    Budget,
    Choice,
    ConstraintSection,
    Data,
    Formats,
    Model,
    ObjectiveSection,
    Search,
    Section,
    Target,
    Techniques,
)
from hwdse.study.toml import frozen, write
from hwdse.target import devices

# What a run may be continued with another value of, beside its words and its budget: no trial depends on it.
FREE = (("choice", "max_loss"), ("search", "sensitivity"))
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
    target: Target
    objectives: Annotated[tuple[ObjectiveSection, ...], Field(min_length=1)]
    constraints: tuple[ConstraintSection, ...] = ()
    search: Search
    budget: Budget = Budget()
    choice: Choice = Choice()

    @model_validator(mode="after")
    def _valid(self) -> Self:
        metrics = [objective.metric for objective in self.objectives]
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"objectives: every metric is there once, not {', '.join(metrics)}")
        if len(self.model.name) > 1 and self.model.checkpoint is not None:
            raise ValueError("model.checkpoint: the weights of one network, but model.name has several")
        self._check_baseline()
        self._check_budget()
        self._check_energy()
        self._check_clock()
        self._check_racing()
        self._check_sampler()
        return self

    def _check_baseline(self) -> None:
        if self.baseline not in self.formats.uniform:
            known = dict.fromkeys(w.format.name for w, a in self.formats.uniform if w.format == a.format)
            raise ValueError(f"choice.baseline: it is one of the uniform designs; known: {', '.join(known)}")

    def _check_energy(self) -> None:
        if "energy" in self.metrics and self.target.model.stated(self.target.fpga) is None:
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
        """One study per network."""
        if len(self.model.name) == 1:
            return (self,)
        models = (self.model.model_copy(update={"name": (name,)}) for name in self.model.name)
        return tuple(self.model_copy(update={"name": f"{self.name}-{m.folder}", "model": m}) for m in models)

    @property
    def text(self) -> str:
        """The study as TOML, defaults and absolute paths written out."""
        return write(self.model_dump(exclude_none=True))

    @property
    def digest(self) -> str:
        """16 hex digits of what decides its trials.

        That is everything but the words, the budget, what is `FREE` (a run may be continued with
        others) and the paths (weights and data have digests of their own).
        """
        content = self.model_dump(exclude_none=True, exclude={"name", "question", "budget"})
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
