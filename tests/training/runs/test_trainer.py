"""The training loop: the same weights however often it is stopped and resumed, and nothing lost when it fails."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.sources import source
from tests.training.tiny_run import NEVER, STEPS, Check, Network, make_trainer, noise
from training.data.augmentation.augment import AugmentConfiguration
from training.data.formats.detection_set import InvalidDatasetError
from training.data.mixture import Example, Mixture, SampleRequest
from training.data.pictures.picture import LabelOnlyPicture
from training.runs import trainer as module
from training.runs.saving import Saver
from training.runs.stopping import stop_on_signal
from training.runs.trainer import Trainer
from training.weights.checkpoint import InvalidCheckpointError, load_checkpoint


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return noise(tmp_path_factory.mktemp("pictures"))


def everything(folder: Path) -> dict[str, Tensor]:
    tensors, state = load_checkpoint(folder)
    assert state == {"step": STEPS, "tree": "oak"}
    return tensors


@pytest.fixture(scope="module")
def whole(mixture: Mixture, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What a run in one go leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert make_trainer(mixture, folder).run()
    return everything(folder)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def stop_at(step: int, number: int) -> Check:
    def check(now: int, loss: Tensor) -> Tensor:
        if now == step:
            os.kill(os.getpid(), number)
        return loss

    return check


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stops", [(0,), (4,), (2, 3, 9)])
def test_stopped_and_resumed_it_ends_with_the_same_weights(
    mixture: Mixture, tmp_path: Path, whole: dict[str, Tensor], stops: tuple[int, ...], number: int
) -> None:
    for stop in stops:
        run = make_trainer(mixture, tmp_path, check=stop_at(stop, number))
        if stop != stops[0]:
            run.resume()
        assert not run.run()
        assert load_checkpoint(tmp_path).state["step"] == stop + 1
        torch.manual_seed(stop)  # must not matter
    run = make_trainer(mixture, tmp_path)
    run.resume()
    assert run.step == stops[-1] + 1
    assert run.run()
    assert_equal(everything(tmp_path), whole)


# Python 3.12 and later warn of any fork beside threads, such as torch's own.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_change_nothing(mixture: Mixture, tmp_path: Path, whole: dict[str, Tensor]) -> None:
    run = make_trainer(mixture, tmp_path, loop=NEVER.model_copy(update={"workers": 1}))
    assert run.run()
    assert_equal(everything(tmp_path), whole)


def test_a_stop_at_the_last_step_is_the_end(mixture: Mixture, tmp_path: Path, whole: dict[str, Tensor]) -> None:
    assert make_trainer(mixture, tmp_path, check=stop_at(STEPS - 1, signal.SIGTERM)).run()
    assert_equal(everything(tmp_path), whole)


def test_a_finished_run_can_be_resumed(mixture: Mixture, tmp_path: Path, whole: dict[str, Tensor]) -> None:
    make_trainer(mixture, tmp_path).run()
    run = make_trainer(mixture, tmp_path)
    run.resume()
    assert run.run()
    assert_equal(everything(tmp_path), whole)


def test_checkpoints_on_the_way(mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    real = Trainer.save

    def save(run: Trainer, saver: Saver) -> None:
        saved.append(run.step)
        real(run, saver)

    monkeypatch.setattr(Trainer, "save", save)
    make_trainer(mixture, tmp_path, loop=NEVER.model_copy(update={"checkpoint_every": 1e-9})).run()
    assert saved == [*range(1, STEPS + 1), STEPS]
    saved.clear()
    make_trainer(mixture, tmp_path).run()
    assert saved == [STEPS]


def test_a_stop_between_two_looks_is_not_lost(
    mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for at any moment a stop ends with a checkpoint of the last step, wherever it is noticed first."""
    for late in range(3):
        monkeypatch.setattr(module, "stop_on_signal", lambda late=late: _asked_at_look(5 + late))
        folder = tmp_path / str(late)
        run = make_trainer(mixture, folder)
        assert not run.run()
        assert load_checkpoint(folder).state["step"] == run.step < STEPS


