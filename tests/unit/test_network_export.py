"""Exports: the texts by themselves, and taken by torchao, llm-compressor and transformers where they are installed."""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pindown
from pindown import Subject
from pindown.errors import CheckpointError, DataError, InputError, OutputError
from pindown.network.export import (
    ignore_list,
    llm_compressor_recipe,
    quantised_modules,
    torchao_config,
    write_exports,
)
from pindown.network.pretrained import pretrained, read_tokens
from pindown.network.rounding import TARGETS

# What these packages themselves warn of when they are loaded and used is not ours.
theirs = pytest.mark.filterwarnings("ignore")


class TinyNet(nn.Module):
    """Linear layers of several shapes, an embedding whose weight is the output layer's, a norm and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 32)
        self.up, self.down = nn.Linear(32, 48), nn.Linear(48, 32)
        self.norm = nn.LayerNorm(32)
        self.mix = nn.Conv1d(32, 32, 1)
        self.out = nn.Linear(32, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        h = self.norm(h + self.down(torch.relu(self.up(h))))
        return self.out(self.mix(h.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)


@pytest.fixture(scope="module")
def network() -> tuple[TinyNet, Subject]:
    """Trained a little, so that its weights matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TinyNet()
        x = torch.randint(0, 11, (24, 6))
        y = (x + x.roll(1, 1)) % 11
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(120):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    return model, Subject(model, "cross_entropy", (x, y), name="tiny\nnet")


@pytest.fixture(scope="module")
def planes(network: tuple[TinyNet, Subject]) -> pindown.BitPlanes:
    return pindown.bitplanes(network[1], epsilon=0.01, format="bf16", draws=16)


def test_only_linear_weights_that_are_not_tied_are_exported(planes: pindown.BitPlanes) -> None:
    assert set(quantised_modules(planes)) == {"up", "down"}
    assert ignore_list(planes) == ["out"]
    assert planes["out.weight"].name == "embed.weight"
    assert planes.choice.target["mix.weight"] in (*TARGETS, "own")


def test_the_exported_rise_is_that_of_the_exported_weights(network: tuple[TinyNet, Subject], planes) -> None:
    """By hand: the named weights rounded in a copy of the module, everything else as it is."""
    model, subject = network
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    for name, form in quantised_modules(planes).items():
        state[f"{name}.weight"] = TARGETS[form].round(state[f"{name}.weight"])
    (inputs, targets) = subject.batches().items[0]
    with torch.no_grad():
        after = nn.functional.cross_entropy(torch.func.functional_call(model, state, (inputs,)), targets)
        before = nn.functional.cross_entropy(model(inputs), targets)
    assert planes.choice.exported.value == pytest.approx(float(after - before), abs=2e-6)
    assert planes.choice.exported.kind == "exact"
    assert planes.choice.verified.value <= planes.epsilon


def test_the_texts_say_the_same(planes: pindown.BitPlanes) -> None:
    text, recipe = torchao_config(planes), llm_compressor_recipe(planes)
    ast.parse(text)
    for name, form in quantised_modules(planes).items():
        assert re.search(rf'\("{name}", \w+\(weight_dtype=torch\.\w+', text)
        bits = re.search(rf'targets: \[[^\]]*"{name}"[^\]]*\]\n +weights: {{num_bits: (\d)', recipe)
        assert bits is not None
        assert int(bits[1]) == TARGETS[form].bits
    assert 'ignore: ["out"]' in recipe
    # A name with a line break stays inside its comment.
    assert all(line.startswith("#") for line in text.splitlines()[:3])
    assert "tiny net" in text


def test_files_are_written(planes: pindown.BitPlanes, tmp_path: Path) -> None:
    files = write_exports(planes, tmp_path / "deep" / "folder")
    assert [f.name for f in files] == ["bitplanes.json", "bitplanes.csv", "torchao_config.py", "llm_compressor.yaml"]
    record = json.loads(files[0].read_text(encoding="utf-8"))
    assert pindown.BitPlanes.from_dict(record).to_dict() == planes.to_dict()
    assert files[1].read_text(encoding="utf-8").count("\n") == len(planes.tensors) + 1
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError):
        write_exports(planes, tmp_path / "taken")


def test_a_choice_without_linear_modules_has_no_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.Flatten())
    x = torch.randn(8, 2, 4)
    found = pindown.bitplanes(Subject(model, "mse", (x, model(x).detach())), epsilon=1e-3, format="bf16", draws=8)
    for text in (torchao_config, llm_compressor_recipe):
        with pytest.raises(InputError, match=r"no nn\.Linear"):
            text(found)
    assert [f.name for f in write_exports(found, tmp_path)] == ["bitplanes.json", "bitplanes.csv"]


@theirs
def test_torchao_takes_the_config_and_rounds_to_the_same_weights(network: tuple[TinyNet, Subject], planes) -> None:
    pytest.importorskip("torchao")
    import copy

    from torchao.quantization import FqnToConfig, quantize_

    namespace: dict[str, Any] = {}
    exec(torchao_config(planes), namespace)
    config = namespace["config"]
    assert isinstance(config, FqnToConfig)
    model = copy.deepcopy(network[0])
    quantize_(model, config, filter_fn=None)
    for name, form in quantised_modules(planes).items():
        wanted = TARGETS[form].round(network[0].get_parameter(f"{name}.weight").detach())
        torch.testing.assert_close(model.get_submodule(name).weight.dequantize(), wanted, rtol=1e-5, atol=1e-7)
    assert type(model.out.weight) is nn.Parameter
    with torch.no_grad():
        (inputs, targets) = network[1].batches().items[0]
        after = nn.functional.cross_entropy(model(inputs), targets) - nn.functional.cross_entropy(
            network[0](inputs), targets
        )
    assert float(after) == pytest.approx(planes.choice.exported.value, abs=1e-4)


