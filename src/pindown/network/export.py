"""The chosen formats as text that quantisation packages accept: torchao, llm-compressor, and plain lists.

Both packages quantise the weights of ``nn.Linear`` modules and leave everything else alone; so do these texts. What the
loss does when these weights alone are rounded is ``planes.choice.exported``. No package is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pindown.errors import InputError
from pindown.files import write_atomically
from pindown.network.rounding import TARGETS, exportable

if TYPE_CHECKING:
    from pindown.network.plane_results import BitPlanes

__all__ = ["ignore_list", "llm_compressor_recipe", "quantised_modules", "torchao_config", "write_exports"]

_DTYPES = {"int8": "torch.int8", "int4": "torch.int4"}


def quantised_modules(planes: BitPlanes) -> dict[str, str]:
    """Fully qualified names of the ``nn.Linear`` modules whose weights are to be quantised, with their formats."""
    return {
        t.name.rpartition(".")[0]: planes.choice.target[t.name]
        for t in planes.measured
        if exportable(t, planes.choice.target[t.name])
    }


def ignore_list(planes: BitPlanes) -> list[str]:
    """Names of the ``nn.Linear`` modules that stay as they are, as llm-compressor's ``ignore`` wants them."""
    chosen = quantised_modules(planes)
    # The other name of a tied embedding is that of the output layer.
    names = [n for t in planes.tensors for n in (*((t.name,) if t.layer == "Linear" else ()), *t.aliases)]
    modules = dict.fromkeys(n.rpartition(".")[0] for n in names if n.endswith("weight"))
    return [m for m in modules if m not in chosen]


def torchao_config(planes: BitPlanes) -> str:
    """Python text that defines ``config``, a ``torchao.quantization.FqnToConfig``.

    ``quantize_(model, config, filter_fn=None)`` applies it. Integer weights are symmetric, one scale an output channel
    or a group; fp8 weights have one scale a channel, as torchao chooses by itself.

    Raises:
        InputError: where no linear module is to be quantised.
    """
    modules = _modules(planes)
    groups = _groups(planes, modules)
    entries = [f"            ({json.dumps(name)}, {_torchao(form, groups[name])})," for name, form in modules.items()]
    return "\n".join(
        [
            *(f"# {line}" for line in _origin(planes)),
            "",
            "from collections import OrderedDict",
            "",
            "import torch",
            "from torchao.quantization import Float8WeightOnlyConfig, FqnToConfig, IntxWeightOnlyConfig",
            "from torchao.quantization.granularity import PerAxis, PerGroup",
            "",
            "# Apply with torchao.quantization.quantize_(model, config, filter_fn=None).",
            "config = FqnToConfig(",
            "    OrderedDict(",
            "        [",
            *entries,
            "        ]",
            "    )",
            ")",
            "",
        ]
    )


def llm_compressor_recipe(planes: BitPlanes) -> str:
    """A recipe of llm-compressor as YAML: one group of modules a format, and the list of those that are ignored.

    fp8 e5m2 is not among its formats; modules that were given it are ignored.

    Raises:
        InputError: where no linear module is to be quantised.
    """
    modules = {name: form for name, form in _modules(planes).items() if form != "fp8_e5m2"}
    groups = _groups(planes, modules)
    kinds = sorted({(form, groups[name]) for name, form in modules.items()})
    left = [*ignore_list(planes), *(n for n in quantised_modules(planes) if n not in modules)]
    lines = [
        *(f"# {line}" for line in _origin(planes)),
        "quant_stage:",
        "  quant_modifiers:",
        "    QuantizationModifier:",
        f"      ignore: {json.dumps(left)}",
        "      config_groups:",
    ]
    for i, (form, group) in enumerate(kinds):
        names = [n for n, f in modules.items() if (f, groups[n]) == (form, group)]
        kind = "float" if form.startswith("fp8") else "int"
        scales = f"strategy: group, group_size: {group}" if group else "strategy: channel"
        lines += [
            f"        group_{i}:",
            f"          targets: {json.dumps(names)}",
            f"          weights: {{num_bits: {TARGETS[form].bits}, type: {kind}, symmetric: true, {scales}}}",
        ]
    return "\n".join([*lines, ""])


def write_exports(planes: BitPlanes, folder: str | Path) -> list[Path]:
    """Write the record, the table and the two texts into a folder.

    Returns:
        The files: ``bitplanes.json``, ``bitplanes.csv``, and where a linear module is to be quantised
        ``torchao_config.py`` and ``llm_compressor.yaml``.

    Raises:
        OutputError: where they cannot be written.
    """
    folder = Path(folder)
    record = json.dumps(planes.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    texts = {"bitplanes.json": record, "bitplanes.csv": planes.to_dataframe().to_csv(index=False)}
    modules = quantised_modules(planes)
    if modules:
        texts["torchao_config.py"] = torchao_config(planes)
    if any(form != "fp8_e5m2" for form in modules.values()):
        texts["llm_compressor.yaml"] = llm_compressor_recipe(planes)
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [folder / name for name in texts]


def _modules(planes: BitPlanes) -> dict[str, str]:
    modules = quantised_modules(planes)
    if not modules:
        raise InputError(
            "an export of a choice that quantises no nn.Linear", "at least one",
            "raise epsilon, or see planes.choice for what else was chosen",
        )  # fmt: skip
    return modules


def _groups(planes: BitPlanes, modules: Mapping[str, str]) -> dict[str, int]:
    """Entries a scale of each module; 0 for one scale an output channel."""
    return {name: TARGETS[form].grouped(planes[f"{name}.weight".lstrip(".")].shape) for name, form in modules.items()}


def _torchao(form: str, group: int) -> str:
    if form.startswith("fp8"):
        dtype = "torch.float8_e4m3fn" if form == "fp8_e4m3" else "torch.float8_e5m2"
        return f"Float8WeightOnlyConfig(weight_dtype={dtype})"
    granularity = f"PerGroup({group})" if group else "PerAxis(0)"
    return f"IntxWeightOnlyConfig(weight_dtype={_DTYPES[form]}, granularity={granularity})"


def _origin(planes: BitPlanes) -> list[str]:
    rise = planes.choice.exported
    unit = "" if rise.unit == "1" else f" {rise.unit}"
    return [
        f"Weights of {' '.join(planes.subject.split())}, by pindown {planes.version}. With these modules rounded,",
        f"{planes.loss} changes by {rise.value:+.3g}{unit} on {planes.examples} examples of the {planes.data}; at most",
        f"{planes.epsilon:.3g} was tolerated.",
    ]
