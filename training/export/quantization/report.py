"""What came of a quantisation."""

from dataclasses import dataclass
from pathlib import Path

from training.evaluation.report import SetReport
from training.export.quantization.gate import scores


@dataclass(frozen=True)
class QuantizeReport:
    """What came out.

    Attributes:
        output: the file.
        size: its bytes.
        layers: layers that could be quantised.
        in_float: those of them that were not.
        disagreement: see `training.export.quantization.sensitivity`, on calibration pictures.
        before, after: the scores of the sets; () without the gate.
        precision: what the network computes in.
    """

    output: Path
    size: int
    layers: int
    in_float: tuple[str, ...]
    disagreement: float
    before: tuple[SetReport, ...]
    after: tuple[SetReport, ...]
    precision: str = "int8"

    def table(self) -> str:
        """Return it as text."""
        made = f"{self.layers - len(self.in_float)} of {self.layers} layers with 8 bits"
        off = f"disagreement on calibration pictures {self.disagreement:.3f}"
        told = f"{made}; {off}" if self.precision == "int8" else f"the network computes in {self.precision}"
        lines = [f"{self.output}: {self.size / 1e6:.1f} MB; {told}"]
        for before, after in zip(self.before, self.after, strict=True):
            pairs = zip(scores(before).items(), scores(after).values(), strict=True)
            shown = ", ".join(f"{name} {_percent(old)} -> {_percent(new)}" for (name, old), new in pairs)
            lines.append(f"{before.name}: {shown}")
        return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
