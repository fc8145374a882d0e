"""What is asked of one trained network, beside its peers.

    python benchmarks/network.py [SECTION ...] [--peers-python PATH] [--out FOLDER]

A section is a module of ``network_peers`` with ``run(**options) -> record`` and ``markdown(record) -> str``; each
writes ``network_SECTION.json`` and ``.md``. Peers that need other versions of what pindown needs run under an
interpreter of their own: ``--peers-python``, or the environment variable ``PINDOWN_PEERS_PYTHON``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from benchmarks.record import keep  # noqa: E402


def sections() -> list[str]:
    """Every module of ``network_peers`` that has a ``run`` of its own."""
    folder = HERE / "network_peers"
    return sorted(p.stem for p in folder.glob("*.py") if "\ndef run(" in p.read_text(encoding="utf-8"))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="*", metavar="SECTION", help=f"of {', '.join(sections())}; all by default")
    parser.add_argument("--peers-python", default=os.environ.get("PINDOWN_PEERS_PYTHON"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    for name in args.section or sections():
        module = importlib.import_module(f"benchmarks.network_peers.{name}")
        options: dict[str, Any] = {}
        if "peers_python" in inspect.signature(module.run).parameters:
            options["peers_python"] = args.peers_python
        record = module.run(**options)
        keep(args.out, f"network_{name}", record, module.markdown(record))


if __name__ == "__main__":
    main()