class _asked_at_look:  # noqa: N801 - stands in for a function
    """A `stop_on_signal` under which the answer turns at a given look."""

    def __init__(self, look: int) -> None:
        self.looks, self.look = 0, look

    def __enter__(self) -> Callable[[], bool]:
        return self.ask

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self) -> bool:
        self.looks += 1
        return self.looks >= self.look


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(mixture: Mixture, tmp_path: Path, value: float) -> None:
    run = make_trainer(
        mixture,
        tmp_path,
        loop=NEVER.model_copy(update={"checkpoint_every": 1e-9}),
        check=lambda step, loss: loss * value if step == 5 else loss,
    )
    with pytest.raises(FloatingPointError, match=rf"the loss is {value} at step 5; .*lower learning rates"):
        run.run()
    tensors, state = load_checkpoint(tmp_path)
    assert state["step"] == 5
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_a_gradient_that_is_not_finite(mixture: Mixture, tmp_path: Path) -> None:
    """The loss is fine, but its step would leave weights that are not, and a checkpoint of them."""

    def check(step: int, loss: Tensor) -> Tensor:
        return (loss - loss.detach()).sqrt() + 1 if step == 5 else loss  # d sqrt(0) is infinite

    run = make_trainer(mixture, tmp_path, loop=NEVER.model_copy(update={"checkpoint_every": 1e-9}), check=check)
    with pytest.raises(FloatingPointError, match=r"the norm of the gradient is (nan|inf) at step 5"):
        run.run()
    assert load_checkpoint(tmp_path).state["step"] == 5
    assert all(bool(value.isfinite().all()) for value in run.network.state_dict().values())


def test_a_broken_picture_leaves_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"nothing")
    broken = Mixture([source("x", [LabelOnlyPicture(path, 0)])], np.arange(2), AugmentConfiguration(), 0)
    with pytest.raises(InvalidDatasetError, match=r"broken\.png"):
        make_trainer(broken, tmp_path / "run").run()
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_the_steps_before_a_broken_picture_are_saved(
    mixture: Mixture, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    """A picture that breaks while the run reads it; the run goes on from there once it is mended."""

    class Breaking:
        seed, items = mixture.seed, mixture.items
        broken = True

        def __len__(self) -> int:
            return len(mixture)

        def __getitem__(self, draw: SampleRequest) -> Example:
            if self.broken and draw.position >= 20:
                raise InvalidDatasetError(f"{draw.position}.png: damaged")
            return mixture[draw]

    examples = Breaking()
    with pytest.raises(InvalidDatasetError, match=r"\.png: damaged\. The run saved a checkpoint at step \d+: continue"):
        make_trainer(examples, tmp_path).run()
    assert 0 < load_checkpoint(tmp_path).state["step"] < STEPS
    examples.broken = False
    rest = make_trainer(examples, tmp_path)
    rest.resume()
    assert rest.run()
    assert_equal(everything(tmp_path), whole)


def test_a_checkpoint_of_another_network(mixture: Mixture, tmp_path: Path) -> None:
    make_trainer(mixture, tmp_path).run()
    run = make_trainer(mixture, tmp_path)
    run.network.last = nn.Linear(4, 2)
    with pytest.raises(InvalidCheckpointError, match="weights are another network's"):
        run.resume()


def test_nothing_to_resume(mixture: Mixture, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpointError, match="there is no checkpoint"):
        make_trainer(mixture, tmp_path).resume()


def test_frozen_parameters_stay_and_others_move(whole: dict[str, Tensor]) -> None:
    before = Network().state_dict()
    for name, value in before.items():
        moved = not torch.equal(whole[f"network.{name}"], value)
        assert moved == (not name.startswith("frozen")), name


@pytest.fixture
def sigint() -> Iterator[None]:
    """Let it raise KeyboardInterrupt, as in a terminal: what a script starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint")
def test_a_second_signal_acts_as_usual() -> None:
    with stop_on_signal() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
