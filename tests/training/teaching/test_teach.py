"""`teach`: from folders of pictures to a model file that answers with their concepts."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from model.metadata import InvalidModelError
from model.runtime import OnnxDetector
from tests.model_files import write_tiny_model
from tests.training.teaching.colour_files import colour_file, colour_memory, paint
from training.command_line import ConfigurationError
from training.data.formats.detection_set import InvalidDatasetError
from training.teaching.file.seen import NotTeachableError
from training.teaching.memory import InvalidMemoryError, Memory
from training.teaching.teach import TeachConfiguration, TeachReport, teach

CAR, TRUCK, VEHICLE = "n02958343", "n04490091", "n04524313"
RED, BLUE, GREEN = (220, 30, 30), (30, 30, 220), (30, 200, 30)


class School:
    """A model file, a memory, and folders of pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = colour_file(folder)
        self.memory = colour_memory(folder)
        self.red = paint(folder / "red", RED, 8)
        self.blue = paint(folder / "blue", BLUE, 8)
        self.green = paint(folder / "green", GREEN, 8)
        self.output = folder / "out" / "mine.onnx"

    def teach(
        self, *concept: str, model: Path | None = None, forget: tuple[str, ...] = (), **more: object
    ) -> TeachReport:
        return teach(
            TeachConfiguration.model_validate(
                {
                    "concept": concept,
                    "forget": forget,
                    "model": model or self.model,
                    "output": self.output,
                    "memory": self.memory,
                    **more,
                }
            )
        )

    def label(self, colour: tuple[int, int, int], model: Path | None = None) -> str:
        """Return what a picture of a colour is called."""
        detector = OnnxDetector.load(model or self.output)
        found = detector.detect(Image.new("RGB", (40, 40), colour))
        return detector.tree.names[int(found.nodes[0])]


@pytest.fixture
def school(tmp_path: Path) -> School:
    return School(tmp_path)


def test_a_concept_of_the_tree_and_a_new_one_are_learned(school: School) -> None:
    report = school.teach(f"{CAR}={school.red}", f"fire engine<truck={school.blue}")
    assert [(one.name, one.pictures, one.named) for one in report.concepts] == [("car", 8, 8), ("fire engine", 8, 8)]
    assert "car: named when left out: 8 of 8 (100 %); taken for: -" in report.table()
    assert school.label(RED) == "car"
    assert school.label(BLUE) == "fire engine"
    detector = OnnxDetector.load(school.output)
    metadata = detector.metadata
    assert metadata.version == "1.2.3+taught"
    assert {"car", "fire engine", "another truck"} <= set(metadata.trained_tree.names)
    assert {"car", "fire engine"} <= {metadata.tree.names[node] for node in metadata.labelled}
    assert metadata.training["taught"] == {
        CAR: {"name": "car", "pictures": 8, "named_when_left_out": 8},
        "fire_engine": {"name": "fire engine", "pictures": 8, "named_when_left_out": 8},
    }
    assert metadata.evaluation == {"before_it_was_taught": {"mAP50": 0.5}}


def test_what_is_none_of_them_is_named_as_before(school: School) -> None:
    school.teach(f"{CAR}={school.red}", f"fire engine<truck={school.blue}")
    for grey in range(0, 256, 15):
        assert school.label((grey, grey, grey)) == school.label((grey, grey, grey), school.model)


def test_no_answer_ends_at_all_other_kinds(school: School) -> None:
    school.teach(f"fire engine<truck={school.blue}")
    detector = OnnxDetector.load(school.output)
    others = detector.tree.index("another_truck")
    assert not detector.metadata.unproven[: np.searchsorted(detector.metadata.trained, others)].any()
    assert detector.metadata.unproven[np.searchsorted(detector.metadata.trained, others)]
    assert detector.metadata.answered_by(others) == detector.tree.index(TRUCK)


@pytest.mark.slow
def test_more_can_be_taught_later_and_anything_forgotten(school: School) -> None:
    school.teach(f"{CAR}={school.red}")
    second = school.folder / "second.onnx"
    school.teach(f"boat<{VEHICLE}={school.green}", model=school.output, output=second)
    assert (school.label(RED, second), school.label(GREEN, second)) == ("car", "boat")
    third = school.folder / "third.onnx"
    report = school.teach(model=second, forget=("car",), output=third)
    assert report.forgotten == ("car",)
    assert school.label(RED, third) == school.label(RED, school.model)
    assert school.label(GREEN, third) == "boat"
    fourth = school.folder / "fourth.onnx"
    school.teach(model=third, forget=("boat",), output=fourth)
    plain, forgetful = (onnx.load(path) for path in (school.model, fourth))
    assert {one.name for one in plain.graph.initializer} <= {one.name for one in forgetful.graph.initializer}
    assert OnnxDetector.load(fourth).metadata.tree.digest == OnnxDetector.load(school.model).metadata.tree.digest
    assert school.label(GREEN, fourth) == school.label(GREEN, school.model)


