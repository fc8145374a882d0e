"""Small modules of every kind that an audit may meet, each with data that fit it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from pindown.spaces.network import Normal

N = 12
CLASSES = 4


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.core = kind(5, 6, batch_first=True, **options)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.core(x)[0][:, -1])


class TiedLanguageModel(nn.Module):
    """Embedding with a padding row, a transformer layer with dropout, and an output layer tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8, padding_idx=0)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.out = nn.Linear(8, 9)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.block(self.embed(x)))[:, :, :CLASSES].mean(1)


class Residual(nn.Module):
    """A forward of its own, with a parameter that only an override gives a prior."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 7), nn.Linear(7, CLASSES)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.sin(self.a(x)) * self.gain)


def _conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.GroupNorm(1, 3),
        nn.PReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 25, CLASSES),
    )  # fmt: skip


def _frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, CLASSES))
    model[0].weight.requires_grad_(False)
    return model


class TiedEncoder(nn.Module):
    """One attention layer used twice, so that its weights are tied by use, and a linear one tied by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(5, 8), nn.Linear(8, 5, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, CLASSES)
        self.again = self.attention

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x) + nn.functional.linear(self.down(self.up(x)), self.up.weight)
        for layer in (self.attention, self.again):
            h = self.norm(h + layer(h, h, h, need_weights=False)[0])
        return self.head(h.mean(1))


def _lightning() -> nn.Module:
    """A Lightning module after a training run, with its trainer still attached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, at import and about missing loggers
        import lightning

        class Lit(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.save_hyperparameters()
                self.net = nn.Sequential(
                    nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, CLASSES)
                )

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x)

            def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
                loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
                self.log("loss", loss)
                return loss

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.Adam(self.parameters(), 1e-2)

        model = Lit()
        data = torch.utils.data.TensorDataset(torch.randn(24, 5), torch.randint(0, CLASSES, (24,)))
        trainer = lightning.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu",
        )  # fmt: skip
        trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=8))
        return model


class LastToken(nn.Module):
    """A GPT-2 built from a config, saved to a folder and loaded from there, as a classifier of short texts."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from transformers import GPT2Config, GPT2LMHeadModel

            config = GPT2Config(
                vocab_size=9, n_positions=4, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
            )
            with tempfile.TemporaryDirectory() as folder:
                GPT2LMHeadModel(config).save_pretrained(folder)
                self.core = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True, attn_implementation="eager")

    def forward(self, x: Tensor) -> Tensor:
        return self.core(input_ids=x).logits[:, -1, :CLASSES]


@dataclass(frozen=True)
class Case:
    """A module, the shape of its inputs (integers below 9 where ``tokens``), and what Subject is told."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    path: str
    tokens: bool = False
    prior: Any = None

    def build(self, seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
        g = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.make()
        if self.tokens:
            x = torch.randint(0, 9, (N, *self.shape), generator=g)
        else:
            x = torch.randn((N, *self.shape), generator=g)
        return model, x, torch.randint(0, CLASSES, (N,), generator=g)


ZOO = [
    Case("linear", lambda: nn.Linear(5, CLASSES), (5,), "layered"),
    Case(
        "perceptron",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 7), nn.GELU(), nn.Dropout(0.1), nn.Linear(7, CLASSES)),
        (2, 3),
        "layered",
    ),
    Case("frozen part", _frozen, (5,), "vmap"),
    Case("convolution", _conv, (2, 6, 6), "vmap"),
    Case(
        "layer norm",
        lambda: nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.RMSNorm(8), nn.SiLU(), nn.Linear(8, CLASSES)),
        (5,),
        "vmap",
    ),
    Case("residual", Residual, (5,), "vmap", prior={"gain": Normal(1.0, 0.5)}),
    Case("tied transformer", TiedLanguageModel, (3,), "vmap", tokens=True),
    Case("attention used twice", TiedEncoder, (3, 5), "vmap"),
    Case("rnn", lambda: Recurrent(nn.RNN), (3, 5), "loop"),
    Case("lstm", lambda: Recurrent(nn.LSTM, num_layers=2), (3, 5), "loop"),
    Case("gru", lambda: Recurrent(nn.GRU, bias=False), (3, 5), "loop"),
]
if find_spec("lightning") is not None:
    ZOO.append(Case("lightning", _lightning, (5,), "vmap"))
if find_spec("transformers") is not None:
    # Its own initialisation is read by drawing, which takes seconds: see test_network_pretrained.
    ZOO.append(Case("transformers", LastToken, (3,), "vmap", tokens=True, prior=Normal(0.0, 0.2)))
