"""The page needs nothing but itself, and nothing in it is taken for markup."""

import json
from html.parser import HTMLParser
from pathlib import Path

from tests.model_files import tiny_metadata, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.commands.evaluate import EvaluateConfiguration, evaluate
from training.evaluation.html_report.html import Drawings, page
from training.pages.html import Drawing

HOSTILE = '<script>alert("x")</script>&'


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href", "onload"}]


def test_the_page_is_whole_and_escapes_names(tmp_path: Path) -> None:
    annotations, folder = write_pictures(tmp_path, [[Drawn((8, 8, 30, 40), "red", "beagle")], []], name="<b>set")
    content = json.loads(annotations.read_text())
    content["categories"][0]["name"] = HOSTILE
    annotations.write_text(json.dumps(content))
    model = write_tiny_model(tmp_path / "tiny.onnx", tiny_metadata(name=HOSTILE))
    output = tmp_path / "reports" / "report.html"
    evaluate(EvaluateConfiguration(model=model, sets=(f"{annotations}:{folder}",), html=output, drawn=1, threads=1))
    text = output.read_text()
    parsed = _Page()
    parsed.feed(text)
    assert "script" not in parsed.tags
    assert "b" not in parsed.tags
    assert parsed.tags.count("img") == 2  # the best and the worst
    assert parsed.tags.count("svg") == 5
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in parsed.sources)


def test_captions_are_escaped(tmp_path: Path) -> None:
    annotations, folder = write_pictures(tmp_path, [[]])
    model = write_tiny_model(tmp_path / "tiny.onnx")
    report = evaluate(EvaluateConfiguration(model=model, sets=(f"{annotations}:{folder}",), threads=1))
    text = page(report, [Drawings([Drawing(b"jpeg", HOSTILE)], [])])
    assert HOSTILE not in text
    assert "Worst pictures" not in text