def test_a_concept_the_model_had_can_be_forgotten_and_taught_anew(school: School) -> None:
    school.teach(f"n02113335={school.red}", forget=("poodle",))
    assert school.label(RED) == "poodle"
    school.teach(forget=("poodle",))
    metadata = OnnxDetector.load(school.output).metadata
    assert "poodle" not in metadata.trained_tree.names
    assert "poodle" in metadata.tree.names


@pytest.mark.slow
def test_pictures_with_boxes_can_be_taught(school: School) -> None:
    labels = school.folder / "yolo"
    labels.mkdir()
    (labels / "data.yaml").write_text("names: [boat]\n")
    shutil.copytree(school.green, labels / "images")
    (labels / "labels").mkdir()
    for picture in sorted((labels / "images").iterdir()):
        (labels / "labels" / f"{picture.stem}.txt").write_text("0 0.333 0.333 0.666 0.666\n")
    school.teach(f"boat<vehicle={labels / 'data.yaml'}:{labels / 'images'}")
    assert school.label(GREEN) == "boat"
    (labels / "data.yaml").write_text("names: [boat]\ntrain: images\n")
    packed = shutil.make_archive(str(school.folder / "boats"), "zip", labels)
    school.output.unlink()
    school.teach(f"boat<vehicle={packed}")
    assert school.label(GREEN) == "boat"


def test_a_zip_file_of_pictures_can_be_taught(school: School) -> None:
    school.teach(f"boat<vehicle={shutil.make_archive(str(school.folder / 'boats'), 'zip', school.green)}")
    assert school.label(GREEN) == "boat"


def test_a_picture_of_something_else_is_pointed_out(school: School) -> None:
    paint(school.red, (128, 128, 128), 1)  # in the place of the first
    (report,) = school.teach(f"{CAR}={school.red}").concepts
    assert report.named == 7
    (doubtful,) = report.doubtful
    assert "0.png looks wrong" in doubtful
    assert sum(count for _, count in report.taken_for) == 1


@pytest.mark.parametrize(
    ("concepts", "reason"),
    [
        ((), "nothing to do"),
        (("car",), "cannot be read"),
        (("=photos",), "cannot be read"),
        (("dog={red}",), "answers with n02084071 \\(dog\\) already"),
        (("wagon={red}",), "there is no concept 'wagon'"),
        (("wagon<={red}",), "cannot be read"),
        (("dog<vehicle={red}", "dog<animal={blue}"), "dog"),
        (("beagle<vehicle={red}", "beagle<animal={blue}"), "name yours otherwise"),
        (("object={red}",), "root of the tree"),
        (("car={red}", "car={blue}"), "already"),
        (("car={few}",), "has 3 different pictures; 4 are the least"),
        (("car={red}", "boat<vehicle={copy}"), "are one picture"),
        (("car={red}", "boat<vehicle={alike}"), "cannot be told apart"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(school: School, concepts: tuple[str, ...], reason: str) -> None:
    few = paint(school.folder / "few", RED, 3)
    shutil.copy(few / "0.png", few / "the same again.png")
    shutil.copytree(school.red, school.folder / "copy")
    places = {
        "red": school.red,
        "blue": school.blue,
        "few": few,
        "copy": school.folder / "copy",
        "alike": school.folder / "alike",
    }
    places["alike"].mkdir()
    for picture in school.red.iterdir():
        Image.open(picture).resize((50, 50)).save(places["alike"] / picture.name)
    with pytest.raises(ConfigurationError, match=reason):
        school.teach(*(concept.format(**places) for concept in concepts))
    assert not school.output.exists()


@pytest.mark.slow
def test_many_pictures_are_left_out_together(school: School) -> None:
    many = paint(school.folder / "many", GREEN, 45)
    car, boat = school.teach(f"{CAR}={school.red}", f"boat<{VEHICLE}={many}").concepts
    assert (car.pictures, car.named) == (8, 8)
    assert (boat.pictures, boat.named) == (45, 45)


@pytest.mark.parametrize("forgotten", ["zebra", "animal"])
def test_what_cannot_be_forgotten_is_refused(school: School, forgotten: str) -> None:
    with pytest.raises(ConfigurationError, match="forget: "):
        school.teach(forget=(forgotten,))


def test_files_that_cannot_be_used_are_refused(school: School) -> None:
    with pytest.raises(InvalidDatasetError, match="no such folder"):
        school.teach(f"{CAR}={school.folder / 'nowhere'}")
    (school.red / "0.png").write_bytes(b"no picture")
    with pytest.raises(InvalidDatasetError, match="cannot be read"):
        school.teach(f"{CAR}={school.red}")
    with pytest.raises(InvalidModelError, match="cannot be read"):
        school.teach(f"{CAR}={school.red}", model=school.memory)
    with pytest.raises(NotTeachableError, match="class layer"):
        school.teach(f"{CAR}={school.red}", model=write_tiny_model(school.folder / "tiny.onnx"))
    with pytest.raises(ConfigurationError, match="sizes: the model takes"):
        school.teach(f"{CAR}={school.blue}", sizes=(100,))


def test_another_models_memory_is_refused(school: School) -> None:
    memory = Memory.read(school.memory)
    memory.identity = "another"
    memory.write(school.memory)
    with pytest.raises(InvalidMemoryError, match="another model's memory"):
        school.teach(f"{CAR}={school.red}")
