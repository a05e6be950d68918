"""Models: built in, from torchvision and from anybody's code, with checkpoints that are checked."""

import os
import pickle
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, fx, nn

from hwdse import zoo
from hwdse.data import DataSpec
from hwdse.data import load as load_data
from hwdse.models import ModelSpec, known_models, load
from tests.hwdse.real_data import cifar

INPUTS = {name: (1, 8, 8) for name in known_models() if name.startswith("digits-")} | {
    "cifar-resnet20": (3, 32, 32),
    "finn-cnv": (3, 32, 32),
    "finn-tfc": (1, 28, 28),
}
DIGITS = [name for name in known_models() if name.startswith("digits-")]
SHIPPED = zoo.WEIGHTS / "digits-mlp.safetensors"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost small networks more than they bring them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def state() -> dict[str, Tensor]:
    """The tensors of the shipped digits-mlp."""
    return load_file(SHIPPED)


def message_of(spec: ModelSpec) -> str:
    """What loading `spec` says, on one line."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        load(spec)
    return str(caught.value)


# ---- built in --------------------------------------------------------------------------------


def test_known() -> None:
    digits = ("digits-cnn", "digits-mlp", "digits-resnet", "digits-vit")
    assert known_models() == ("cifar-resnet20", *digits, "finn-cnv", "finn-tfc", "text-lm")


def test_unknown_lists_known() -> None:
    known = f"{', '.join(known_models())}, torchvision:NAME, huggingface:NAME, package.module:callable"
    with pytest.raises(ValueError, match=f"^no model 'digits'; known: {known}$"):
        ModelSpec("digits")
    with pytest.raises(ValueError, match=f"^no built-in network 'digits'; known: {', '.join(known_models())}$"):
        zoo.build("digits")


@pytest.mark.parametrize("name", INPUTS)
def test_every_network_is_traced_with_each_module_used_once(name: str) -> None:
    torch.manual_seed(0)
    model = zoo.build(name).eval()
    graph = fx.symbolic_trace(model)
    calls = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    leaves = {path for path, module in model.named_modules() if not list(module.children())}
    assert calls == Counter(leaves)
    images = torch.rand(2, *INPUTS[name])
    assert torch.equal(graph(images), model(images))
    assert model(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "parameters"),
    # ResNet-20 has 0.27 M in table 6 of He et al. 2016.
    [
        ("digits-mlp", 8_970),
        ("digits-cnn", 18_762),
        ("digits-resnet", 38_266),
        ("digits-vit", 39_514),
        ("cifar-resnet20", 269_722),
        ("finn-cnv", 1_542_848 + 2 * 1_920),  # weights without those of batch norms: 1.54 M in FINN's CNV
        ("text-lm", 875_520),
        ("finn-tfc", 59_008 + 2 * 192),  # 59,008 in FINN's TFC
    ],
)
def test_sizes(name: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in zoo.build(name).parameters()) == parameters


@pytest.mark.parametrize("name", DIGITS)
def test_digits_networks_come_trained_and_in_evaluation_mode(name: str) -> None:
    model = load(ModelSpec(name))
    assert not any(module.training for module in model.modules())
    shipped = load_file(zoo.WEIGHTS / f"{name}.safetensors")
    assert model.state_dict().keys() == shipped.keys()
    assert all(torch.equal(tensor, shipped[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ["cifar-resnet20", "finn-cnv", "finn-tfc"])
def test_other_networks_need_a_checkpoint(name: str) -> None:
    message = f"^the model {name} has no weights of its own: name a checkpoint$"
    with pytest.raises(ValueError, match=message):
        load(ModelSpec(name))


def test_real_resnet20_reaches_its_accuracy() -> None:
    source = cifar()
    model = load(ModelSpec("cifar-resnet20", source / "resnet20-12fca82f.th"))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    other = source / "train-1000.npz"
    data = load_data(DataSpec("archive", source / "test-3000.npz", other, search=1000, mean=mean, std=std))
    with torch.inference_mode():
        right = [
            int((model(images).argmax(1) == labels).sum())
            for split in (data.search, data.test)
            for images, labels in split.batches(100)
        ]
    assert f"{100 * sum(right) / 3000:.2f}" == "81.03"  # as the note beside the images says


# ---- checkpoints -----------------------------------------------------------------------------


def save_safetensors(tensors: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "a.safetensors"
    save_file(tensors, path)
    return path


def save_torch(content: object, folder: Path, suffix: str = ".pt") -> Path:
    path = folder / f"a{suffix}"
    torch.save(content, path)
    return path


def prefixed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "save",
    [
        save_safetensors,
        save_torch,
        lambda tensors, folder: save_torch(tensors, folder, ".th"),
        lambda tensors, folder: save_torch({"state_dict": tensors, "best_prec1": 97.7}, folder, ".pth"),
        lambda tensors, folder: save_torch({"state_dict": prefixed(tensors)}, folder),
        lambda tensors, folder: save_safetensors(prefixed(tensors), folder),
    ],
    ids=["safetensors", "pt", "th", "state_dict", "state_dict module.", "safetensors module."],
)
def test_checkpoints_load(save: Callable[[dict[str, Tensor], Path], Path], tmp_path: Path) -> None:
    tensors = {name: tensor + 1 for name, tensor in state().items()}
    model = load(ModelSpec("digits-mlp", save(tensors, tmp_path)))
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


def test_the_counters_of_batch_norms_may_lack(tmp_path: Path) -> None:
    tensors = load_file(zoo.WEIGHTS / "digits-cnn.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    model = load(ModelSpec("digits-cnn", save_safetensors(tensors, tmp_path)))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())


class Attack:
    """A pickle that makes the folder `path` when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th"])
