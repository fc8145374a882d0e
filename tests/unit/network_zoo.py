"""Small modules of every kind that an audit may meet, each with data that fit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    Case("rnn", lambda: Recurrent(nn.RNN), (3, 5), "loop"),
    Case("lstm", lambda: Recurrent(nn.LSTM, num_layers=2), (3, 5), "loop"),
    Case("gru", lambda: Recurrent(nn.GRU, bias=False), (3, 5), "loop"),
]
