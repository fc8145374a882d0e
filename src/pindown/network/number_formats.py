r"""Number formats of weights: how a number becomes a code of n bits, which bit means what, and back.

A format turns a weight tensor into integer codes and codes into weights. Planes are counted from the low end: plane 0
is the last bit of the mantissa, plane n − 1 the sign. The floating-point formats are those of IEEE 754 (binary32,
binary16), bfloat16, and the two 8-bit formats of Micikevicius et al. 2022 (FP8 formats for deep learning), which hold
:math:`w / s` with one scale a tensor, :math:`s = \max|w| / 240` for e4m3 and :math:`\max|w| / 57344` for e5m2:
the largest numbers of a binade in which every mantissa is a number. Fixed point with n bits is relative to the root
mean square of the tensor:

.. math:: w \approx (c - 2^{n-1})\,\Delta, \qquad \Delta = 8\,\mathrm{RMS}(w) / 2^{n-1}, \qquad 0 \le c < 2^n

so that its range is ±8 RMS, beyond which codes saturate, and plane p is worth :math:`2^p \Delta`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pindown.errors import InputError

__all__ = ["FORMATS", "Codes", "NumberFormat", "PlaneKind", "number_format", "random_words"]

PlaneKind = Literal["sign", "exponent", "mantissa"]
FIXED_RANGE = 8.0
_FIXED_MOST = 24  # the significand of float32: every code is a weight of its own


@dataclass(frozen=True)
class NumberFormat:
    """One format.

    Attributes:
        name: ``"fp32"``, ``"bf16"``, ``"fp16"``, ``"fp8_e4m3"``, ``"fp8_e5m2"``, or ``"fixed"`` and a number of bits.
        bits: length of a code.
        mantissa: how many planes are mantissa; for fixed point all but the sign.
        exponent: how many are exponent.

    Example:
        >>> f = number_format("bf16")
        >>> f.bits, f.kind(0), f.kind(7), f.kind(15)
        (16, 'mantissa', 'exponent', 'sign')
        >>> codes = f.encode(torch.tensor([1.0, -2.5]))
        >>> codes.weights().tolist()
        [1.0, -2.5]
        >>> codes.rounded(6).weights().tolist()  # one bit of mantissa is left
        [1.0, -2.0]
    """

    name: str
    bits: int
    mantissa: int
    exponent: int

    def kind(self, plane: int) -> PlaneKind:
        """What a plane is part of.

        Raises:
            InputError: for a plane that the format lacks.
        """
        if not 0 <= plane < self.bits:
            raise InputError(f"plane {plane} of {self.name}", f"0 to {self.bits - 1}")
        return "mantissa" if plane < self.mantissa else "sign" if plane == self.bits - 1 else "exponent"

    @property
    def fixed(self) -> bool:
        """Whether it is fixed point."""
        return self.exponent == 0

    def holds_in(self, dtype: torch.dtype) -> bool:
        """Whether weights of ``dtype`` can take every value of the format, so that no plane is lost on the way."""
        own = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}.get(self.name)
        wide = (torch.float32, torch.float64)
        if own is not None:
            return dtype in (own, *wide)
        return dtype in wide or (not self.fixed and dtype in (torch.bfloat16, torch.float16))

    def problem(self, weights: Tensor) -> str:
        """Why these weights have no codes in this format; empty where they have."""
        if self.name not in _DTYPES and not bool((weights != 0).any()):
            return f"every entry is zero, so that {self.name} has no scale"
        if self.name not in _DTYPES and not bool(torch.isfinite(weights).all()):
            return f"an entry is not finite, so that {self.name} has no scale"
        return ""

    def encode(self, weights: Tensor) -> Codes:
        """The nearest codes, ties to even.

        Args:
            weights: any shape, floating point.

        Raises:
            InputError: where the format does not hold in the weights' dtype, or the tensor has no scale.
        """
        if not self.holds_in(weights.dtype):
            raise InputError(
                f"{self.name} for weights held in {str(weights.dtype).removeprefix('torch.')}",
                "a format that they can hold",
                "name their own format, or hand over model.float()",
            )
        problem = self.problem(weights)
        if problem:
            raise InputError(f"weights of which {problem}", "a tensor with a scale", f"leave {self.name} out for it")
        weights, dtype = weights.detach(), weights.dtype
        if self.fixed:
            wide = weights.double()
            scale = FIXED_RANGE * float(wide.square().mean().sqrt()) / 2 ** (self.bits - 1)
            half = 2 ** (self.bits - 1)
            words = (wide / scale).round_().clamp_(-half, half - 1).add_(half).to(torch.int32)
            return Codes(self, words, scale, dtype)
        if self.name in _DTYPES:
            native, integers = _DTYPES[self.name]
            return Codes(self, weights.to(native).view(integers), 1.0, dtype)
        native, most = _FP8[self.name]
        scale = float(weights.abs().max()) / most
        scaled = (weights.float() / scale).clamp_(-most, most)
        return Codes(self, scaled.to(native).view(torch.int8), scale, dtype)


@dataclass(frozen=True, eq=False)
class Codes:
    """A weight tensor as codes of one format.

    Attributes:
        format: which.
        words: the codes, an integer tensor of the weights' shape: the bit patterns of the floating-point formats, and
            :math:`c` for fixed point.
        scale: what weights were divided by.
        dtype: format that the weights are held in.
    """

    format: NumberFormat
    words: Tensor
    scale: float
    dtype: torch.dtype

    def weights(self) -> Tensor:
        """The weights that the codes stand for."""
        f, words = self.format, self.words
        if f.fixed:
            return ((words.double() - 2 ** (f.bits - 1)) * self.scale).to(self.dtype)
        if f.name in _DTYPES:
            return words.view(_DTYPES[f.name][0]).to(self.dtype)
        return (words.view(_FP8[f.name][0]).float() * self.scale).to(self.dtype)

    def randomised(self, planes: int, words: Tensor) -> Codes:
        """The same codes with their ``planes`` low-order bits taken from ``words``.

        Args:
            planes: how many, 0 to all of them.
            words: uniform random integers of the codes' type, shape ``(*shape)`` or ``(N, *shape)``, as from
                :func:`random_words`.

        Raises:
            InputError: for a number of planes that the format lacks.
        """
        if not 0 <= planes <= self.format.bits:
            raise InputError(f"{planes} low-order planes of {self.format.name}", f"0 to {self.format.bits}")
        mask = _low(planes, self.words.dtype)
        return self._with((self.words & ~mask) | (words & mask))

    def rounded(self, planes: int) -> Codes:
        """The nearest codes whose ``planes`` low-order bits are zero, ties to even; the largest stays finite.

        Raises:
            InputError: for more planes than the mantissa has: beyond it there is no nearest code to speak of.
        """
        f = self.format
        if not 0 <= planes <= f.mantissa:
            raise InputError(f"rounding {planes} planes of {f.name} away", f"0 to {f.mantissa}, its mantissa")
        if planes == 0:
            return self
        wide = self.words.to(torch.int64)
        sign = torch.zeros_like(wide) if f.fixed else wide & (1 << (f.bits - 1))
        size = wide & ((1 << (f.bits if f.fixed else f.bits - 1)) - 1)
        even = (size >> planes) & 1
        up = ((size + (1 << (planes - 1)) - 1 + even) >> planes) << planes
        kept = (up - (1 << planes)).clamp_min(0)
        # An infinity or NaN of the weights themselves stays what it is.
        up = torch.where(up > _largest(f), torch.where(size > _largest(f), size, kept), up)
        return self._with(_narrow(up | sign, self.words.dtype))

    def saturated(self, weights: Tensor) -> int:
        """How many weights lie beyond the format's range."""
        if not self.format.fixed:
            return int((torch.isinf(self.weights()) & ~torch.isinf(weights)).sum())
        half = 2 ** (self.format.bits - 1)
        return int(((weights.double() / self.scale).abs() > half).sum())

    def _with(self, words: Tensor) -> Codes:
        return Codes(self.format, words, self.scale, self.dtype)


