"""Rows about the service: what it adds to the network, under load and alone, and how soon it answers."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from model.providers import usable_cores
from tests.benchmarks.bench import OURS, Bench, milliseconds
from tests.benchmarks.files import PHOTO, Model
from tests.benchmarks.rounds import Contender
from tests.benchmarks.serving import http_alone, one_request, ours, seconds_of_requests
from tests.benchmarks.serving import litserve as start_litserve
from tests.benchmarks.table import Line

EMBEDDED = "embedded model"
CLIENTS = 4
LONE_REQUESTS = 2000
LOAD_SECONDS = 3.0
STARTS = 5


def served(bench: Bench) -> list[Line]:
    """Compare a busy service with a bare loop over the network, and with all steps one after the other."""
    lines = []
    for name, model in _models(bench).items():
        embedded = name == EMBEDDED
        with ExitStack() as stack:
            service = stack.enter_context(ours(bench.folder, model.path, PHOTO, model.threshold))
            sequence = bench.start(stack, f"{OURS}:whole", **model.arguments)
            contenders: dict[str, Contender] = {
                "bare": bench.start(stack, f"{OURS}:bare", **model.arguments),
                "sequence": sequence,
                "served": partial(service.seconds_a_request, CLIENTS, LOAD_SECONDS),
            }
            rounds = bench.compare(contenders)
        note = milliseconds(rounds, *contenders)
        what = f"requests a second at {CLIENTS} clients, {name}, against"
        limit = rounds.median("sequence") / (sequence.processor_seconds / usable_cores())
        headline = (
            f"{CLIENTS} clients at once get {1 / rounds.median('served'):.0f} pictures a second on {usable_cores()} "
            f"cores; the network alone, in a loop, does {1 / rounds.median('bare'):.0f}."
        )
        lines += [
            Line.at_least("served", f"{what} the bare session.run loop", 0.85, rounds.ratio("bare", "served"), note),
            Line.at_least(
                "served",
                f"{what} decode + run + walk",
                1.35 if embedded else 1.1,
                rounds.ratio("sequence", "served"),
                note,
                limit=limit,
                headline=headline if embedded else "",
            ),
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
            sequence = bench.start(stack, f"{OURS}:whole", **model.arguments)
            loads = {
                one: partial(service.seconds_a_request, CLIENTS, LOAD_SECONDS) for one, service in services.items()
            }
            rounds = bench.compare({**loads, "sequence": sequence})
            memory = {one: service.megabytes for one, service in services.items()}
        speeds = milliseconds(rounds, *services)
        shares = ", ".join(f"{one} {megabytes:.0f} MB" for one, megabytes in memory.items()) + " (PSS)"
        for one in sessions:
            what = f"against {one} at {CLIENTS} clients, {name}:"
            ratio, share = rounds.ratio(one, "ours"), memory["ours"] / memory[one]
            limit = rounds.median(one) / (sequence.processor_seconds / usable_cores())
            first = name == EMBEDDED and one == "LitServe"
            headline = (
                f"That is {ratio:.2f} times as many as with LitServe, in {share:.2f} of its memory." if first else ""
            )
            least = 1.5 if first else 1.1
            lines += [
                Line.at_least("litserve", f"{what} requests", least, ratio, speeds, limit=limit, headline=headline),
                Line.at_most("litserve", f"{what} memory", 0.7, share, shares),
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
    note, what = milliseconds(rounds, *contenders), "embedded model, JPEG (.44 megapixels) to labels"
    over_http, bare = 1e3 * rounds.median("over HTTP"), 1e3 * rounds.median("bare")
    headline = f"A photo is answered in {over_http:.0f} ms over HTTP, of which the network alone takes {bare:.0f}."
    beside, whole = (1e3 * rounds.less(name, "bare") for name in ("steps", "over HTTP"))
    return [
        Line.at_most("request", f"{what}, without HTTP, less session.run", 6, beside, note, "ms"),
        Line.at_most("request", f"{what}, over HTTP, less session.run", 8, whole, note, "ms", headline=headline),
    ]


def http(bench: Bench) -> list[Line]:
    """Compare a request of which every step is a stub with a bare server that answers as many bytes."""
    model = bench.files.default().path
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {
            kind: partial(one_request, stack.enter_context(http_alone(bench.folder, model, PHOTO, kind)))
            for kind in ("bare", "ours")
        }
        rounds = bench.compare(contenders)
    what = "HTTP alone: all steps are stubs, against uvicorn and Starlette that answer the same bytes"
    return [Line.at_most("http", what, 1.3, rounds.ratio("ours", "bare"), milliseconds(rounds, *contenders))]


def tail(bench: Bench) -> list[Line]:
    """Look at the slowest of many requests of one client."""
    model = bench.files.default()
    count = 50 if bench.quick else LONE_REQUESTS
    with ours(bench.folder, model.path, PHOTO, model.threshold) as service:
        taken = sorted(seconds_of_requests(service, count))
    middle, slow = taken[count // 2], taken[int(0.99 * count)]
    note = f"p50 {1e3 * middle:.1f} ms, p99 {1e3 * slow:.1f} ms, slowest {1e3 * taken[-1]:.1f} ms, of {count} requests"
    return [Line.at_most("tail", "embedded model, one client: p99 against p50", 1.5, slow / middle, note)]


def start(bench: Bench) -> list[Line]:
    """Time the service from the start of its process to its first answer."""
    model = bench.files.default()

    def first_answer() -> float:
        with ours(bench.folder, model.path, PHOTO, model.threshold) as service:
            return service.first_answer

    rounds = bench.compare({"start": first_answer}, STARTS)
    seconds = rounds.median("start")
    headline = f"The first answer comes {seconds:.1f} s after the start of the process, the network warmed up."
    what = "cold start to the first answer, embedded model"
    return [Line.at_most("start", what, 1.2, seconds, rounds.note, "s", headline=headline)]


def _models(bench: Bench) -> dict[str, Model]:
    return {
        "yolo9000 fp32": bench.files.gated(),
        "yolo9000 int8": bench.files.int8(),
        EMBEDDED: bench.files.default(),
    }
