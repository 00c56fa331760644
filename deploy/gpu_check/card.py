"""The card, by way of NVIDIA's driver: which it is, how much of its memory is free, and a fault that ends its work.

The driver's library is all this needs; neither PyTorch nor a compiler of CUDA has to be there.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

LIBRARY: Final = "libcuda.so.1"

FAULT: Final = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry fault()
{
    trap;
    ret;
}
"""
"""A kernel that traps. Every later call of the process on this card fails, as it does when a card falls off its bus.
The driver translates it for newer cards."""


class CardError(RuntimeError):
    """There is no card that can be used, or a call of its driver failed."""


class Card:
    """The first card, in the context that ONNX Runtime and PyTorch use, too.

    Attributes:
        name: as its maker calls it.
    """

    def __init__(self, load: Callable[[str], Any] = ctypes.CDLL) -> None:
        """Find the card.

        Args:
            load: loads a shared library.

        Raises:
            CardError: there is no driver or no card.
        """
        try:
            self._driver = load(LIBRARY)
        except OSError as error:
            raise CardError(f"NVIDIA's driver is not there ({error})") from error
        device, context, name = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(100)
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDeviceGetName", name, len(name), device)
        self.name = name.value.decode()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context

    def memory(self) -> tuple[int, int]:
        """Return the bytes of its memory that are free, and of all of it."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def break_context(self) -> str:
        """Run a kernel that traps; return what the driver says of it. This process has lost the card then.

        Raises:
            CardError: it did not even start, or did no harm.
        """
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuCtxSetCurrent", self._context)
        self._call("cuModuleLoadData", ctypes.byref(module), FAULT)
        self._call("cuModuleGetFunction", ctypes.byref(function), module, b"fault")
        self._call("cuLaunchKernel", function, *[1] * 6, 0, None, None, None)
        try:
            self._call("cuCtxSynchronize")
        except CardError as fault:
            return str(fault)
        raise CardError("the kernel that was to trap did no harm")

    def _call(self, name: str, *arguments: Any) -> None:
        code = int(getattr(self._driver, name)(*arguments))
        if code:
            raise CardError(f"{name}: CUDA error {code}")