@pytest.mark.parametrize("raw", [True, False], ids=["bare pickle", "torch.save"])
@pytest.mark.parametrize("inside", [lambda x: x, lambda x: {"state_dict": x}, lambda x: {**state(), "fc9.weight": x}])
def test_a_checkpoint_runs_no_code(suffix: str, raw: bool, inside: Callable[[object], object], tmp_path: Path) -> None:
    mark, path = tmp_path / "executed", tmp_path / f"a{suffix}"
    content = inside(Attack(mark))
    if raw:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    found = message_of(ModelSpec("digits-mlp", path))
    assert found == f"a checkpoint is intact and holds no code to run, unlike {path}"
    assert not mark.exists()
    if raw:
        pickle.loads(path.read_bytes())
        assert mark.exists(), "the attack works where pickle is trusted"


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    path = save_torch(zoo.build("digits-mlp"), tmp_path)
    assert (
        message_of(ModelSpec("digits-mlp", path)) == f"a checkpoint is intact and holds no code to run, unlike {path}"
    )


def changed(**tensors: Tensor | None) -> dict[str, Tensor]:
    """The weights of digits-mlp with some replaced or, by None, left out; `__` stands for a dot."""
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in (state() | named).items() if tensor is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: changed(fc1__bias=None), "a checkpoint of digits-mlp holds all its tensors, but {p} lacks 'fc1.bias'"),
        (
            lambda: changed(fc1__bias=None, fc1__weight=None, fc2__bias=None),
            "a checkpoint of digits-mlp holds all its tensors, but {p} lacks 'fc1.weight' and 2 more",
        ),
        (
            lambda: changed(fc4__bias=torch.zeros(1)),
            "a checkpoint of digits-mlp holds its tensors alone, but {p} has 'fc4.bias'",
        ),
        (
            lambda: changed(fc1__bias=torch.zeros(3, 2)),
            "the shape of 'fc1.bias' in digits-mlp is [64], not [3, 2] as in {p}",
        ),
        (
            lambda: changed(fc1__bias=torch.full((64,), torch.nan)),
            "a checkpoint holds finite numbers, unlike 'fc1.bias' of {p}",
        ),
    ],
)
@pytest.mark.parametrize("save", [save_safetensors, save_torch])
def test_a_checkpoint_of_another_network(
    save: Callable[[dict[str, Tensor], Path], Path],
    content: Callable[[], dict[str, Tensor]],
    message: str,
    tmp_path: Path,
) -> None:
    path = save(content(), tmp_path)
    assert message_of(ModelSpec("digits-mlp", path)) == message.format(p=path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a checkpoint is a table of tensors, not list as in {p}"),
        ({"epoch": 3}, "a checkpoint is a table of tensors, unlike 'epoch' of {p}"),
        ({0: torch.zeros(1)}, "a checkpoint is a table of tensors, unlike 0 of {p}"),
        ({"state_dict": torch.zeros(1)}, "a checkpoint is a table of tensors, not Tensor as in {p}"),
    ],
)
def test_a_checkpoint_that_is_no_table(content: object, message: str, tmp_path: Path) -> None:
    path = save_torch(content, tmp_path)
    assert message_of(ModelSpec("digits-mlp", path)) == message.format(p=path)


@pytest.mark.parametrize("size", [0, 1, 100, 3000, -1])
def test_a_corrupt_checkpoint(size: int, tmp_path: Path) -> None:
    for path, rule in (
        (save_safetensors(state(), tmp_path), "a .safetensors checkpoint is intact"),
        (save_torch(state(), tmp_path), "a checkpoint is intact and holds no code to run"),
    ):
        path.write_bytes(path.read_bytes()[:size])
        assert message_of(ModelSpec("digits-mlp", path)) == f"{rule}, unlike {path}"


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    assert message_of(ModelSpec("digits-mlp", path)) == f"no checkpoint {path}"


