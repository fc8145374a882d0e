"""Number formats: codes to weights and back, which plane is what, and that only the named planes change."""

from __future__ import annotations

import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pindown.errors import InputError
from pindown.network.number_formats import FORMATS, Codes, NumberFormat, number_format, random_words

NAMES = ["fp32", "bf16", "fp16", "fp8_e4m3", "fp8_e5m2", "fixed4", "fixed12", "fixed24"]
LARGEST = {"fp32": 0x7F7FFFFF, "bf16": 0x7F7F, "fp16": 0x7BFF, "fp8_e4m3": 0x7E, "fp8_e5m2": 0x7B}
few = settings(max_examples=25)
every_format = pytest.mark.parametrize("name", NAMES)
weights = st.lists(
    st.floats(-1e4, 1e4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-20), min_size=1, max_size=12
).filter(any)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unsigned(codes: Codes) -> Tensor:
    """Codes as unsigned numbers of the format's own length."""
    return codes.words.to(torch.int64) & ((1 << codes.format.bits) - 1)


def planes_changed(a: Codes, b: Codes) -> set[int]:
    difference = unsigned(a) ^ unsigned(b)
    return {p for p in range(a.format.bits) if bool(((difference >> p) & 1).any())}


@every_format
@few
@given(values=weights)
def test_what_was_encoded_is_encoded_again_to_the_same(name: str, values: list[float]) -> None:
    form = number_format(name)
    codes = form.encode(torch.tensor(values))
    once = codes.weights()
    if not codes.format.fixed and torch.isinf(once).any():
        return  # beyond the range of fp16
    again = Codes(form, codes.words, codes.scale, codes.dtype).weights()
    assert torch.equal(again, once)
    if codes.scale == 1.0:
        assert torch.equal(form.encode(once).words, codes.words)


@every_format
@few
@given(values=weights, seed=st.integers(0, 99), planes=st.integers(0, 32))
def test_random_bits_change_the_named_planes_and_no_other(
    name: str, values: list[float], seed: int, planes: int
) -> None:
    form = number_format(name)
    planes = min(planes, form.bits)
    codes = form.encode(torch.tensor(values))
    mixed = codes.randomised(planes, random_words(codes, generator(seed)))
    assert all(p < planes for p in planes_changed(codes, mixed))
    assert mixed.words.dtype == codes.words.dtype
    nothing = codes.randomised(0, random_words(codes, generator(seed)))
    assert torch.equal(nothing.words, codes.words)
    twice = mixed.randomised(planes, random_words(codes, generator(seed)))
    assert torch.equal(twice.words, mixed.words)


@every_format
def test_every_named_plane_is_a_fair_coin_of_its_own(name: str) -> None:
    """Shares of ones, and agreement of neighbouring planes, are binomial: within 4.5 standard errors for each plane."""
    form, n = number_format(name), 40_000
    codes = form.encode(torch.linspace(-1.0, 1.0, n))
    bits = [
        (unsigned(codes.randomised(form.bits, random_words(codes, generator(3)))) >> p) & 1 for p in range(form.bits)
    ]
    bound = 4.5 * 0.5 / math.sqrt(n)
    for p, plane in enumerate(bits):
        assert abs(float(plane.double().mean()) - 0.5) < bound
        same = (plane == bits[p - 1]).double().mean() if p else torch.tensor(0.5)
        assert abs(float(same) - 0.5) < bound
        next_weight = (plane[1:] == plane[:-1]).double().mean()
        assert abs(float(next_weight) - 0.5) < bound


@pytest.mark.parametrize("value", [1.0, -1.0, 0.1, -3.25e-3, 123.456, 2.0**-120])
def test_floating_point_codes_are_those_of_the_standard(value: float) -> None:
    """Against Python's own packing of binary32 and binary16; bfloat16 is the upper half of binary32."""
    (wanted,) = struct.unpack("<I", struct.pack("<f", value))
    assert int(unsigned(number_format("fp32").encode(torch.tensor([value])))[0]) == wanted
    half = torch.tensor([value])
    low = wanted & 0xFFFF
    up = (wanted >> 16) + (low > 0x8000 or (low == 0x8000 and (wanted >> 16) & 1))
    assert int(unsigned(number_format("bf16").encode(half))[0]) == up
    if abs(value) > 1e-4:
        (wanted,) = struct.unpack("<H", struct.pack("<e", value))
        assert int(unsigned(number_format("fp16").encode(half))[0]) == wanted


