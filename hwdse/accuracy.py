"""How accurate a design is: the Brevitas model's predictions, on a named data split.

Where a design's recipe allows, the evaluation goes through a shell of the bench, which gives the same logits as the
Brevitas model bit for bit (`tests/hwdse/test_accuracy.py`) without building it. Quantised tensors are kept and used
again by the designs that agree on everything upstream of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from importlib.metadata import version
from math import prod
from time import perf_counter
from typing import Protocol

import torch
from torch import Tensor

from hwdse.bounded import Bounded
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.fused import available
from hwdse.plugins import load
from hwdse.program import Key, Traces
from hwdse.quantize import Bench, Shell, technique
from hwdse.racing import Penalties, Race, looks
from hwdse.scores import TOGETHER_BYTES, Known, Seen, joined, look, penalties, score
from hwdse.sources import code
from hwdse.technique import Sees, Technique
from hwdse.workload import Workload

MOST_IMAGES, LEAST_IMAGES = 500, 8  # in a batch
TENSOR_BYTES = 1 << 20  # of the largest tensor of a batch: what works on it stays in a processor's cache
TRACE_BYTES = 1 << 30  # of quantised tensors that are kept
LOGIT_BYTES = 1 << 26  # of a batch whose logits, or largest tensor, are so large that it has fewer than `LEAST_IMAGES`
SEEN_BYTES = 1 << 26  # of what is kept of designs, for races
FLOAT_BYTES = 1 << 28  # of logits of the float network that are kept; those of later batches are computed again


class Split(Protocol):
    """A named, ordered set of labelled images."""

    @property
    def name(self) -> str:
        """calibration, search or test."""

    @property
    def digest(self) -> str:
        """Names the images and labels."""

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (float32, n x C x H x W) and labels (int64, n), or tokens and what comes next (int64, n x T)."""


