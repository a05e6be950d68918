"""The table of all trials that the page sorts and filters."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hwdse.energy import joules
from hwdse.metrics import in_bytes
from hwdse.report.describe import unit_of, whole
from hwdse.report.quantities import number, percent, seconds
from hwdse.report.rows import Row
from hwdse.result import Result
from hwdse.target import FpgaTarget


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the page's table."""

    text: str
    key: str  # the number that it sorts by; '' comes last


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the page's table: with numbers to sort by, or of text."""

    title: str
    meaning: str
    text: Callable[[Row], str]
    key: Callable[[Row], float | None] | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is sorted by numbers."""
        return self.key is not None

    def cell(self, row: Row) -> Cell:
        """What the table shows and sorts by for one trial."""
        key = None if self.key is None else self.key(row)
        return Cell(self.text(row), "" if key is None else str(key))


def _test(row: Row) -> str:
    return "" if row.test_top1 is None else percent(row.test_top1)


def _energy(row: Row) -> str:
    return "" if row.energy_joules is None else joules(row.energy_joules)


def _count(value: int | None) -> str:
    return "" if value is None else number(value)


def _weights(row: Row) -> str:
    return "" if row.weight_bytes is None else in_bytes(row.weight_bytes)


def _mhz(row: Row) -> str:
    return "" if row.predicted_mhz is None else number(round(row.predicted_mhz))


def _perplexity(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _ratio(row: Row) -> str:
    if row.test_ratio is None or row.test_ratio_low is None or row.test_ratio_high is None:
        return ""
    change, low, high = (100 * (ratio - 1) for ratio in (row.test_ratio, row.test_ratio_low, row.test_ratio_high))
    return f"{change:+.2f} [{low:+.2f}, {high:+.2f}]"


def _difference(row: Row) -> str:
    if row.test_difference is None or row.test_difference_low is None or row.test_difference_high is None:
        return ""
    low, high = 100 * row.test_difference_low, 100 * row.test_difference_high
    return f"{100 * row.test_difference:+.2f} [{low:+.2f}, {high:+.2f}]"


COLUMNS = (
    Column("trial", "number of the trial", lambda r: str(r.trial), lambda r: r.trial),
    Column("family", "integer, minifloat or mixed", lambda r: r.family),
    Column("weights", "formats by layer", lambda r: r.weights),
    Column("front", "on the Pareto front", lambda r: "front" * r.on_front),
    Column("top-1, search", "on the search split", lambda r: percent(r.search_top1), lambda r: r.search_top1),
    Column("top-1, test", "on the test split, of the front only", _test, lambda r: r.test_top1),
    Column(
        "to FP32, test", "points of top-1, paired, with the 95 % interval", _difference, lambda r: r.test_difference
    ),
    Column("LUT", "predicted", lambda r: _count(r.lut), lambda r: r.lut),
    Column("DSP", "predicted", lambda r: _count(r.dsp), lambda r: r.dsp),
    Column("BRAM18", "blocks of 18 Kib, predicted", lambda r: _count(r.bram), lambda r: r.bram),
    Column("frame/s", "predicted", lambda r: number(r.frames_per_second), lambda r: r.frames_per_second),
    Column("latency", "of one frame, predicted", lambda r: seconds(r.latency_seconds), lambda r: r.latency_seconds),
    Column("MHz", "predicted clock, which the slowest layer sets", _mhz, lambda r: r.predicted_mhz),
    Column("stated energy", "of one frame, by a stated model, not calibrated", _energy, lambda r: r.energy_joules),
    Column("bits/weight", "mean", lambda r: f"{r.mean_weight_bits:.2f}", lambda r: r.mean_weight_bits),
    Column("activations", "formats by site", lambda r: r.activations),
    Column("origin", "who proposed it", lambda r: r.origin),
    Column("digest", "of the design", lambda r: r.digest[:8]),
)
OF_ONE_KIND = ("LUT", "DSP", "BRAM18", "frame/s", "latency", "MHz", "stated energy")  # titles of columns of FPGAs
ON_GPU = (
    Column("time", "of a batch, predicted", lambda r: seconds(r.latency_seconds), lambda r: r.latency_seconds),
    Column("packed weights", "in the memory of the GPU, in whole tiles", _weights, lambda r: r.weight_bytes),
    Column("frame/s", "predicted", lambda r: number(r.frames_per_second), lambda r: r.frames_per_second),
)
OF_IMAGES = ("top-1, search", "top-1, test", "to FP32, test")  # titles of columns
OF_TEXTS = (
    Column(
        "perplexity, search",
        "on the search split",
        lambda r: _perplexity(r.search_perplexity),
        lambda r: r.search_perplexity,
    ),
    Column(
        "perplexity, test",
        "on the test split, of the front only",
        lambda r: _perplexity(r.test_perplexity),
        lambda r: r.test_perplexity,
    ),
    Column("to FP32, test", "per cent of perplexity, paired, with the 95 % interval", _ratio, lambda r: r.test_ratio),
)
IMAGES = Column("images", "of the search split", lambda r: number(r.search_images), lambda r: r.search_images)
TOKENS = Column("tokens", "of the search split", lambda r: number(r.search_images), lambda r: r.search_images)
RECIPE = Column("recipe", "techniques, in order", lambda r: r.recipe)


def columns(result: Result) -> tuple[Column, ...]:
    """The columns of the page's table; of images and recipes where trials differ in them."""
    several = len({trial.evaluation.design.recipe for trial in result.trials}) > 1
    partial = not all(whole(result, trial) for trial in result.trials)
    added = {"front": (TOKENS if result.of_text else IMAGES,) * partial, "weights": (RECIPE,) * several}
    shown = _instead(COLUMNS, OF_IMAGES, OF_TEXTS) if result.of_text else COLUMNS
    shown = shown if isinstance(result.target, FpgaTarget) else _instead(shown, OF_ONE_KIND, ON_GPU)
    return tuple(_of(unit_of(result), one) for column in shown for one in (column, *added.get(column.title, ())))


def _of(what: str, column: Column) -> Column:
    """The column with what runs through the network in the place of a frame."""
    if what == "frame":
        return column
    return replace(column, title=column.title.replace("frame", what), meaning=column.meaning.replace("frame", what))


def _instead(old: tuple[Column, ...], titles: tuple[str, ...], new: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns with `new` in the place of those of `titles`, where the first of them is."""
    first = next(at for at, column in enumerate(old) if column.title in titles)
    return (*old[:first], *new, *(column for column in old[first:] if column.title not in titles))
