"""A network as a list of steps that run with any quantisers, and share what designs have in common.

What a step computes depends on its images and on the choices upstream of it. So every quantised tensor has a key, made
of these choices, and a design that agrees with an earlier one on everything upstream of a tensor takes it from a cache
and pays only for what follows. ReLUs are part of the quantiser after them, and a tensor that nobody else reads is
quantised where it lies. The numbers are those of the graph run step by step, bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from inspect import signature
from math import inf
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, fx, nn

from hwdse.bounded import Bounded
from hwdse.graphs import site_path, with_sites
from hwdse.operators import ADDS, FOLDS, KINDS, MOVES
from hwdse.trace import Traced

Key = bytes  # of a tensor: what it depends on beside the images
Traces = Bounded[tuple[str, int, Key], Tensor]  # split, number of the batch, key

CLAMPS: Mapping[Any, tuple[float, float]] = {
    nn.ReLU: (0.0, inf),
    F.relu: (0.0, inf),
    torch.relu: (0.0, inf),
    "relu": (0.0, inf),
    nn.ReLU6: (0.0, 6.0),
    F.relu6: (0.0, 6.0),
}


class Quantise(Protocol):
    """A calibrated quantiser of activations; its name says all that it does."""

    @property
    def name(self) -> str:
        """Of the quantiser; equal names at one site are equal functions."""

    def __call__(self, x: Tensor, *, inside: tuple[float, float] = (-inf, inf), in_place: bool = False) -> Tensor:
        """`x` clamped to `inside` and quantised; `in_place` allows to write over `x`."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a layer multiplies with and adds; `name` says how they were made of the float network."""

    name: str
    weight: Tensor
    bias: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.weight.nbytes + (0 if self.bias is None else self.bias.nbytes)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The quantisers of every site and the weights of every layer that has some."""

    sites: Mapping[str, Quantise]
    layers: Mapping[str, Weights]


Call = Callable[[list[Any], Choice], Any]  # from the values so far, by number of the step


@dataclass(slots=True, eq=False)
class _Step:
    node: fx.Node
    call: Call
    inputs: tuple[int, ...]
    site: str | None = None
    layer: str | None = None
    kept: bool = False  # its value is worth a place in a cache
    last_of: list[int] = field(default_factory=list)  # whose values nobody needs any more

    def chosen(self, sites: Mapping[str, str], layers: Mapping[str, str]) -> str:
        if self.site is not None:
            return sites[self.site]
        return "" if self.layer is None else layers[self.layer]


class Program:
    """The steps of a traced network."""

    def __init__(self, traced: Traced, name: str = "") -> None:
        """`name` says what the float network is: networks with other names share no tensor."""
        self._name = name
        self._model = with_sites(traced)
        self._modules = dict(self._model.named_modules())
        self._sites = {site_path(traced, site): site for site in traced.taps}
        self._layers = {path: name for name, path in traced.layers.items()}
        self.shares = not any(self._overwrites(node) for node in self._model.graph.nodes)
        self.steps: list[_Step] = []
        self._number: dict[fx.Node, int] = {}
        for node in self._model.graph.nodes:
            self._add(node)
        self._find_last_uses()
        self.kept = sum(step.kept for step in self.steps)  # values that are worth a place in a cache

    # ---- running -----------------------------------------------------------------------------

    def keys(self, sites: Mapping[str, str], layers: Mapping[str, str]) -> list[Key]:
        """Of the value of every step, from the names of the choices at every site and layer."""
        keys: list[Key] = []
        for number, step in enumerate(self.steps):
            text = f"{self._name} {number} {step.chosen(sites, layers)}".encode()
            keys.append(blake2b(b"".join((text, *(keys[i] for i in step.inputs))), digest_size=16).digest())
        return keys

    def layer_keys(self, sites: Mapping[str, str], layers: Mapping[str, str]) -> dict[str, Key]:
        """Of the output of every layer with weights: of what it has chosen and of all that is upstream."""
        keys = self.keys(sites, layers)
        return {step.layer: keys[number] for number, step in enumerate(self.steps) if step.layer is not None}

    def run(
        self,
        images: Tensor,
        choice: Choice,
        keys: Sequence[Key] = (),
        traces: Traces | None = None,
        place: tuple[str, int] = ("", 0),
        worth: Callable[[Key], bool] = lambda key: True,
    ) -> Tensor:
        """The logits of `images` (float32, n x C x H x W; not changed).

        With `traces`, tensors are taken from there and kept there, if `worth` says that one is worth it;
        `place` names the images, `keys` are those of `choice`.
        """
        values: list[Any] = [None] * len(self.steps)
        wanted = self._wanted(values, keys, traces, place)
        for number, step in enumerate(self.steps):
            if not wanted[number]:
                continue
            if step.node.op == "placeholder":
                values[number] = images if self.shares else images.clone()
            elif values[number] is None:
                values[number] = step.call(values, choice)
                if traces is not None and step.kept and worth(keys[number]):
                    traces.put((*place, keys[number]), values[number])
            for done in step.last_of:
                values[done] = None
        logits: Tensor = values[-1]
        return logits

    def _wanted(
        self, values: list[Any], keys: Sequence[Key], traces: Traces | None, place: tuple[str, int]
    ) -> list[bool]:
        """The steps that have to run; what `traces` has is put into `values`."""
        wanted = [False] * len(self.steps)
        wanted[-1] = True
        for number in range(len(self.steps) - 1, -1, -1):
            step = self.steps[number]
            if not wanted[number]:
                continue
            if traces is not None and step.kept:
                values[number] = traces.get((*place, keys[number]))
            if values[number] is None:
                for i in step.inputs:
                    wanted[i] = True
        return wanted

    # ---- making the steps --------------------------------------------------------------------

    def _add(self, node: fx.Node) -> None:
        if node in self._number or self._clamp_before_site(node):
            return
        self._number[node] = len(self.steps)
        site, layer = self._sites.get(str(node.target)), self._layers.get(str(node.target))
        call, needed = self._site(node) if site is not None else self._other(node, layer)
        self.steps.append(_Step(node, call, tuple(self._number[n] for n in needed), site, layer, self._kept(node)))

    def _site(self, node: fx.Node) -> tuple[Call, Sequence[fx.Node]]:
        source, inside = node.all_input_nodes[0], (-inf, inf)
        if self._clamp_before_site(source):
            inside = CLAMPS[self._target(source)]
            source = source.all_input_nodes[0]
        at, site, mine = self._number[source], self._sites[str(node.target)], self.shares and self._made_for_one(source)
        return lambda values, choice: choice.sites[site](values[at], inside=inside, in_place=mine), (source,)

    def _other(self, node: fx.Node, layer: str | None) -> tuple[Call, Sequence[fx.Node]]:
        needed = node.all_input_nodes
        if node.op == "get_attr":
            constant = _attribute(self._model, str(node.target))
            return lambda values, choice: constant, ()
        if layer is not None:
            return self._weighted(node, layer), needed
        if node.op == "output":
            (result,) = needed
            at = self._number[result]
            return lambda values, choice: values[at], needed
        return self._plain(node), needed

    def _weighted(self, node: fx.Node, layer: str) -> Call:
        at, module = self._number[node.all_input_nodes[0]], self._modules[str(node.target)]
        if isinstance(module, nn.Linear):

            def linear(values: list[Any], choice: Choice) -> Tensor:
                own = choice.layers[layer]
                return F.linear(values[at], own.weight, own.bias)

            return linear
        assert isinstance(module, nn.Conv2d)
        place: Any = (module.stride, module.padding, module.dilation, module.groups)

        def convolution(values: list[Any], choice: Choice) -> Tensor:
            own = choice.layers[layer]
            return torch.conv2d(values[at], own.weight, own.bias, *place)

        return convolution

    def _plain(self, node: fx.Node) -> Call:
        """Any other node, called as `torch.fx` calls it."""
        numbers, target, modules = self._number, node.target, self._modules

        def arguments(values: list[Any]) -> tuple[Any, Any]:
            return fx.map_arg((node.args, node.kwargs), lambda n: values[numbers[n]])

        if node.op == "placeholder":
            return lambda values, choice: None
        if node.op == "call_method":
            return lambda values, choice: _method(str(target), *arguments(values))
        function: Any = modules[str(target)].forward if node.op == "call_module" else target
        if len(node.args) == 1 and isinstance(node.args[0], fx.Node) and not node.kwargs:
            at = numbers[node.args[0]]
            return lambda values, choice: function(values[at])
        return lambda values, choice: _function(function, *arguments(values))

    def _find_last_uses(self) -> None:
        last: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            last |= dict.fromkeys(step.inputs, number)
        for value, step_number in last.items():
            self.steps[step_number].last_of.append(value)

    # ---- what may be done with a node --------------------------------------------------------

    def _target(self, node: fx.Node) -> Any:
        return type(self._modules[str(node.target)]) if node.op == "call_module" else node.target

    def _clamp_before_site(self, node: fx.Node) -> bool:
        """Whether `node` is a ReLU that only a quantiser reads: it becomes part of that."""
        if not self.shares or not node.op.startswith("call") or self._target(node) not in CLAMPS:
            return False
        plain = len(node.all_input_nodes) == 1 and len(node.args) == 1
        (user, *others) = node.users or (node,)
        return plain and not others and user.op == "call_module" and str(user.target) in self._sites

    def _kept(self, node: fx.Node) -> bool:
        """Whether `node` is where the network can be cut: it is read by several, or quantises what is not kept."""
        if not self.shares:
            return False
        if str(node.target) in self._sites:
            source = node.all_input_nodes[0]
            return self._clamp_before_site(source) or not self._kept(source)
        return len(node.users) > 1 and self._new(node)

    def _new(self, node: fx.Node) -> bool:
        """Whether `node` makes a tensor, unlike what only shows another one."""
        return node.op.startswith("call") and self._target(node) in KINDS.keys() | ADDS | FOLDS

    def _made_for_one(self, node: fx.Node) -> bool:
        """Whether `node` makes a new tensor that only one node reads."""
        return self._new(node) and len(node.users) == 1

    def _overwrites(self, node: fx.Node) -> bool:
        """Whether `node` works in place on what others read too, so that nothing of the network can be shared."""
        if not node.op.startswith("call") or not self._in_place(node) or not node.all_input_nodes:
            return False
        changed = node.all_input_nodes[0]
        while changed.op.startswith("call") and self._target(changed) in MOVES and len(changed.users) == 1:
            changed = changed.all_input_nodes[0]
        return not self._new(changed) or len(changed.users) > 1

    def _in_place(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return bool(getattr(self._modules[str(node.target)], "inplace", False))
        if node.op == "call_method":
            return _named_in_place(str(node.target))
        return _named_in_place(getattr(node.target, "__name__", "")) or _told_in_place(node)


def _named_in_place(name: str) -> bool:
    return name in ("iadd", "isub", "imul", "itruediv") or (name.endswith("_") and not name.endswith("__"))


def _told_in_place(node: fx.Node) -> bool:
    """Whether an argument `inplace` of the function that `node` calls is true."""
    if node.kwargs.get("inplace"):
        return True
    try:
        names = list(signature(node.target).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a built-in function, which has no such argument
        return False
    at = names.index("inplace") if "inplace" in names else len(node.args)
    return at < len(node.args) and bool(node.args[at])


def _attribute(model: nn.Module, path: str) -> Tensor:
    *owners, name = path.split(".")
    value: Tensor = getattr(model.get_submodule(".".join(owners)), name)
    return value.detach()


def _method(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return getattr(args[0], name)(*args[1:], **kwargs)


def _function(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return function(*args, **kwargs)