class Evaluator:
    """Evaluates designs of one network on its data splits; the float logits are computed once."""

    def __init__(self, bench: Bench, splits: Mapping[str, Split], *, trace_bytes: int = TRACE_BYTES) -> None:
        self.bench = bench
        self.splits = dict(splits)
        self.batch = batch_size(bench.workload)
        self.traces: Traces = Bounded(trace_bytes)
        self.seconds = 0.0
        self.count = 0
        self.tensors = 0  # that all of these would compute if they shared nothing, of those that can be shared
        self._float: dict[str, Seen] = {}  # of the float network, by split
        self._float_logits: dict[tuple[str, int], Known] = {}  # by split and number of the batch
        self._float_bytes = 0
        self._seen: Bounded[tuple[Design, str], Seen] = Bounded(SEEN_BYTES)

    @cached_property  # a protocol that is asked whether this is one of its kind may read it
    def context(self) -> str:
        """Names what an accuracy depends on beside the design: network, data, code, versions."""
        parts = [self.bench.digest, *(f"{name}:{split.digest}" for name, split in sorted(self.splits.items()))]
        kinds = load("hwdse.techniques", Technique)  # type: ignore[type-abstract]
        parts.append(code(*sorted(kind.__module__ for kind in kinds.values())))
        parts += [f"{package}=={version(package)}" for package in ("torch", "brevitas", "hwdse")]
        parts += [f"batch={self.batch}"]  # a float sum may depend on it
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of `design` on `split`."""
        return score(split, self._look(design, split, None))

    def raced(self, design: Design, split: str, race: Race) -> Accuracy:
        """Of `design` on `split`; of its first images alone, if they lose `race`."""
        return score(split, self._look(design, split, race))

    def _look(self, design: Design, split: str, race: Race | None) -> Seen:
        """What is seen on all images, or on the first ones if they lose `race`."""
        self._reference(split)  # checks the split's name; its time is not that of the design
        start = perf_counter()
        seen = self._run_race(design, split, race)
        self.count, self.seconds = self.count + 1, self.seconds + perf_counter() - start
        if len(seen) == len(self.splits[split]):
            self._seen.put((design.numerics, split), seen)
        return seen

    def accuracies(self, designs: Sequence[Design], split: str) -> Iterator[tuple[int, Accuracy | ValueError]]:
        """Of all `designs`, with their places there, in an order in which neighbours share as much as they can.

        What several of them have in common is computed once: a batch of images goes through all designs before the
        next one does, so that no more is kept than the tensors of a batch. A ValueError is a design that has none.
        """
        self._reference(split)  # checks the split's name
        shells = dict[int, Shell]()
        for i, design in enumerate(designs):
            try:
                if self._rebuilds(design):
                    yield i, self.accuracy(design, split)
                else:
                    shells[i] = self.bench.shell(design)
            except ValueError as error:
                yield i, error
        order = sorted(shells, key=lambda i: shells[i].keys)
        for i, seen in zip(order, self._together([shells[i] for i in order], split), strict=True):
            self._seen.put((designs[i].numerics, split), seen)
            yield i, score(split, seen)

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the network before quantisation on `split`."""
        return score(split, self._reference(split), reference=True)

    def penalties(self, design: Design, split: str, metric: str) -> Penalties:
        """What a race compares: of each image, or sequence, of `split`, in order; `metric` is one of `RACED`."""
        seen = self._seen.get((design.numerics, split))
        return penalties(self._look(design, split, None) if seen is None else seen, metric)

    def notes(self) -> str:
        """What this process evaluated, and what its memory held and let go, in words."""
        kept, memory = self.traces, self.bench.memory
        share = f"{100 * (1 - kept.missed / self.tensors):.0f} % of" if self.tensors else "no"
        held = f"held at most {kept.most_bytes / 1e6:,.1f} of {kept.limit_bytes / 1e6:,.0f} MB"
        weights = memory.weights.evicted + memory.treatments.evicted
        gone = f"{kept.evicted:,} tensors, {weights:,} weights, {memory.dropped:,} networks, "
        gone += f"{self._seen.evicted:,} predictions"
        kernel = "one compiled kernel" if available() else "Brevitas, because there is no g++"
        return (
            f"{self.count:,} accuracies in {self.seconds:.1f} s; {share} tensors taken from memory, which {held}; "
            f"let go for lack of room: {gone}; activations quantised by {kernel}"
        )

    def _run_race(self, design: Design, split: str, race: Race | None) -> Seen:
        run, parts, count = self._runner(design, split), list[Seen](), 0
        stops = () if race is None else looks(self.batch, len(self.splits[split]))
        for number, (images, known) in enumerate(self._known(split)):
            with torch.inference_mode():
                parts += look([run(images, number)], known)
            count += len(known.labels)
            if race is not None and count in stops:
                parts = [joined(parts)]
                if race.lost(penalties(parts[0], race.metric), len(stops)):
                    break
        return joined(parts)

    def _runner(self, design: Design, split: str) -> Callable[[Tensor, int], Tensor]:
        """What gives the logits of a batch of `split` and its number."""
        if self._rebuilds(design):
            model = self.bench.quantize(design)
            return lambda images, number: model(images.clone())
        return partial(self._run, self.bench.shell(design), split)

    def _run(
        self, shell: Shell, split: str, images: Tensor, number: int, worth: Callable[[Key], bool] = lambda key: True
    ) -> Tensor:
        self.tensors += shell.program.kept
        return shell.program.run(images, shell.choice, shell.keys, self.traces, (split, number), worth)

    def _together(self, shells: Sequence[Shell], split: str) -> list[Seen]:
        """What is seen of all `shells`."""
        start, seen = perf_counter(), [list[Seen]() for _ in shells]
        for number, (images, known) in enumerate(self._known(split)):
            left = Counter(key for shell in shells for key in shell.kept)  # how often each is still wanted
            logits, waiting = list[Tensor](), iter(seen)
            for shell in shells:
                with torch.inference_mode():
                    logits.append(self._run(shell, split, images, number, lambda key: left[key] > 1))  # noqa: B023
                left.subtract(shell.kept)
                for key in shell.kept:
                    if left[key] == 0:
                        self.traces.drop((split, number, key))
                if shell is shells[-1] or 8 * known.logits.numel() * len(logits) >= TOGETHER_BYTES:
                    for found in look(logits, known):
                        next(waiting).append(found)
                    logits = []
        self.count, self.seconds = self.count + len(shells), self.seconds + perf_counter() - start
        return [joined(own) for own in seen]

    def _rebuilds(self, design: Design) -> bool:
        return any(technique(s).rebuilds and technique(s).sees is Sees.QUANTIZED_INPUTS for s in design.recipe)

    def _batches(self, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        if name not in self.splits:
            raise ValueError(f"no data split {name!r}; known: {', '.join(self.splits)}")
        return self.splits[name].batches(self.batch)

    def _reference(self, name: str) -> Seen:
        """What is seen of the float network."""
        if name not in self._float:
            parts = [seen for _, known in self._known(name) for seen in look([known.logits], known)]
            self._float[name] = joined(parts)
        return self._float[name]

    def _known(self, name: str) -> Iterator[tuple[Tensor, Known]]:
        """The batches of a split with what the float network makes of them, which is computed once where it fits."""
        for number, (images, labels) in enumerate(self._batches(name)):
            known = self._float_logits.get((name, number))
            if known is None:
                with torch.inference_mode():
                    known = Known(labels, self.bench.traced.graph(images.clone()))
                if self._float_bytes + known.logits.nbytes <= FLOAT_BYTES:
                    self._float_bytes += known.logits.nbytes
                    self._float_logits[name, number] = known
            yield images, known


def batch_size(workload: Workload) -> int:
    """Images, or sequences, in a batch: a function of the network alone, because a float sum may depend on it."""
    largest = max([site.elements for site in workload.sites], default=1)
    logits = prod(workload.layers[-1].out_shape) if workload.layers else 1
    least = max(1, min(LEAST_IMAGES, LOGIT_BYTES // (4 * max(largest, logits))))
    return max(least, min(MOST_IMAGES, TENSOR_BYTES // (4 * largest)))