@pytest.mark.parametrize(
    ("name", "low", "kinds"),
    [
        ("fp32", 23, 8), ("bf16", 7, 8), ("fp16", 10, 5), ("fp8_e4m3", 3, 4), ("fp8_e5m2", 2, 5), ("fixed9", 8, 0),
    ],
)  # fmt: skip
def test_planes_have_their_kind(name: str, low: int, kinds: int) -> None:
    form = number_format(name)
    found = [form.kind(p) for p in range(form.bits)]
    assert found == ["mantissa"] * low + ["exponent"] * kinds + ["sign"]
    with pytest.raises(InputError, match=f"plane {form.bits}"):
        form.kind(form.bits)


@every_format
def test_kinds_do_what_they_are_called(name: str) -> None:
    """Flipping the sign plane negates; a mantissa plane moves a floating-point number within its own binade."""
    form = number_format(name)
    codes = form.encode(torch.tensor([0.75, 0.3, 0.011, -0.5], dtype=torch.float64))
    weights = codes.weights()
    for p in range(form.bits):
        words = codes.words ^ (1 << p if p < 8 * codes.words.element_size() - 1 else torch.iinfo(codes.words.dtype).min)
        flipped = Codes(form, words, codes.scale, codes.dtype).weights()
        if form.fixed:
            assert torch.allclose(
                (flipped - weights).abs(), torch.full((4,), 2**p * codes.scale, dtype=torch.float64), rtol=1e-6
            )
        elif form.kind(p) == "sign":
            assert torch.equal(flipped, -weights)
        elif form.kind(p) == "mantissa":
            assert torch.equal((flipped / codes.scale).frexp().exponent, (weights / codes.scale).frexp().exponent)
        else:
            ratio = flipped[:3] / weights[:3]
            ok = torch.isfinite(ratio) & (weights[:3].abs() / codes.scale > 0.1)
            assert torch.all((ratio[ok] >= 2.0) | (ratio[ok] <= 0.5))


@every_format
@few
@given(values=weights, data=st.data())
def test_rounding_away_planes_is_to_nearest_even_and_idempotent(
    name: str, values: list[float], data: st.DataObject
) -> None:
    form = number_format(name)
    codes = form.encode(torch.tensor(values))
    if not torch.isfinite(codes.weights()).all():
        return
    k = data.draw(st.integers(1, form.mantissa))
    out = codes.rounded(k)
    assert bool(((unsigned(out) & ((1 << k) - 1)) == 0).all())
    assert torch.isfinite(out.weights()).all()
    assert torch.equal(out.rounded(k).words, out.words)
    # By hand, on the magnitude as a whole number.
    top = form.bits if form.fixed else form.bits - 1
    for before, after in zip(unsigned(codes).tolist(), unsigned(out).tolist(), strict=True):
        size, kept = before & ((1 << top) - 1), after & ((1 << top) - 1)
        assert before >> top == after >> top
        down = size >> k << k
        up = down + (1 << k)
        nearest = down if size - down < up - size or (size - down == up - size and down >> k & 1 == 0) else up
        largest = LARGEST.get(name, (1 << form.bits) - 1)
        assert kept == (nearest if nearest <= largest else down)


@pytest.mark.parametrize("bits", [2, 5, 11, 16, 24])
@few
@given(values=weights)
def test_fixed_point_is_relative_to_the_root_mean_square(bits: int, values: list[float]) -> None:
    form = number_format(f"fixed{bits}")
    w = torch.tensor(values)
    codes = form.encode(w)
    step = 8.0 * float(w.double().square().mean().sqrt()) / 2 ** (bits - 1)
    assert codes.scale == pytest.approx(step, rel=1e-12)
    inside = w.double().abs() <= (2 ** (bits - 1) - 1) * step
    error = (codes.weights().double() - w.double()).abs()
    assert bool((error[inside] <= 0.5 * step * (1 + 1e-5) + 1e-6 * w.double().abs()[inside]).all())
    assert codes.saturated(w) == int((w.double().abs() / step > 2 ** (bits - 1)).sum())
    # Scaling all weights by a power of two changes no code.
    assert torch.equal(form.encode(4.0 * w).words, codes.words)


