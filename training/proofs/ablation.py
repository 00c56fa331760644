"""What four of YOLOv2's ideas are worth (paper section 2, table 2): each run leaves out one of them.

    python -m training.proofs.ablation [--output runs/ablation] [--steps N] [--seeds 1]

Every run has the same budget, data and seed. Started again it goes on where it stopped.
"""

import statistics
import sys
from pathlib import Path
from typing import Any, Final

from training.proofs.runs import configuration_of, parse, train_and_score

CONFIGURATION: Final = Path(__file__).parents[1] / "configurations" / "ablation.yaml"
SIZE: Final = 352
# two sizes in three shapes, as region proposal networks pick theirs by hand; as many as the clusters are
HAND_PICKED: Final = ((2.1, 4.2), (3.0, 3.0), (4.2, 2.1), (7.1, 14.1), (10.0, 10.0), (14.1, 7.1))
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "all four": {},
    "anchors picked by hand": {"network": {"anchors": HAND_PICKED}},
    "offsets for direct location": {"network": {"location": "offsets"}},
    "no passthrough": {"network": {"passthrough": False}},
    "a single size": {"sizes": [SIZE]},
}


def main() -> None:
    """Run what is left to run, and print the table."""
    options = parse(__doc__, CONFIGURATION, Path("runs/ablation"))
    rows = ["| | AP50 | AP | recall |", "|---|---|---|---|"]
    for name, changes in VARIANTS.items():
        reports = []
        for seed in range(options.seeds):
            folder = options.output / f"{name.replace(' ', '-')}-{seed}"
            configuration = configuration_of(
                options.configuration, options.steps, {**changes, "output": folder, "seed": seed}
            )
            reports.append(
                train_and_score(
                    configuration,
                    options.data / "annotations" / "voc_val.json",
                    options.data / "images" / "voc_val",
                    SIZE,
                )
            )
        means = (statistics.fmean(getattr(one, key) or 0.0 for one in reports) for key in ("ap50", "ap", "recall"))
        rows.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in means)} |")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