def test_a_checkpoint_of_an_unknown_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    rule = "a checkpoint is a .safetensors, .pt, .pth or .th file"
    assert message_of(ModelSpec("digits-mlp", path)) == f"{rule}, not {path}"


# ---- the user's own --------------------------------------------------------------------------

OWN = """
from torch import nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 3)

def net():
    return Net()

def no_network():
    return 3

def broken():
    raise KeyError("width")

number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a module `own_net` in it, which is not on the Python path."""
    (tmp_path / "own_net.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import no_such_package")
    (tmp_path / "own_script.py").write_text("raise SystemExit(3)")
    (tmp_path / "own_typo.py").write_text("def net(:")
    monkeypatch.chdir(tmp_path)
    for name in ("own_net", "own_broken", "own_script", "own_typo"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["own_net:Net", "own_net:net"])
def test_own_networks(name: str) -> None:
    before = list(sys.path)
    model = load(ModelSpec(name))
    assert type(model).__name__ == "Net"
    assert not model.training
    assert sys.path == before


def test_own_networks_take_a_checkpoint(own: Path) -> None:
    tensors = {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    model = load(ModelSpec("own_net:net", save_torch(tensors, own)))
    assert torch.equal(model(torch.ones(1, 2)), torch.full((1, 3), 3.0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_nets:net", "the model 'own_nets:net' is on the Python path or in {d}, but there is no module 'own_nets'"),
        (
            "own_broken:net",
            "the model 'own_broken:net' is on the Python path or in {d}, but there is no module 'no_such_package'",
        ),
        (
            "own_typo:net",
            "the module of the model 'own_typo:net' could not be imported: SyntaxError: invalid syntax"
            " (own_typo.py, line 1)",
        ),
        ("own_script:net", "the module of the model 'own_script:net' could not be imported: SystemExit: 3"),
        ("own_net:nat", "the module 'own_net' has no callable 'nat' for the model 'own_net:nat'"),
        ("own_net:number", "the module 'own_net' has no callable 'number' for the model 'own_net:number'"),
        ("own_net:", "the module 'own_net' has no callable '' for the model 'own_net:'"),
        (":net", "the module of the model ':net' could not be imported: ValueError: Empty module name"),
        ("own_net:broken", "the model 'own_net:broken' could not be built: KeyError: 'width'"),
        ("own_net:no_network", "a model is a torch.nn.Module, not int as 'own_net:no_network' returned"),
    ],
)
def test_bad_own_networks(name: str, message: str, own: Path) -> None:
    assert message_of(ModelSpec(name)) == message.format(d=own)


# ---- torchvision -----------------------------------------------------------------------------


class Weights(Enum):
    """Stands for an enumeration of torchvision's weights."""

    IMAGENET1K_V1 = 1
    IMAGENET1K_V2 = 2

    def get_state_dict(self, *, check_hash: bool, weights_only: bool) -> dict[str, Tensor]:
        """What torchvision passes on to `torch.hub.load_state_dict_from_url`."""
        assert check_hash
        assert weights_only
        if self is Weights.IMAGENET1K_V2:
            raise OSError("no network\nat all")
        return {}


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the four functions of `torchvision.models` that are called, and the model `resnet18`."""

    def get_model(name: str, *, weights: Weights | None) -> nn.Module:
        assert name == "resnet18"
        layer = nn.Linear(1, 1)
        nn.init.constant_(layer.weight, 0 if weights is None else weights.value)
        return layer

    package, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    vars(models).update(
        list_models=lambda *, module: ["resnet18", "vit_b_32"] if module is models else [],
        get_model_weights={"resnet18": Weights}.__getitem__,
        get_model=get_model,
    )
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


@pytest.mark.usefixtures("torchvision")
def test_torchvision_models(tmp_path: Path) -> None:
    model: Any = load(ModelSpec("torchvision:resnet18"))
    assert (model.weight.item(), model.training) == (1, False)
    tensors = {"weight": torch.full((1, 1), 7.0), "bias": torch.zeros(1)}
    model = load(ModelSpec("torchvision:resnet18", save_torch(tensors, tmp_path)))
    assert model.weight.item() == 7


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet19", "no torchvision model 'resnet19'; known: resnet18, vit_b_32"),
        (
            "torchvision:resnet18:V3",
            "no weights 'V3' of torchvision's resnet18; known: IMAGENET1K_V1, IMAGENET1K_V2",
        ),
        (
            "torchvision:resnet18:IMAGENET1K_V2",
            "no weights IMAGENET1K_V2 of torchvision's resnet18: OSError: no network",
        ),
    ],
)
def test_bad_torchvision_models(name: str, message: str) -> None:
    assert message_of(ModelSpec(name)) == message


def test_torchvision_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it is an ImportError
    message = "the model 'torchvision:resnet18' needs a torchvision that fits torch: pip install torchvision"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(ModelSpec("torchvision:resnet18"))
