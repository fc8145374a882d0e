"""Channel capacity, with a bound from either side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pindown.estimate import Estimate, Status, bits

__all__ = ["capacity", "mutual_information", "relative_entropy"]

Floats = NDArray[np.float64]


def relative_entropy(p: Floats, q: Floats) -> float:
    r"""Relative entropy :math:`\sum_i p_i \log_2 (p_i / q_i)` in bits; infinite where ``q`` misses what ``p`` has.

    >>> float(relative_entropy(np.array([1.0, 0.0]), np.array([0.5, 0.5])))
    1.0
    """
    return float(bits(float(_divergences(p[None], q)[0])))


def mutual_information(channel: Floats, inputs: Floats) -> float:
    r"""Mutual information in bits between the input of a channel ``(n, m)`` and its output, for input chances ``(n,)``.

    >>> mutual_information(np.eye(4), np.full(4, 0.25))
    2.0
    """
    used = inputs > 0
    return bits(float(inputs[used] @ _divergences(channel[used], inputs @ channel)))


def capacity(channel: Floats, *, tolerance: float = 1e-6, most: int = 20_000) -> Estimate:
    r"""Capacity :math:`\max_p I(X; Y)` of a channel ``(n, m)`` in bits, by the iteration of Blahut and Arimoto (1972).

    With :math:`D_x` the relative entropy of row x to the output, :math:`\sum_x p_x D_x \le C \le \max_x D_x` at every
    step. It stops where both are within ``tolerance`` bits.

    Returns:
        The middle of the two bounds, half their distance as its error; *not converged* where that stays too large.
        Channels without noise are exact: the logarithm of the number of outputs.

    Example:
        >>> noisy = capacity(np.array([[0.9, 0.1], [0.1, 0.9]]))
        >>> bool(abs(noisy.value - (1 + 0.1 * np.log2(0.1) + 0.9 * np.log2(0.9))) < 1e-6)
        True
    """
    rows = np.unique(np.asarray(channel, dtype=np.float64), axis=0)
    reference = "best input distribution"
    if ((rows == 0.0) | (rows == 1.0)).all():
        return Estimate(float(np.log2(len(rows))), 0.0, "bits", "exact", reference=reference)
    p = np.full(len(rows), 1.0 / len(rows))
    low = high = 0.0
    for _ in range(most):
        d = _divergences(rows, p @ rows)
        low, high = bits(float(p @ d)), bits(float(d.max()))
        if high - low <= tolerance:
            break
        p = p * np.exp(d - d.max())
        p /= p.sum()
    status = Status.REACHED if high - low <= tolerance else Status.NOT_CONVERGED
    return Estimate((low + high) / 2.0, max(high - low, 0.0) / 2.0, "bits", status=status, reference=reference)


def _divergences(rows: Floats, output: Floats) -> Floats:
    """Relative entropy of each row to ``output`` in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(rows > 0, rows * (np.log(rows) - np.log(output)), 0.0)
    return terms.sum(axis=1)
