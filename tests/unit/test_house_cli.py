"""The command line: what it finds, what it prints where, how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from report_fixture import digits_record
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner, Result

from pindown.cli import _target
from pindown.cli._output import check_folder, json_text
from pindown.cli._target import load_subject, split_target
from pindown.cli.app import app, command_names
from pindown.errors import CheckpointError, EstimationError, InputError, OutputError, PindownError
from pindown.network.plan import Plan, SubjectPlan
from pindown.network.weights_file import read_state, with_weights

pytestmark = pytest.mark.usefixtures("own_folder")

SUBJECT = """
import torch
from pindown import Subject

def make_subject():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return Subject(model, "cross_entropy", (x, torch.tensor([0, 1])))

class Helper: ...

def not_a_subject():
    return 3

def fails():
    return 1 / 0

def refuses():
    return Subject(3, "cross_entropy", None)

number = 5
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def module() -> str:
    Path("my_module.py").write_text(SUBJECT, encoding="utf-8")
    return "my_module.py"


class Audits:
    """Stands in for the audit, which has its own tests: it keeps what it was asked and gives a ready record."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.planned: dict[str, Any] = {}
        self.end: BaseException | None = None

    def __call__(self, subject: object = None, **options: Any) -> SimpleNamespace:
        self.asked = {"subject": subject, **options}
        if self.end is not None:
            raise self.end
        return SimpleNamespace(to_dict=digits_record)

    def plan(self, subject: object = None, **options: Any) -> Plan:
        self.planned = {"subject": subject, **options}
        part = SubjectPlan("a [large] model", 10**6, 2, 5e4, 1e9, 100.0, 1e7, 1e11, "Lower it with fewer examples.")
        return Plan((part,), 4, 2)


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> Audits:
    stand_in = Audits()
    monkeypatch.setattr("pindown.network.audit.audit", stand_in)
    monkeypatch.setattr("pindown.network.audit.audit_digits", stand_in)
    monkeypatch.setattr("pindown.network.audit.plan_audit", stand_in.plan)
    return stand_in


# ---------------------------------------------------------------- the application


def test_every_file_is_a_command() -> None:
    folder = Path(_target.__file__).parent
    files = {p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")} - {"app"}
    assert set(command_names()) == files
    help_text = run("--help").stdout
    assert all(name in help_text for name in files)


def test_the_version_is_the_packages_own() -> None:
    from importlib.metadata import version

    assert run("--version").stdout.split() == ["pindown", version("pindown")]
    assert run("version").stdout.splitlines()[0] == f"pindown {version('pindown')}"


def test_a_wrong_option_is_a_usage_error() -> None:
    assert run("audit", "--nonsense").exit_code == 2
    assert run("nonsense").exit_code == 2
    assert run("audit", "--seed", "-1").exit_code == 2


@pytest.mark.parametrize(
    "error",
    [InputError("no data"), OutputError("no space"), CheckpointError("torn"), EstimationError("they disagree")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_one_paragraph_and_its_own_exit_code(audits: Audits, error: PindownError) -> None:
    audits.end = error
    done = run("audit")
    assert done.exit_code == error.exit_code
    assert done.stderr.split() == ["error:", *str(error).split()]
    assert not done.stdout


def test_brackets_in_a_message_are_no_markup(audits: Audits) -> None:
    audits.end = InputError("shape [bold](8,)[/bold]")
    assert "[bold](8,)[/bold]" in run("audit").stderr


def test_a_defect_is_not_dressed_up(audits: Audits) -> None:
    audits.end = ZeroDivisionError("a defect")
    done = run("audit")
    assert isinstance(done.exception, ZeroDivisionError)
    assert done.exit_code == 1


# ---------------------------------------------------------------- audit: what is written and printed


def test_an_audit_writes_its_files_and_shows_a_summary(audits: Audits) -> None:
    done = run("audit", "--out", "deep/folder", "--seed", "7")
    assert done.exit_code == 0, done.stderr
    assert audits.asked["seed"] == 7
    assert json.loads(Path("deep/folder/audit.json").read_text(encoding="utf-8")) == digits_record()
    assert Path("deep/folder/report.html").read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")
    assert sorted(p.name for p in Path("deep/folder").iterdir()) == ["audit.json", "report.html"]
    for sentence in digits_record()["verdict"]:
        assert sentence in " ".join(done.stdout.split())


def test_json_on_stdout_stands_alone(audits: Audits) -> None:
    done = run("audit", "--json", "-")
    assert json.loads(done.stdout) == digits_record()
    assert "report.html" in done.stderr


def test_json_goes_to_a_file_as_well(audits: Audits) -> None:
    run("audit", "--json", "record.json")
    assert json.loads(Path("record.json").read_text(encoding="utf-8")) == digits_record()


def test_quiet_prints_nothing(audits: Audits) -> None:
    done = run("audit", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_records_hold_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"value": float("nan")})


@pytest.mark.skipif(os.name == "nt", reason="folders have no such permissions")
@pytest.mark.parametrize(
    "options",
    [("--out", "taken/inside"), ("--json", "taken/record.json"), ("--checkpoint", "taken/kept"), ("--json", ".")],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(audits: Audits, options: tuple[str, str]) -> None:
    Path("taken").write_text("a file where a folder is wanted", encoding="utf-8")
    done = run("audit", *options)
    assert done.exit_code == OutputError.exit_code
    assert options[0] in done.stderr
    assert not audits.asked


def test_looking_whether_a_folder_can_be_written_leaves_nothing_there() -> None:
    check_folder(Path("a/b/c"), "--out")
    assert not list(Path.cwd().iterdir())


def test_options_reach_the_audit(audits: Audits) -> None:
    run("audit", "--full", "--repeats", "6", "--budget", "1000", "--jobs", "1", "--checkpoint", "kept")
    wanted = {"full": True, "repeats": 6, "budget": 1000, "jobs": 1, "checkpoint": Path("kept"), "seed": 0}
    assert {name: audits.asked[name] for name in wanted} == wanted


def test_a_dry_run_writes_nothing_and_runs_nothing(audits: Audits) -> None:
    done = run("audit", "--dry-run", "--repeats", "3")
    assert done.exit_code == 0, done.stderr
    for word in ("a [large] model", "evaluations", "GB", "Lower it"):
        assert word in done.stdout
    assert audits.planned["repeats"] == 3
    assert not audits.asked
    assert not list(Path.cwd().iterdir())


def test_a_plan_is_a_record_too(audits: Audits) -> None:
    assert json.loads(run("audit", "--dry-run", "--json", "-").stdout)["evaluations"] == 1e9
    run("audit", "--dry-run", "--json", "plan.json")
    assert json.loads(Path("plan.json").read_text(encoding="utf-8"))["memory"] == 1e11


def test_a_real_plan_of_a_users_subject(module: str) -> None:
    done = run("audit", module, "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "17 parameters" in done.stdout


def test_what_is_too_large_is_told_beforehand(audits: Audits, module: str) -> None:
    done = run("audit", module, "--json", "-")
    assert done.exit_code == 0
    assert "Lower it with fewer examples." in done.stderr
    assert json.loads(done.stdout)


# ---------------------------------------------------------------- audit: stopping and going on


def test_an_interrupted_audit_says_how_to_go_on(audits: Audits) -> None:
    Path("kept").mkdir()
    Path("kept/run-0.pt").touch()
    audits.end = KeyboardInterrupt()
    done = run("audit", "--checkpoint", "kept", "--resume")
    assert done.exit_code == 130
    assert "kept" in done.stderr
    assert "--resume" in done.stderr
    assert not Path("pindown-audit").exists()


def test_an_audit_that_kept_nothing_says_so(audits: Audits) -> None:
    audits.end = KeyboardInterrupt()
    done = run("audit")
    assert done.exit_code == 130
    assert "nothing was written" in done.stderr


def test_unfinished_work_is_neither_overwritten_nor_imagined(audits: Audits) -> None:
    assert run("audit", "--resume").exit_code == CheckpointError.exit_code
    Path("pindown-audit/checkpoint").mkdir(parents=True)
    Path("pindown-audit/checkpoint/run-0.pt").touch()
    done = run("audit")
    assert done.exit_code == CheckpointError.exit_code
    assert "--resume" in done.stderr
    assert not audits.asked
    assert run("audit", "--resume").exit_code == 0
    assert not Path("pindown-audit/checkpoint").exists(), "finished work needs no checkpoint"


# ---------------------------------------------------------------- the user's module


@pytest.mark.parametrize(
    ("target", "path", "function"),
    [
        ("m.py:f", "m.py", "f"),
        ("m.py", "m.py", "make_subject"),
        ("a/b.py:f", "a/b.py", "f"),
        ("C:/models/m.py", "C:/models/m.py", "make_subject"),
        ("C:/models/m.py:f", "C:/models/m.py", "f"),
    ],
)
def test_targets(target: str, path: str, function: str) -> None:
    assert split_target(target) == (Path(path), function)


def test_a_subject_comes_from_the_users_function(audits: Audits, module: str) -> None:
    done = run("audit", module)
    assert done.exit_code == 0, done.stderr
    assert audits.asked["subject"].space().dim == 17


def test_a_module_finds_its_neighbours() -> None:
    Path("models").mkdir()
    Path("models/neighbour.py").write_text(SUBJECT, encoding="utf-8")
    Path("models/chosen.py").write_text("from neighbour import make_subject as build", encoding="utf-8")
    assert load_subject("models/chosen.py:build").space().dim == 17


def test_a_file_that_has_changed_is_loaded_anew(module: str) -> None:
    assert load_subject(module).space().dim == 17
    Path(module).write_text(SUBJECT.replace("3", "10"), encoding="utf-8")
    assert load_subject(module).space().dim == 52


def test_a_file_that_was_mended_is_loaded(module: str) -> None:
    Path(module).write_text("raise ValueError", encoding="utf-8")
    with pytest.raises(InputError, match="ValueError at line 1"):
        load_subject(module)
    Path(module).write_text(SUBJECT, encoding="utf-8")
    assert load_subject(module).space().dim == 17


def test_another_file_of_a_name_that_is_taken_is_refused(module: str) -> None:
    Path("other").mkdir()
    shutil.copy(module, "other")
    load_subject(module)
    with pytest.raises(InputError, match=rf"'my_module' is loaded already, from {re.escape(str(Path.cwd()))}"):
        load_subject(f"other/{module}")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere.py:make_subject", ["no file at nowhere.py"]),
        ("my_module.py:missing", ["no function 'missing'", "make_subject", "not_a_subject"]),
        ("my_module.py:number", ["no function 'number'"]),
        ("my_module.py:not_a_subject", ["returned int", "pindown.Subject"]),
        ("my_module.py:fails", ["fails() in my_module.py", "ZeroDivisionError at line 16"]),
        ("my_module.py:refuses", ["a model of type int"]),
        ("broken.py", ["SyntaxError at line 2"]),
        ("raises.py", ["importing raises.py", "ModuleNotFoundError at line 1"]),
        ("notes.txt", ["cannot be imported"]),
        ("json.py", ["a module named 'json'"]),
        ("sys.py", ["a module named 'sys'"]),
    ],
)
def test_what_is_wrong_with_a_target_is_said(audits: Audits, module: str, target: str, words: list[str]) -> None:
    Path("broken.py").write_text("x = 1\ndef (:\n", encoding="utf-8")
    Path("raises.py").write_text("import there_is_no_such_module\n", encoding="utf-8")
    Path("json.py").touch()
    Path("sys.py").touch()
    Path("notes.txt").touch()
    done = run("audit", target)
    assert done.exit_code == InputError.exit_code
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not audits.asked
    assert not Path("pindown-audit").exists()


# ---------------------------------------------------------------- weights from a file


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.decode.weight = self.encode.weight


@pytest.fixture
def linear() -> nn.Linear:
    with torch.random.fork_rng():
        return nn.Linear(3, 2)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_weights_are_read(linear: nn.Linear, suffix: str, wrap: str | None) -> None:
    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    path = Path(f"weights{suffix}")
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({wrap: state, "epoch": 3} if wrap else state, path)
    before = linear.weight.detach().clone()
    again = with_weights(linear, path)
    assert torch.equal(again.get_parameter("weight"), torch.ones(2, 3))
    assert torch.equal(linear.weight, before), "the model that was handed over is left alone"


def test_of_tied_weights_one_name_is_enough() -> None:
    with torch.random.fork_rng():
        model = Tied()
    save_file({"encode.weight": torch.ones(3, 3)}, "tied.safetensors")
    again = with_weights(model, Path("tied.safetensors"))
    assert torch.equal(again.get_parameter("decode.weight"), torch.ones(3, 3))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"weight": torch.ones(2, 3)}, ["missing: bias"]),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(2), "extra": torch.ones(1)}, ["left over: extra"]),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(2)}, ["weight (3, 2) instead of (2, 3)"]),
        ({"a": torch.ones(1)}, ["missing: weight, bias", "left over: a"]),
    ],
)
def test_weights_that_do_not_fit_are_named(linear: nn.Linear, state: dict[str, torch.Tensor], words: list[str]) -> None:
    torch.save(state, "weights.pt")
    with pytest.raises(CheckpointError) as caught:
        with_weights(linear, Path("weights.pt"))
    for word in words:
        assert word in str(caught.value)


def test_files_that_hold_no_weights_are_refused(linear: nn.Linear) -> None:
    with pytest.raises(InputError, match="no file at"):
        read_state(Path("nowhere.pt"))
    Path("weights.bin").touch()
    with pytest.raises(InputError, match=r"weights\.bin"):
        read_state(Path("weights.bin"))
    for name, content in [("torn.pt", b"PK"), ("torn.safetensors", b"\x08")]:
        Path(name).write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_state(Path(name))
    torch.save([1, 2], "list.pt")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_state(Path("list.pt"))
    torch.save({}, "empty.pt")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_state(Path("empty.pt"))


def test_a_file_that_would_run_code_is_refused() -> None:
    torch.save({"weight": print}, "code.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_state(Path("code.pt"))


def test_weights_reach_the_subject(audits: Audits, module: str) -> None:
    state = {
        "0.weight": torch.ones(3, 2),
        "0.bias": torch.ones(3),
        "2.weight": torch.ones(2, 3),
        "2.bias": torch.ones(2),
    }
    save_file(state, "trained.safetensors")
    done = run("audit", module, "--weights", "trained.safetensors")
    assert done.exit_code == 0, done.stderr
    assert torch.equal(audits.asked["subject"].solutions[0].point, torch.ones(17))


def test_weights_without_a_model_are_refused(audits: Audits) -> None:
    done = run("audit", "--weights", "trained.safetensors")
    assert done.exit_code == InputError.exit_code
    assert "--weights without TARGET" in done.stderr