@theirs
@pytest.mark.parametrize("form", ["int8", "int4", "fp8_e4m3"])
def test_torchao_rounds_as_we_do(form: str) -> None:
    pytest.importorskip("torchao")
    from torchao.quantization import quantize_

    from pindown.network.export import _torchao

    for shape in ((16, 64), (16, 40)):
        linear = nn.Linear(shape[1], shape[0], bias=False)
        weight = linear.weight.detach().clone()
        scope: dict[str, Any] = {}
        exec(
            "import torch\nfrom torchao.quantization import *\nfrom torchao.quantization.granularity import *\n"
            f"config = {_torchao(form, TARGETS[form].grouped(shape))}",
            scope,
        )
        quantize_(linear, scope["config"])
        torch.testing.assert_close(linear.weight.dequantize(), TARGETS[form].round(weight), rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- transformers from a local folder


def tiny_llama(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=64, max_position_embeddings=32, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def tiny_gpt2(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=32, n_head=2, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=1
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 64, (6, 13), generator=torch.Generator().manual_seed(seed))


@theirs
@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2])
def test_a_language_model_from_a_folder(make, tmp_path: Path) -> None:
    """Its loss is the package's own; a tied output layer counts once; every tensor is measured."""
    folder = make(tmp_path / "model")
    from transformers import AutoModelForCausalLM

    subject = pretrained(folder, tokens(), held_out=tokens(1), batch_size=4)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        own = float(model(tokens(), labels=tokens()).loss)
    found = pindown.bitplanes(subject, epsilon=0.05, format="bf16", draws=8, check=False)
    assert found.baseline.value == pytest.approx(own, rel=1e-5)
    assert found.baseline.unit == "nats"
    assert len(found.measured) == len(list(model.parameters()))
    if make is tiny_gpt2:
        assert found["lm_head.weight"].name == "transformer.wte.weight"
        assert not quantised_modules(found)  # its layers are Conv1D, which quantisation packages leave alone
    else:
        assert {"model.layers.0.mlp.up_proj", "lm_head"} & {*quantised_modules(found), *ignore_list(found)}
    assert found.choice.verified.value <= 0.05


@theirs
def test_llm_compressor_takes_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llmcompressor")
    monkeypatch.chdir(tmp_path)
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM

    folder = tiny_llama(tmp_path / "model")
    found = pindown.bitplanes(pretrained(folder, tokens()), epsilon=0.05, format="bf16", draws=8, check=False)
    (tmp_path / "recipe.yaml").write_text(llm_compressor_recipe(found), encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(folder)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    oneshot(model=model, recipe="recipe.yaml")
    modules = quantised_modules(found)
    assert modules
    seen = {n for n, m in model.named_modules() if getattr(m, "quantization_scheme", None) is not None}
    assert seen == set(modules)
    for name in modules:
        scheme = model.get_submodule(name).quantization_scheme.weights
        assert scheme.num_bits == TARGETS[modules[name]].bits
        scale = model.get_submodule(name).weight_scale.float()
        group = TARGETS[modules[name]].grouped(before[f"{name}.weight"].shape)
        rows = before[f"{name}.weight"].reshape(-1, group) if group else before[f"{name}.weight"]
        top = rows.abs().amax(1)
        wanted = top / 448 if modules[name] == "fp8_e4m3" else top / (2 ** (TARGETS[modules[name]].bits - 1) - 0.5)
        torch.testing.assert_close(scale.flatten(), wanted, rtol=1e-2, atol=1e-6)


def test_folders_and_tokens_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        pretrained(tmp_path, tokens())
    with pytest.raises(InputError, match="no file at"):
        read_tokens(tmp_path / "nowhere.pt")
    (tmp_path / "tokens.txt").touch()
    with pytest.raises(InputError, match=r"tokens\.txt"):
        read_tokens(tmp_path / "tokens.txt")
    (tmp_path / "torn.pt").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read"):
        read_tokens(tmp_path / "torn.pt")
    torch.save({"call": print}, tmp_path / "code.pt")
    with pytest.raises(DataError, match="cannot be read"):
        read_tokens(tmp_path / "code.pt")
    torch.save({"a": tokens(), "b": tokens()}, tmp_path / "two.pt")
    with pytest.raises(DataError, match="without a tensor"):
        read_tokens(tmp_path / "two.pt")


def test_tokens_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.torch import save_file

    torch.save(tokens(), tmp_path / "a.pt")
    torch.save({"input_ids": tokens(), "other": torch.ones(2)}, tmp_path / "b.pt")
    np.save(tmp_path / "c.npy", tokens().numpy())
    save_file({"anything": tokens()}, tmp_path / "d.safetensors")
    for file in sorted(os.listdir(tmp_path)):
        assert torch.equal(read_tokens(tmp_path / file), tokens())


@theirs
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.zeros(3, dtype=torch.long), "shape"),
        (torch.zeros(3, 1, dtype=torch.long), "shape"),
        (torch.zeros(3, 4), "type"),
        (torch.full((3, 4), 64), "vocabulary of 64"),
    ],
)
def test_tokens_that_do_not_fit_the_model_are_refused(wrong: torch.Tensor, words: str, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "model")
    with pytest.raises(DataError, match=words):
        pretrained(folder, wrong)


@theirs
def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        pretrained(folder, tokens())
