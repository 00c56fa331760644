import pytest

from app.observe.trace_context import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"


def test_a_header_is_read_and_written() -> None:
    context = TraceContext.parse(HEADER)
    assert context == TraceContext(TRACE, SPAN, "01")
    assert str(context) == HEADER


def test_a_child_is_another_step_of_the_same_trace() -> None:
    child = TraceContext(TRACE, SPAN, "01").child()
    assert (child.trace_id, child.flags) == (TRACE, "01")
    assert child.span_id != SPAN
    assert TraceContext.parse(str(child)) == child


def test_traces_differ() -> None:
    assert TraceContext.begin().trace_id != TraceContext.begin().trace_id
    assert TraceContext.begin().flags == "00"


def test_a_later_version_may_say_more() -> None:
    assert TraceContext.parse(f"01-{TRACE}-{SPAN}-01-more") == TraceContext(TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        HEADER.upper(),
        HEADER + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        "x" * 10_000,
    ],
)
def test_other_headers_are_passed_over(header: str | None) -> None:
    assert TraceContext.parse(header) is None
