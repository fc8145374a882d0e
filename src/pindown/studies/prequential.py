r"""The prequential code: labels sent in blocks, each with the network trained on the blocks before it.

.. math:: L = n_1 \log_2 C - \sum_b \sum_{i \in b} \log_2 p_{w(1 \ldots b-1)}(y_i \mid x_i)

(Dawid 1984, Present position and potential developments: the prequential approach; Blier and Ollivier 2018, The
description length of deep learning models, eq. 2.9). The first block is sent by uniform labels. Logits are divided by
one number, chosen among a few on the block itself and paid for, since a network trained to no error is too sure of its
labels on others.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from pindown.errors import EstimationError, InputError
from pindown.estimate import Estimate, Status, bits
from pindown.studies.study_subject import StudySubject

__all__ = ["prequential_bits"]

_FIRST = 20
_DIVISORS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)


def prequential_bits(*, family: StudySubject, width: int, seed: int) -> dict[str, Any]:
    """Bits of the training labels, blocks doubling from 20 examples on.

    Raises:
        InputError: for a task without classes, or a subject that cannot be trained on few examples.
    """
    subject = family.subject(width)
    if subject.classes is None or family.train_on is None:
        raise InputError("a prequential code of a task without classes", "classification, with train_on")
    targets = torch.cat([y for _, y in subject.batches()])
    done = min(_FIRST, subject.train_size)
    total = done * math.log(subject.classes)
    while done < subject.train_size:
        stop = min(2 * done, subject.train_size)
        try:
            trained = family.trained_on(width, seed, done)
        except EstimationError as error:
            lost = Estimate(math.nan, math.nan, "bits", status=Status.NOT_CONVERGED, reference=str(error))
            return lost.to_dict()
        point = trained.solutions[0].point.unsqueeze(0)
        with torch.no_grad():
            logits = torch.cat([trained.outputs(point, x)[0] for x, _ in subject.batches()])[done:stop].double()
        block = targets[done:stop]
        costs = [float(functional.cross_entropy(logits / t, block, reduction="sum")) for t in _DIVISORS]
        total += min(costs) + math.log(len(_DIVISORS))
        done = stop
    uniform = subject.train_size * math.log(subject.classes)
    reference = f"uniform labels cost {bits(uniform):.0f} bits"
    return Estimate(bits(total), 0.0, "bits", "exact", reference=reference).to_dict()
