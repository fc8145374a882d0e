"""What the sections on one trained network say however the figures come out."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "COEFFICIENT_LIMITS",
    "COEFFICIENT_METHOD",
    "PLANES_LIMITS",
    "PLANES_METHOD",
    "PRUNING_LIMITS",
    "PRUNING_METHOD",
    "SPECTRUM_LIMITS",
    "SPECTRUM_METHOD",
    "noted",
]

PLANES_METHOD = (
    "The low-order bits of the weights are replaced by fair coin flips, and the mean loss is compared with that of the "
    "weights as they are, on the same examples. A level is tolerated where its mean rise is at most ε with the stated "
    "confidence; the number of tolerated planes is found by bracketing, in each tensor alone and in all at once.",
    "The joint allocation keeps the fewest bits at a total rise of ε by the sensitivities of the tensors, and is then "
    "measured with all of them random at once. The choice of formats is checked in the same way, by rounding.",
)
PLANES_LIMITS = (
    "What one tensor tolerates alone does not hold for several at once: rises add up. Only the joint figures do.",
    "A rise of the mean loss on these examples says nothing of other data, nor of single examples.",
)
PRUNING_METHOD = (
    "Pruning sets weights to zero, the smallest first, without training again; random orders are the control. The "
    "threshold is the share kept where the rise first crosses ε, with its interval from resampled examples. Intervals "
    "of shares are cut at 0% and 100%.",
    "Noise tolerance is the standard deviation σ of Gaussian noise at which the mean loss has risen by ε; log2 of the "
    "weights’ root mean square over σ is how many leading bits count.",
    "Reverse water-filling spends the fewest bits on Gaussian weights at a given quadratic loss (Cover and Thomas "
    "2006, Elements of Information Theory, section 10.3.3), with the diagonal of the curvature. Its rates are then "
    "tried, and the bits where the measured rise is ε are the figure to use. Gini’s coefficient "
    "and the participation ratio tell how unevenly the squared weights are spread.",
)
PRUNING_LIMITS = (
    "The bits a weight answer different questions and are not added: planes count the sign and the exponent too, "
    "noise counts leading bits relative to the tensor’s own size, water-filling is a bound for ideal codes.",
)
COEFFICIENT_METHOD = (
    "λ(nβ) = nβ (E[L] − L(w*)) under the posterior at inverse temperature nβ, localised at the trained weights w* (Lau "
    "et al. 2023, Quantifying degeneracy in singular models). λ is what the curve tends to, averaged over the forms "
    "that theory allows (Watanabe 2013, A widely applicable Bayesian information criterion).",
    "A point is “not converged” where R-hat, the effective sample size, the halves of the chains, chains from both "
    "sides, the acceptance or smaller steps object; the objections stand in the table.",
)
COEFFICIENT_LIMITS = (
    "λ is a property of this point and of the loss on these examples. It is local, unlike the λ that the bits of the "
    "whole prior give at a tolerance.",
    "λ and the loss are figures of the function: they stay where the units of a ReLU layer are rescaled, or where the "
    "weights are written in any other smooth coordinates (Watanabe 2009, Algebraic Geometry and Statistical Learning "
    "Theory). What the chains see of it at one nβ moves with the localisation, which is a ball in the weights.",
)
SPECTRUM_METHOD = (
    "Eigenvalues of the matrix of second derivatives of the mean training loss: all of them where the network is "
    "small, else by Lanczos’ method, with sums over the spectrum by stochastic quadrature (Ubaru, Chen and Saad 2017, "
    "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature).",
    "The basin is what can be reached from the weights below a cutoff of the loss. Rays bound its bits from above "
    "(Scherlis and Belrose 2025, Estimating the probability of sampling a trained neural network at random); a bridge "
    "of chains tethered to the weights estimates them.",
)
SPECTRUM_LIMITS = (
    "Eigenvalues are figures of the weights, not of the function: rescaling the units of a ReLU layer keeps every "
    "output and moves them (Dinh et al. 2017, Sharp minima can generalize for deep nets).",
    "Bits of a basin are relative to the prior. They count one basin; the bits pinned down count all solutions, and "
    "are fewer. The bridge’s bits do not move when units are rescaled along a path inside the basin; the rays’ bound "
    "does.",
)


def noted(notes: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """What the results themselves note: what all of them say stands once, the rest with the subject's name in front.

    >>> noted([("a", ["Both.", "One."]), ("b", ["Both."])])
    ['Both.', 'a: One.']
    """
    out = [
        note if all(note in others for _, others in notes) else f"{name}: {note}" for name, own in notes for note in own
    ]
    return list(dict.fromkeys(out))
