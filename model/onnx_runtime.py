"""The one module that imports ONNX Runtime, after its reports to its makers are switched off.

Since 2026 the wheels for Linux write a device's id and a database of session events below the home folder and send
them to Microsoft (microsoft/onnxruntime, pull requests 27379 and 29843). The library reads its switch when it is
imported. Whoever has set one of the switches themselves is left alone.
"""

import os

TELEMETRY_SWITCHES = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
"""Environment variables that switch the reports off: what newer releases read, and what older ones read."""

if not any(switch in os.environ for switch in TELEMETRY_SWITCHES):
    os.environ.update(dict.fromkeys(TELEMETRY_SWITCHES, "1"))

import onnxruntime  # noqa: E402 - reads the switches

__all__ = ["TELEMETRY_SWITCHES", "onnxruntime"]
