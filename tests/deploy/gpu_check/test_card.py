"""The card by way of its driver, with a driver that stands in for NVIDIA's."""

from typing import Any

import pytest

from deploy.gpu_check.card import FAULT, Card, CardError

MEBIBYTE = 1 << 20


class Driver:
    """Fills in what is asked for, as the library does; what is named in `codes` fails."""

    def __init__(self, **codes: int) -> None:
        self.codes, self.called = codes, list[str]()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.called.append(name)
            if name == "cuDeviceGetName":
                arguments[0].value = b"A card"
            elif name == "cuMemGetInfo_v2":
                arguments[0]._obj.value, arguments[1]._obj.value = 30 * MEBIBYTE, 40 * MEBIBYTE
            elif name == "cuModuleLoadData":
                assert arguments[1] == FAULT
            return self.codes.get(name, 0)

        return call


def card(**codes: int) -> Card:
    driver = Driver(**codes)
    return Card(lambda _: driver)


def test_a_card_has_a_name_and_memory() -> None:
    found = card()
    assert found.name == "A card"
    assert found.memory() == (30 * MEBIBYTE, 40 * MEBIBYTE)


def test_no_driver() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(CardError, match=r"driver is not there \(libcuda.so.1: cannot open"):
        Card(load)


def test_no_card() -> None:
    with pytest.raises(CardError, match="cuInit: CUDA error 100"):
        card(cuInit=100)


def test_a_context_is_broken_by_a_kernel() -> None:
    assert card(cuCtxSynchronize=719).break_context() == "cuCtxSynchronize: CUDA error 719"


def test_a_kernel_that_does_no_harm() -> None:
    with pytest.raises(CardError, match="did no harm"):
        card().break_context()
