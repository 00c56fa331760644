"""Refitting: only the class layer changes, it learns what the boxes show, and every set has its share."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from model.wordtree import WordTree
from tests.training.tiny_data import tiny_run, write_data
from training.command_line import ConfigurationError
from training.commands import refit
from training.commands.export import ExportConfiguration, export_run
from training.commands.refit import RefitConfiguration, refit_run
from training.commands.train import train_detector
from training.data.batches import BatchSampler
from training.data.class_examples import ClassExamples
from training.data.mixture import Mixture
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.class_layer import TreeClassLayer
from training.runs.refit.class_fit import chances, fit_classes, label_counts
from training.weights.checkpoint import FolderInUseError, load_checkpoint

# thing (animal (dog, cat), tool), in depth-first order of its leaves
TREE = WordTree([f"n{node:08}" for node in range(5)], [-1, 0, 0, 1, 1])
DOG, CAT, TOOL = 3, 4, 2


def make_layer() -> TreeClassLayer:
    """A layer whose classifier cannot tell anything from anything."""
    layer = TreeClassLayer(4, 3, len(TREE), evidence=2)
    wnids = [TREE.wnids[node] for node in (DOG, CAT, TOOL)]
    layer.start_from(torch.zeros(3, 4), torch.zeros(3), wnids, TREE)
    layer.trust(torch.full((len(TREE),), 1e6))
    return layer


def make_examples(count: int) -> ClassExamples:
    """Dogs and cats from one set, which only the evidence tells apart, and tools from another, which features tell."""
    generator = torch.Generator().manual_seed(0)
    nodes = torch.tensor([DOG, CAT, TOOL]).repeat(count)
    features = torch.rand(3 * count, 4, generator=generator)
    features[:, 0] = (nodes == TOOL).float()
    evidence = torch.stack((nodes == DOG, nodes == CAT), dim=1)
    return ClassExamples(features.half(), evidence.half(), nodes, (nodes == TOOL).long())


def settings(tmp_path: Path, **changes: object) -> RefitConfiguration:
    values = {"run": tmp_path / "run", "output": tmp_path / "refit", "workers": 0, **changes}
    return RefitConfiguration.model_validate(values)


@pytest.mark.slow
def test_it_learns_what_the_classifier_does_not_know(tmp_path: Path) -> None:
    layer, examples, softmax = make_layer(), make_examples(40), HierarchicalSoftmax(TREE)
    configuration = settings(tmp_path, learning_rate=0.05, decay=0, passes=300, batch=30)
    loss = fit_classes(layer, examples, [1, 1], softmax, configuration)

    with torch.no_grad():
        logits = layer(examples.features.float(), examples.evidence.float())
        known = softmax.path_log_probability(softmax.log_conditionals(logits), examples.nodes).exp()
    assert known.min() > 0.9
    assert loss < 0.1


@pytest.mark.slow
def test_decay_keeps_it_near_the_classifier(tmp_path: Path) -> None:
    free, held = make_layer(), make_layer()
    for layer, decay in ((free, 0), (held, 100)):
        fit_classes(
            layer,
            make_examples(20),
            [1, 1],
            HierarchicalSoftmax(TREE),
            settings(tmp_path, decay=decay, learning_rate=0.05, passes=50),
        )
    assert held.correction.weight.norm() < 0.1 * free.correction.weight.norm()


@pytest.mark.slow
def test_what_says_little_has_a_high_temperature(tmp_path: Path) -> None:
    """Where the second kind of evidence is there, the classifier is right half of the time; elsewhere it always is."""
    layer, count = make_layer(), 200
    with torch.no_grad():
        layer.flat.weight.copy_(5 * torch.eye(3, 4))
    generator = torch.Generator().manual_seed(0)
    said = torch.randint(3, (2 * count,), generator=generator)
    blurred = torch.arange(2 * count) >= count
    true = torch.where(blurred & (torch.rand(2 * count, generator=generator) < 0.75), said.roll(1), said)
    features = torch.nn.functional.one_hot(said, 4).half()
    evidence = torch.stack((torch.zeros(2 * count), blurred.float()), dim=1)
    nodes = torch.tensor([DOG, CAT, TOOL])[true]
    examples = ClassExamples(features, evidence.half(), nodes, torch.zeros(2 * count, dtype=torch.int64))
    held = {"decay": 1e3, "passes": 60, "batch": 50, "distillation_scale": 0}
    fit_classes(layer, examples, [1], HierarchicalSoftmax(TREE), settings(tmp_path, temperature_rate=0.05, **held))

    with torch.no_grad():
        temperatures = layer.temperatures(features.float(), evidence)[:, 0]
    assert temperatures[~blurred].max() < 1.2
    assert temperatures[blurred].min() > 2

    fit_classes(layer, examples, [1], HierarchicalSoftmax(TREE), settings(tmp_path, temperature_rate=0, **held))
    with torch.no_grad():
        assert torch.equal(layer.temperatures(features.float(), evidence), torch.ones(2 * count, 1))


def test_the_same_seed_gives_the_same_layer(tmp_path: Path) -> None:
    layers = [make_layer() for _ in range(3)]
    for layer, seed in zip(layers, (1, 1, 2), strict=True):
        fit_classes(layer, make_examples(20), [1, 1], HierarchicalSoftmax(TREE), settings(tmp_path, seed=seed))
    first, again, other = (layer.correction.weight for layer in layers)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_set_has_its_share_however_large_it_is() -> None:
    sources = torch.tensor([0] * 90 + [1] * 10)
    chance = chances(sources, [1, 3, 5])  # of the third set nothing was found
    drawn = torch.multinomial(chance, 4000, replacement=True, generator=torch.Generator().manual_seed(0))
    of = Counter(sources[drawn].tolist())
    assert of[1] / of[0] == pytest.approx(3, rel=0.15)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("refit")
    write_data(root)
    assert train_detector(tiny_run(root, root / "run"))
    return root


@pytest.mark.slow
def test_only_the_class_layer_changes(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "refit"
    configuration = settings(tmp_path, run=run / "run", output=output, epochs=2, shares={"labelled": 2})
    assert refit_run(configuration) > 0

    (before, state), (after, fitted) = load_checkpoint(run / "run"), load_checkpoint(output)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.split(".", 1)[1].startswith("class_layer.") for name in changed)
    assert fitted["step"] == state["step"]
    assert fitted["refit"]["shares"] == {"labelled": 2}
    model = output / "refit.onnx"
    export_run(ExportConfiguration(run=output, output=model, sizes=(64,), default_size=64))
    assert model.exists()
    with pytest.raises(FolderInUseError, match="already holds a run"):
        refit_run(configuration)


@pytest.mark.slow
def test_overconfidence_is_made_up_for_and_changes_nothing_else(run: Path, tmp_path: Path) -> None:
    layers = []
    for factor in (1, 1.5):
        output = tmp_path / str(factor)
        refit_run(settings(tmp_path, run=run / "run", output=output, overconfidence=factor, sizes=(96,)))
        tensors, state = load_checkpoint(output)
        assert state["refit"]["overconfidence"] == factor
        assert state["refit"]["sizes"] == [96]
        layers.append({name: tensor for name, tensor in tensors.items() if "class_layer" in name})
    changed = {name for name in layers[0] if not torch.equal(layers[0][name], layers[1][name])}
    assert {name.split(".", 1)[1] for name in changed} == {"class_layer.log_temperature.bias"}
    for name in changed:
        assert (layers[1][name] - layers[0][name]).exp().item() == pytest.approx(1.5)


@pytest.mark.slow
def test_temperatures_are_raised_to_a_power_and_nothing_else_changes(run: Path, tmp_path: Path) -> None:
    layers = []
    for power in (1, 1.75):
        output = tmp_path / str(power)
        refit_run(settings(tmp_path, run=run / "run", output=output, temperature_power=power, overconfidence=1.2))
        tensors, _ = load_checkpoint(output)
        layers.append({name.split(".", 1)[1]: tensor for name, tensor in tensors.items() if "class_layer" in name})
    plain, raised = layers
    weight, bias = "class_layer.log_temperature.weight", "class_layer.log_temperature.bias"
    assert {name for name in plain if not torch.equal(plain[name], raised[name])} == {weight, bias}
    torch.testing.assert_close(raised[weight], 1.75 * plain[weight])
    torch.testing.assert_close(raised[bias] - math.log(1.2), 1.75 * (plain[bias] - math.log(1.2)))


@pytest.mark.parametrize(("adjustment", "expected"), [(0, 0.9), (0.5, 0.77), (1, 0.55)])
def test_what_is_frequent_in_a_set_is_put_down_to_the_set(tmp_path: Path, adjustment: float, expected: float) -> None:
    """Nine in ten are dogs, and nothing tells them from cats: odds of 9, of which 36 + 1 to 4 + 1 labels make 7.4."""
    layer, nodes = make_layer(), torch.tensor([DOG] * 36 + [CAT] * 4)
    examples = ClassExamples(torch.zeros(40, 4), torch.zeros(40, 2), nodes, torch.zeros(40, dtype=torch.int64))
    configuration = settings(
        tmp_path, learning_rate=0.02, temperature_rate=0, passes=400, batch=40, logit_adjustment=adjustment
    )
    softmax = HierarchicalSoftmax(TREE)
    fit_classes(layer, examples, [1], softmax, configuration)
    with torch.no_grad():
        logits = layer(torch.zeros(1, 4), torch.zeros(1, 2))
    assert softmax.log_conditionals(logits)[0, DOG].exp().item() == pytest.approx(expected, abs=0.03)


def test_labels_are_counted_on_their_whole_path() -> None:
    examples = make_examples(5)  # of dogs, cats and tools each; tools are the second set's
    counts = label_counts(examples, 3, HierarchicalSoftmax(TREE))
    assert counts.tolist() == [[10, 10, 0, 5, 5], [5, 0, 5, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.slow
def test_every_picture_is_looked_at_once_however_often_training_repeats_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run shows its pictures with boxes twice an epoch."""
    looked: list[int] = []

    def collect(_: object, mixture: Mixture, stream: BatchSampler, *__: int) -> ClassExamples:
        looked.extend(draw.item for draws in stream for draw in draws)
        looked.append(len(mixture))
        raise ConfigurationError("seen enough")

    monkeypatch.setattr(refit, "collect_examples", collect)
    with pytest.raises(ConfigurationError, match="seen enough"):
        refit_run(settings(tmp_path, run=run / "run"))
    *items, count = looked
    assert count == 16 + 8  # with boxes, and with a label; two more are held out
    assert set(items[:count]) == set(range(count))


