import pytest
from pydantic import BaseModel

from app.contract import schemas, streams
from app.http.examples import EXAMPLES
from model.tree_files import packaged_tree


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_an_answer_of_its_schema(name: str) -> None:
    schema: type[BaseModel] = getattr(streams if name.startswith("Stream") else schemas, name)
    assert (
        schema.model_validate(EXAMPLES[name], extra="forbid").model_dump(exclude_none=True, mode="json")
        == EXAMPLES[name]
    )


def test_the_examples_name_classes_of_the_packaged_tree() -> None:
    tree = packaged_tree()
    (found,) = EXAMPLES["DetectionResult"]["detections"]
    beagle = EXAMPLES["ClassDetail"]
    for path in (found["path"], beagle["path"]):
        node = tree.index(path[-1]["wnid"])
        assert [tree.wnids[step] for step in tree.path(node)] == [step["wnid"] for step in path]
        assert [tree.names[step] for step in tree.path(node)] == [step["name"] for step in path]
    assert beagle["depth"] == tree.depths[tree.index(beagle["wnid"])]
    assert EXAMPLES["DetectionResult"]["model"]["tree"] == tree.digest
    assert EXAMPLES["ModelDescription"]["tree"]["nodes"] == len(tree)
