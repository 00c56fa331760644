"""The engine: the served models, the queue in front of them, and the steps from bytes to detections."""