@pytest.mark.slow
def test_what_was_seen_is_kept_for_other_settings(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "look.safetensors"

    def refitted(name: str, **changes: object) -> dict[str, torch.Tensor]:
        refit_run(settings(tmp_path, run=run / "run", output=tmp_path / name, **changes))
        tensors, state = load_checkpoint(tmp_path / name)
        assert "look" not in state["refit"]
        return tensors

    fitted = [refitted("alone"), refitted("first", look=kept)]
    monkeypatch.setattr(refit, "collect_examples", lambda *_: pytest.fail("it looked again"))
    fitted += [refitted("again", look=kept), refitted("other", look=kept, learning_rate=0.5)]
    # a refit is itself a run, whose names alone are other ones
    refit_run(settings(tmp_path, run=tmp_path / "other", output=tmp_path / "further", look=kept))

    weight = "average.class_layer.correction.weight"
    assert torch.equal(fitted[0][weight], fitted[1][weight])
    assert torch.equal(fitted[1][weight], fitted[2][weight])
    assert not torch.equal(fitted[2][weight], fitted[3][weight])
    with pytest.raises(ConfigurationError, match="is of something else: sizes, epochs differ"):
        refitted("wrong", look=kept, sizes=(96,), epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["shares", "quality_shares"])
def test_a_share_of_no_set_is_refused(run: Path, tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option}: .* no set 'coco'; its sets are tiny, labelled"):
        refit_run(settings(tmp_path, run=run / "run", **{option: {"coco": 1}}))


@pytest.mark.slow
def test_another_network_is_refused(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    network = {"name": "yolov2-tiny", "anchors": [[0.4, 0.4], [1.2, 1.5]]}
    loss = {"distillation_scale": 0}
    assert train_detector(tiny_run(run, other, network=network, loss=loss, optimizer={"steps": 1, "batch": 2}))
    with pytest.raises(ConfigurationError, match="only yolov2-lite and yolov2-efficientnet"):
        refit_run(settings(tmp_path))
    assert not json.loads((other / "checkpoint.json").read_text()).get("refit")


def knowing_layer() -> TreeClassLayer:
    """The layer above in a detector that knows all three kinds by itself."""
    layer = TreeClassLayer(4, 3, len(TREE), evidence=5, kinds=3)
    wnids = [TREE.wnids[node] for node in (DOG, CAT, TOOL)]
    layer.start_from(torch.zeros(3, 4), torch.zeros(3), wnids, TREE)
    layer.know(wnids, TREE)
    return layer


def test_what_the_detector_knows_by_itself_is_taken_where_the_classifier_knows_nothing() -> None:
    layer, softmax = knowing_layer(), HierarchicalSoftmax(TREE)
    layer.trust(torch.zeros(len(TREE)))  # no correction: only the kinds can help
    examples = make_examples(40)
    right = torch.stack([examples.nodes == node for node in (DOG, CAT, TOOL)], dim=1)
    kinds = torch.where(right, 0.6, 0.2)
    informed = examples._replace(evidence=torch.cat((examples.evidence, kinds.half()), dim=1))
    configuration = RefitConfiguration(run=Path("run"), output=Path("out"), passes=100, batch=40, logit_adjustment=0)
    fit_classes(layer, informed, [1, 1], softmax, configuration)
    with torch.no_grad():
        sure = softmax.log_conditionals(layer(informed.features.float(), informed.evidence.float())).exp()
        sureness = layer.sureness(informed.features.float(), informed.evidence.float())
        shares = layer.mixture(torch.cat((informed.features.float(), informed.evidence.float(), sureness), dim=1))
    dogs = examples.nodes == DOG
    assert shares[:, 0].max() < 0.2  # the classifier's; it began with all
    assert sure[dogs, DOG].min() > 0.75  # .6 : .2 alone, and a temperature below 1
