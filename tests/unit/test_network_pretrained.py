"""Models of the package transformers, built from a config, saved to a folder and loaded from there; no network."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

import pindown
from pindown.errors import DataError, InputError
from pindown.network.pretrained import load_pretrained
from pindown.spaces.network import Normal, Weights

needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra hf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import GPT2Config, GPT2LMHeadModel

        config = GPT2Config(
            vocab_size=11,
            n_positions=8,
            n_embd=16,
            n_layer=2,
            n_head=2,
            bos_token_id=0,
            eos_token_id=0,
            resid_pdrop=0.1,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            GPT2LMHeadModel(config).save_pretrained(path)
    return path


@needs_transformers
def test_a_language_model_from_a_folder(folder: Path) -> None:
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 11, (12, 6), generator=g)
    state = torch.get_rng_state()
    subject = pindown.pretrained(folder, tokens, held_out=tokens[:4], name="tiny", batch_size=5)
    assert torch.equal(state, torch.get_rng_state())
    assert subject.labels == 12 * 5
    assert subject.held_out_size == 4
    assert subject.classes == 11
    model = load_pretrained(folder)
    assert not model.training
    assert subject.space().dim == sum(p.numel() for p in model.parameters())  # tied weights once
    assert "lm_head.weight" not in subject.space().names
    with torch.no_grad():
        logits = model(input_ids=tokens[:, :-1]).logits
    wanted = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert float(subject.losses(subject.solutions[0].point[None])) == pytest.approx(float(wanted), rel=1e-4)
    found = pindown.noise_tolerance(
        subject, epsilon=0.02, include="transformer.h.*", tensors=False, accuracy=0.3, draws=16
    )
    assert found.joint.weights < subject.space().dim
    assert (
        pindown.pruning(subject, epsilon=0.02, include="transformer.h.1.mlp.*.weight", draws=0).tensors[0].weights
        == 1024
    )


@needs_transformers
def test_its_initialisation_is_read_from_the_model(folder: Path) -> None:
    """GPT-2: N(0, 0.02²), and 0.02/√(2·layers) for what feeds the residual path (Radford et al. 2019, section 2.3)."""
    model = load_pretrained(folder)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    space = Weights(model)
    stds = {p.name: p.prior.std for p in space.parameters if isinstance(p.prior, Normal)}
    assert stds["transformer.h.0.attn.c_attn.weight"] == pytest.approx(0.02, rel=0.01)
    assert stds["transformer.wte.weight"] == pytest.approx(0.02, rel=0.01)
    for name in ("attn", "mlp"):
        assert stds[f"transformer.h.1.{name}.c_proj.weight"] == pytest.approx(0.02 / 2.0, rel=0.01)
    ones = next(p for p in space.parameters if p.name == "transformer.ln_f.weight")
    assert "a constant" in ones.source
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


@needs_transformers
def test_what_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="type"):
        pindown.pretrained(folder, torch.zeros(3, 4))
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"]}')
    with pytest.raises(InputError, match="NoSuchModel"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(InputError, match="its weights"):
        load_pretrained(tmp_path)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    with pytest.raises(InputError, match=r"pindown\[hf\]"):
        load_pretrained(tmp_path)
    with pytest.raises(InputError, match="no config"):
        load_pretrained(tmp_path / "none")
