"""What the checkpoint of a classifier's run says of the classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from training.networks.classifiers import ClassifierName
from training.weights.checkpoint import InvalidCheckpointError

CLASSIFIER: Final = "classifier"
"""The key of a checkpoint's state that tells a classifier's run from a detector's."""

Softmax = Literal["hierarchical", "flat"]


class ClassifierState(BaseModel):
    """A classifier: its network, and whether its columns are a WordTree's nodes or flat classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: ClassifierName
    softmax: Softmax

    @classmethod
    def read(cls, folder: Path, state: Mapping[str, Any]) -> Self:
        """Read it from a checkpoint's state.

        Raises:
            InvalidCheckpointError: it is not there, or damaged.
        """
        try:
            return cls.model_validate(state.get(CLASSIFIER))
        except ValidationError as error:
            raise InvalidCheckpointError(f"{folder}: not a classifier's run, or its checkpoint is damaged") from error
