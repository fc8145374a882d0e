"""One runner a peer.

A runner has ``VERSION``, ``supports(problem)``, ``prepare(problem)`` for what is done once (compiling, starting
workers) and ``measure(problem, seed, prepared)``, which returns bits, counts, a status and a note; the driver adds
the times.
"""

from __future__ import annotations

PEERS = {
    "pindown": "pindown_measure",
    "blackjax tempered SMC": "blackjax_smc",
    "blackjax nested slice": "blackjax_nested",
    "dynesty": "dynesty_nested",
    "ultranest": "ultranest_nested",
    "OpenTURNS subset sampling": "openturns_subset",
    "plain Monte Carlo": "plain_monte_carlo",
}
