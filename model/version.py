"""The one place that states the version of the project."""

VERSION = "0.2.0"
