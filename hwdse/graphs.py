"""Graphs with places to quantise at: watched while they run, and copied with a module at every place."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, fx, nn

from hwdse.trace import Traced

Visit = Callable[[str, Tensor], None]  # a site, and what is computed there, as one vector


def watch(traced: Traced, sites: Iterable[str], images: Tensor, visit: Visit) -> None:
    """Runs the float graph on `images` and shows what it computes at `sites`, each site once, when it is complete.

    The tensors of a site follow each other in one vector. Nothing is kept longer than it is needed.
    """
    _Watcher(traced, set(sites), visit).run(images.clone())  # a network may work in place


class _Watcher(fx.Interpreter):
    def __init__(self, traced: Traced, sites: set[str], visit: Visit) -> None:
        super().__init__(traced.graph)
        self._sites = {site: list(nodes) for site, nodes in traced.taps.items() if site in sites}
        self._seen: dict[str, list[Tensor]] = {site: [] for site in self._sites}
        self._visit = visit

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        for site, nodes in self._sites.items():
            if n in nodes:
                self._show(site, result)
        return result

    def _show(self, site: str, tensor: Tensor) -> None:
        if len(self._sites[site]) == 1:
            self._visit(site, tensor.reshape(-1))
            return
        self._seen[site].append(tensor.reshape(-1).clone())  # what follows may overwrite it
        if len(self._seen[site]) == len(self._sites[site]):
            self._visit(site, torch.cat(self._seen.pop(site)))


def site_path(traced: Traced, site: str) -> str:
    """The path of the module of `site` in the graphs of `with_sites`."""
    return f"quant_{list(traced.taps).index(site)}"


def with_sites(traced: Traced) -> fx.GraphModule:
    """A copy of the graph with an (empty) module called at every place where activations are quantised."""
    model = deepcopy(traced.graph)
    nodes = {node.name: node for node in model.graph.nodes}
    for site, tapped in traced.taps.items():
        path = site_path(traced, site)
        model.add_submodule(path, nn.Identity())
        for original in tapped:
            node = nodes[original.name]
            with model.graph.inserting_after(node):
                quantised = model.graph.call_module(path, (node,))
            if site in traced.operands:
                layer, position = traced.operands[site]
                _replace_operand(nodes[layer.name], position, quantised)
            else:
                node.replace_all_uses_with(quantised, delete_user_cb=lambda user, q=quantised: user is not q)
    model.recompile()
    return model


def _replace_operand(layer: fx.Node, position: int, new: fx.Node) -> None:
    """Makes `new` the operand number `position` of `layer`, counted as `trace` counts them."""
    count = -1

    def swap(arg: fx.Node) -> fx.Node:
        nonlocal count
        count += 1
        return new if count == position else arg

    layer.args, layer.kwargs = fx.map_arg((layer.args, layer.kwargs), swap)


def copied(traced: Traced) -> Traced:
    """The same with modules of its own."""
    graph = deepcopy(traced.graph)
    nodes: Mapping[str, fx.Node] = {node.name: node for node in graph.graph.nodes}
    taps = {site: tuple(nodes[n.name] for n in tapped) for site, tapped in traced.taps.items()}
    operands = {site: (nodes[n.name], at) for site, (n, at) in traced.operands.items()}
    layers = {layer: nodes[n.name] for layer, n in traced.nodes.items()}
    return Traced(graph, traced.workload, taps, operands, traced.layers, layers)
