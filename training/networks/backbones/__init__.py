"""The classifiers that detectors are built on."""