def test_fixed_point_saturates_and_counts_it() -> None:
    w = torch.cat([torch.full((400,), 0.1), torch.tensor([50.0, -50.0])])
    codes = number_format("fixed8").encode(w)
    assert codes.saturated(w) == 2
    assert float(codes.weights()[-1]) == pytest.approx(-128 * codes.scale)
    assert float(codes.weights()[-2]) == pytest.approx(127 * codes.scale)


@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2"])
def test_random_mantissas_of_fp8_are_numbers(name: str) -> None:
    """The scale leaves out the binade of e4m3 whose last mantissa is NaN."""
    form = number_format(name)
    codes = form.encode(torch.linspace(-3.0, 3.0, 2001))
    for seed in range(20):
        mixed = codes.randomised(form.mantissa, random_words(codes, generator(seed)))
        assert torch.isfinite(mixed.weights()).all()
    everything = codes.randomised(form.bits - 1, random_words(codes, generator(1)))
    assert not torch.isfinite(everything.weights()).all()


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_values_that_are_no_numbers_keep_their_codes(name: str) -> None:
    w = torch.tensor([math.inf, -math.inf, math.nan, 1.0])
    codes = number_format(name).encode(w)
    out = codes.weights()
    assert out[:2].tolist() == [math.inf, -math.inf]
    assert torch.isnan(out[2])
    rounded = codes.rounded(3).weights()
    assert rounded[:2].tolist() == [math.inf, -math.inf]
    assert not torch.isfinite(rounded[2])


@pytest.mark.parametrize(
    ("name", "dtype", "holds"),
    [
        ("fp32", torch.float32, True), ("fp32", torch.float64, True), ("fp32", torch.bfloat16, False),
        ("bf16", torch.bfloat16, True), ("bf16", torch.float16, False), ("fp16", torch.bfloat16, False),
        ("fp8", torch.bfloat16, True), ("fp8_e5m2", torch.float16, True), ("fixed8", torch.bfloat16, False),
        ("fixed24", torch.float32, True),
    ],
)  # fmt: skip
def test_a_format_is_held_or_refused(name: str, dtype: torch.dtype, holds: bool) -> None:
    form, w = number_format(name), torch.tensor([0.5, -0.25]).to(dtype)
    assert form.holds_in(dtype) == holds
    if holds:
        assert torch.equal(form.encode(w).weights(), form.encode(w).weights())
        assert form.encode(w).weights().dtype == dtype
    else:
        with pytest.raises(InputError, match=r"model\.float\(\)"):
            form.encode(w)


def test_names() -> None:
    assert number_format("fp8").name == "fp8_e4m3"
    assert number_format("fixed").bits == 16
    assert [number_format(f.name) for f in FORMATS] == list(FORMATS)
    assert number_format(NumberFormat("fp32", 32, 23, 8)).bits == 32
    for wrong in ("fp64", "fixed1", "fixed25", "int8", ""):
        with pytest.raises(InputError, match="format"):
            number_format(wrong)


def test_tensors_without_a_scale_are_refused() -> None:
    for name in ("fixed8", "fp8"):
        form = number_format(name)
        assert "zero" in form.problem(torch.zeros(3))
        assert "not finite" in form.problem(torch.tensor([1.0, math.nan]))
        with pytest.raises(InputError, match="scale"):
            form.encode(torch.zeros(3))
    assert not number_format("fp32").problem(torch.zeros(3))


def test_more_planes_than_there_are_is_refused() -> None:
    codes = number_format("bf16").encode(torch.ones(2))
    for planes in (-1, 17):
        with pytest.raises(InputError, match="planes"):
            codes.randomised(planes, random_words(codes, generator()))
    with pytest.raises(InputError, match="mantissa"):
        codes.rounded(8)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    codes = number_format("fp16").encode(torch.ones(9))
    assert torch.equal(random_words(codes, generator(1)), random_words(codes, generator(1)))
    assert not torch.equal(random_words(codes, generator(1)), random_words(codes, generator(2)))
    assert torch.equal(before, torch.get_rng_state())