def random_words(codes: Codes, rng: torch.Generator) -> Tensor:
    """Uniform random integers of the codes' shape and type, every bit a fair coin."""
    n, size = codes.words.numel(), codes.words.element_size()
    raw = torch.empty(-(-n * size // 8), dtype=torch.int64).random_(-(2**63), None, generator=rng)
    return raw.view(codes.words.dtype)[:n].view(codes.words.shape)


def number_format(name: str | NumberFormat) -> NumberFormat:
    """The format of a name; ``"fp8"`` is ``"fp8_e4m3"`` and ``"fixed"`` is ``"fixed16"``.

    Raises:
        InputError: for another name.

    >>> number_format("fixed12")
    NumberFormat(name='fixed12', bits=12, mantissa=11, exponent=0)
    """
    if isinstance(name, NumberFormat):
        return name
    known = {f.name: f for f in FORMATS}
    short = {"fp8": "fp8_e4m3", "fixed": "fixed16"}.get(str(name), str(name))
    if short in known:
        return known[short]
    match = re.fullmatch(r"fixed(\d+)", short)
    if match and 2 <= int(match[1]) <= _FIXED_MOST:
        n = int(match[1])
        return NumberFormat(short, n, n - 1, 0)
    raise InputError(f"format {name!r}", f"{', '.join(known)}, or fixed2 to fixed{_FIXED_MOST}")


FORMATS = (
    NumberFormat("fp32", 32, 23, 8),
    NumberFormat("bf16", 16, 7, 8),
    NumberFormat("fp16", 16, 10, 5),
    NumberFormat("fp8_e4m3", 8, 3, 4),
    NumberFormat("fp8_e5m2", 8, 2, 5),
)
_DTYPES = {
    "fp32": (torch.float32, torch.int32),
    "bf16": (torch.bfloat16, torch.int16),
    "fp16": (torch.float16, torch.int16),
}
# The largest weight goes to the largest number of a binade whose mantissas are all numbers: in the top one of e4m3
# the last mantissa is NaN, and a single random bit would make the largest weight one.
_FP8 = {"fp8_e4m3": (torch.float8_e4m3fn, 240.0), "fp8_e5m2": (torch.float8_e5m2, 57344.0)}


def _low(planes: int, dtype: torch.dtype) -> int:
    """The mask of the low planes as a number of ``dtype``, whose top bit is its sign."""
    width = 8 * dtype.itemsize
    mask = (1 << planes) - 1
    return mask - (1 << width) if planes == width else mask


def _narrow(words: Tensor, dtype: torch.dtype) -> Tensor:
    """Bit patterns held in int64 as patterns of a narrower type."""
    width = 8 * dtype.itemsize
    return torch.where(words >= 1 << (width - 1), words - (1 << width), words).to(dtype)


def _largest(f: NumberFormat) -> int:
    """The largest code of a finite number, without its sign."""
    if f.fixed:
        return (1 << f.bits) - 1
    ones = (1 << (f.bits - 1)) - 1
    return ones - 1 if f.name == "fp8_e4m3" else (((1 << f.exponent) - 1) << f.mantissa) - 1
