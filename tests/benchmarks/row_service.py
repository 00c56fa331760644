"""Rows about the service: what it adds to the network, under load and alone, and how soon it answers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from tests.benchmarks.bench import OURS, Bench, milliseconds
from tests.benchmarks.files import PHOTO, Model
from tests.benchmarks.rounds import Contender
from tests.benchmarks.serving import litserve as start_litserve
from tests.benchmarks.serving import one_request, ours
from tests.benchmarks.table import Line

CLIENTS = 4
LOAD_SECONDS = 3.0
STARTS = 5


def served(bench: Bench) -> list[Line]:
    """Compare a busy service with a bare loop over the network, and with all steps one after the other."""
    lines = []
    for name, model in _models(bench).items():
        with ExitStack() as stack:
            service = stack.enter_context(ours(bench.folder, model.path, PHOTO, model.threshold))
            contenders: dict[str, Contender] = {
                "bare": bench.start(stack, f"{OURS}:bare", **model.arguments),
                "sequence": bench.start(stack, f"{OURS}:whole", **model.arguments),
                "served": partial(service.seconds_a_request, CLIENTS, LOAD_SECONDS),
            }
            rounds = bench.compare(contenders)
        note = milliseconds(rounds, *contenders)
        what = f"requests a second at {CLIENTS} clients, {name}, against"
        lines += [
            Line.at_least("served", f"{what} the bare session.run loop", 0.85, rounds.ratio("bare", "served"), note),
            Line.at_least("served", f"{what} decode + run + walk", 1.1, rounds.ratio("sequence", "served"), note),
        ]
    return lines


def litserve(bench: Bench) -> list[Line]:
    """Compare with LitServe around the same file."""
    lines = []
    for name, model in _models(bench).items():
        with ExitStack() as stack:
            sessions = {"LitServe": "plain", "LitServe with our session": "ours"}
            services = {
                one: stack.enter_context(start_litserve(bench.folder, model.path, PHOTO, model.threshold, session))
                for one, session in sessions.items()
            }
            services["ours"] = stack.enter_context(ours(bench.folder, model.path, PHOTO, model.threshold))
            rounds = bench.compare(
                {one: partial(service.seconds_a_request, CLIENTS, LOAD_SECONDS) for one, service in services.items()}
            )
            memory = {one: service.megabytes for one, service in services.items()}
        speeds, shares = (
            milliseconds(rounds, *services),
            ", ".join(f"{one} {megabytes:.0f} MB" for one, megabytes in memory.items()) + " (PSS)",
        )
        for one in sessions:
            what = f"against {one} at {CLIENTS} clients, {name}:"
            lines += [
                Line.at_least("litserve", f"{what} requests", 1.1, rounds.ratio(one, "ours"), speeds),
                Line.at_most("litserve", f"{what} memory", 0.7, memory["ours"] / memory[one], shares),
            ]
    return lines


def request(bench: Bench) -> list[Line]:
    """Compare one request to the idle service with the bare network."""
    model = bench.files.default()
    with ExitStack() as stack:
        service = stack.enter_context(ours(bench.folder, model.path, PHOTO, model.threshold))
        contenders: dict[str, Contender] = {
            "bare": bench.start(stack, f"{OURS}:bare", **model.arguments),
            "steps": bench.start(stack, f"{OURS}:whole", **model.arguments),
            "over HTTP": partial(one_request, service),
        }
        rounds = bench.compare(contenders)
    note, what = milliseconds(rounds, *contenders), "embedded model, JPEG bytes (.44 megapixels) to labels"
    return [
        Line.at_most("request", f"{what}, against its bare session.run", 1.6, rounds.ratio("steps", "bare"), note),
        Line.at_most("request", f"{what}, over HTTP, likewise", 1.6, rounds.ratio("over HTTP", "bare"), note),
    ]


def start(bench: Bench) -> list[Line]:
    """Time the service from the start of its process to its first answer."""
    model = bench.files.default()

    def first_answer() -> float:
        with ours(bench.folder, model.path, PHOTO, model.threshold) as service:
            return service.first_answer

    rounds = bench.compare({"start": first_answer}, STARTS)
    what = "cold start to the first answer, embedded model"
    return [Line.at_most("start", what, 2, rounds.median("start"), rounds.note, "s")]


def _models(bench: Bench) -> dict[str, Model]:
    return {
        "yolo9000 fp32": bench.files.gated(),
        "yolo9000 int8": bench.files.int8(),
        "embedded model": bench.files.default(),
    }
