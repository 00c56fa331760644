"""`python -m training`: what it does without being told, and how it fails."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.metadata import InvalidModelError
from model.session import ProviderUnavailableError
from tests.model_files import write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from tests.unprivileged import nobodys_folder
from training import __main__ as program
from training.__main__ import COMMANDS, main
from training.command_line import ConfigurationError
from training.commands import export
from training.commands import train as train_command
from training.commands.export import ExportConfiguration
from training.configurations.train import TrainConfiguration
from training.darknet.errors import DarknetError
from training.data.formats.detection_set import InvalidDatasetError
from training.export.model_file import ExportError, ExportReport
from training.weights.checkpoint import FolderInUseError, InvalidCheckpointError

ROOT = Path(program.__file__).parents[1]
LEAST = ("--output", "a", "--detection", '{"annotations": "a", "pictures": "b"}', "--loop.workers", "0")


@pytest.mark.slow
def test_help_names_every_command_and_loads_no_torch() -> None:
    check = "import sys; from training.__main__ import main; main(['--help']); sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(f"\n{command} " in result.stdout for command in COMMANDS)
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)])
def test_help(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "python -m training COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main((command, "--help"))
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: python -m training {command} [--configuration FILE.yaml]" in text
    assert "--output Path" in text


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("learn",)) == 2
    assert capsys.readouterr().err == (
        "There is no command 'learn'; use one of: look, index, wordtree, anchors, pretrain, train, teach, remember, "
        "refit, export, evaluate, quantize, import-darknet, export-darknet.\n"
    )


def test_help_shows_what_most_runs_need_and_help_all_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for flag in ("--help", "--help-all"):
        with pytest.raises(SystemExit) as caught:
            main(("train", flag))
        assert caught.value.code == 0
        texts.append(capsys.readouterr().out)
    short, long = ({line.split()[0].strip(",") for line in text.splitlines() if "  --" in line} for text in texts)
    assert len(short) == 12
    assert short < long
    assert f"--help-all shows all {len(long)} options." in texts[0]
    assert "--network" not in long
    assert "network options:" in texts[1]


@pytest.mark.parametrize(("former", "now"), [("detect", "train"), ("classify", "pretrain")])
def test_a_former_name_leads_to_the_new_one(former: str, now: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main((former, "--help")) == 2
    assert capsys.readouterr().err == f"There is no command {former!r}; it is now {now!r}.\n"


@pytest.mark.slow
def test_an_error_is_one_message_without_a_traceback(tmp_path: Path) -> None:
    """As the shell sees it."""
    command = [sys.executable, "-m", "training", "export", "--run", str(tmp_path), "--output", str(tmp_path / "a.onnx")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert (
        result.stderr == f"{tmp_path}/checkpoint.json: there is no checkpoint to be read (No such file or directory)\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_configuration(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main((command, "--bogus", "3")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "unrecognized arguments: --bogus" in captured.err
    assert captured.err.endswith(f"; see `python -m training {command} --help`\n")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("this is wrong"),
        ExportError("this is wrong"),
        FloatingPointError("this is wrong"),
        FolderInUseError("this is wrong"),
        InvalidModelError("this is wrong"),
        InvalidCheckpointError("this is wrong"),
        DarknetError("this is wrong"),
        InvalidDatasetError("this is wrong"),
        OSError("this is wrong"),
        ProviderUnavailableError("this is wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_caller_can_put_right_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Sequence[str]) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, "train", fail)
    assert main(("train",)) == 2
    assert capsys.readouterr() == ("", "this is wrong\n")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Sequence[str]) -> int:
        raise ValueError("shapes differ")

    monkeypatch.setitem(COMMANDS, "train", fail)
    with pytest.raises(ValueError, match="shapes differ"):
        main(("train",))


@pytest.mark.parametrize(("reached", "status"), [(True, 0), (False, 130)])
def test_train(reached: bool, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def train(configuration: TrainConfiguration) -> bool:
        given.append(configuration)
        return reached

    monkeypatch.setattr(train_command, "train_detector", train)
    assert main(("train", *LEAST, "--seed", "4")) == status
    assert (given[0].seed, given[0].output) == (4, Path("a"))


def test_an_interrupt_before_training_is_a_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(_: TrainConfiguration) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_command, "train_detector", train)
    assert main(("train", *LEAST)) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(configuration: ExportConfiguration) -> ExportReport:
        assert configuration.half_storage
        return ExportReport(size=12_345_678, boxes=0.00012, objectness=0.0, probabilities=2e-7)

    monkeypatch.setattr(export, "export_run", run)
    assert main(("export", "--run", "a", "--output", "b.onnx", "--half-storage")) == 0
    assert capsys.readouterr().out == (
        "b.onnx: 12.3 MB; largest differences to torch: 0.0001 cells in boxes, 0 in objectness, 2e-07 in "
        "probabilities\n"
    )


def test_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    write_pictures(tmp_path, [[Drawn((8, 8, 30, 40), "red", "beagle")]], name="red")
    arguments = ("evaluate", "--model", str(model), "--data", str(tmp_path), "--sets", "red", "--threads", "1")
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["red", "1", "1"]
    assert main((*arguments, "--size", "100")) == 2
    assert capsys.readouterr().err == "size: the model takes 64, 96, 128 px, not 100 px\n"


def test_without_the_packages_of_training(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Sequence[str]) -> int:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    monkeypatch.setitem(COMMANDS, "train", fail)
    assert main(("train",)) == 2
    assert capsys.readouterr().err == "torch.nn is not installed; training needs `pip install yolo9000[train,cpu]`\n"


def test_a_module_of_our_own_that_is_missing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Sequence[str]) -> int:
        raise ModuleNotFoundError("No module named 'training.nothing'", name="training.nothing")

    monkeypatch.setitem(COMMANDS, "train", fail)
    with pytest.raises(ModuleNotFoundError):
        main(("train",))


def test_what_may_not_be_read_is_told_with_whom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nobodys_folder() as folder:
        monkeypatch.setitem(COMMANDS, "anchors", lambda _: len(list(folder.iterdir())))
        folder.chmod(0)
        assert main(["anchors"]) == 2
        who = f"user {os.geteuid()}, group {os.getegid()}"
    assert capsys.readouterr().err == f"{folder}: permission denied to {who}\n"
