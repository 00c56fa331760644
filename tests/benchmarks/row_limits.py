"""Rows without a target: what threads are worth, and where the time goes."""

from __future__ import annotations

from contextlib import ExitStack

from tests.benchmarks.bench import OURS, Bench, milliseconds
from tests.benchmarks.files import BOXES, Model
from tests.benchmarks.table import Line

SIDE = 2048
"""Of the square matrices whose product is the measure; smaller and larger ones are not faster."""

KINDS_TOLD = 5

GIGAFLOP_OF_YOLO9000 = 49.1 - 16.7
"""2 for each multiply-add at 544 px, without the class layer."""

CLASS_ROWS, FEATURES = 9418, 1024


def threads(bench: Bench) -> list[Line]:
    """Compare ONNX Runtime's ways of waiting, and numbers of threads."""
    model = bench.files.default()
    with ExitStack() as stack:
        contenders = {
            "spinning": bench.start(stack, f"{OURS}:bare", **model.arguments),
            "waiting": bench.start(stack, f"{OURS}:bare", **model.arguments, spinning=False),
            "one thread": bench.start(stack, f"{OURS}:bare", **model.arguments, threads=1),
            "too many": bench.start(stack, f"{OURS}:bare", **model.arguments, threads=8),
        }
        rounds = bench.compare(contenders)
    lines = [
        Line.told(
            "threads", f"embedded model: {what} against spinning threads", f"{rounds.ratio(name, 'spinning'):.2f} x", ""
        )
        for name, what in (
            ("waiting", "waiting threads, as the service has them,"),
            ("one thread", "one thread"),
            ("too many", "8 threads"),
        )
    ]
    with ExitStack() as stack:
        confined = ("taskset", "-c", "0")
        contenders = {
            "one": bench.start(stack, f"{OURS}:whole", *confined, **model.arguments),
            "two": bench.start(stack, f"{OURS}:bare", *confined, **model.arguments, threads=2),
        }
        alone = bench.compare(contenders)
    what = "embedded model confined to one core: two spinning threads against the whole request with our own number"
    return [
        *(
            Line(one.row, one.what, one.target, one.found, one.state, milliseconds(rounds, *rounds.values))
            for one in lines
        ),
        Line.told("threads", what, f"{alone.ratio('two', 'one'):.2f} x", milliseconds(alone, *alone.values)),
    ]


def limits(bench: Bench) -> list[Line]:
    """Say how near the network is to the machine's best matrix product, and what takes the time."""
    product = 2 * SIDE**3 / 1e9
    with ExitStack() as stack:
        libraries = {
            name: bench.start(stack, f"{OURS}:product", library=name, side=SIDE)
            for name in ("numpy", "torch", "onnxruntime", "onnxruntime int8")
        }
        best = bench.compare(libraries)
    speeds = {name: product / best.median(name) for name in libraries}
    note = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
    lines = [Line.told("limits", f"matrix product of {SIDE} x {SIDE}, billion operations a second", note, best.note)]
    most = max(speed for name, speed in speeds.items() if "int8" not in name)
    work = GIGAFLOP_OF_YOLO9000 + BOXES * 2 * CLASS_ROWS * FEATURES / 1e9
    for name, model, limit in (
        ("fp32", bench.files.gated(), most),
        ("int8", bench.files.int8(), speeds["onnxruntime int8"]),
    ):
        with ExitStack() as stack:
            rounds = bench.compare({"bare": bench.start(stack, f"{OURS}:bare", **model.arguments)})
        speed = work / rounds.median("bare")
        what = f"yolo9000 {name}: billion operations a second, and as a part of the best matrix product"
        lines.append(
            Line.told("limits", what, f"{speed:.0f}, {100 * speed / limit:.0f} %", milliseconds(rounds, "bare"))
        )
    for name, model in (
        ("yolo9000 fp32", bench.files.gated()),
        ("yolo9000 int8", bench.files.int8()),
        ("embedded model", bench.files.default()),
    ):
        lines.append(
            Line.told(
                "limits",
                f"{name}: where session.run spends its time",
                _kinds(bench, model),
                "one thread, ONNX Runtime's profile",
            )
        )
    return lines


def _kinds(bench: Bench, model: Model) -> str:
    with ExitStack() as stack:
        worker = bench.start(stack, f"{OURS}:profiled", **model.arguments)
        arrays = worker.outputs(bench.folder / "profile.npz")
    shares = arrays["microseconds"] / arrays["microseconds"].sum()
    largest = shares.argsort()[::-1][:KINDS_TOLD]
    return ", ".join(f"{arrays['kinds'][one]} {100 * shares[one]:.0f} %" for one in largest)
