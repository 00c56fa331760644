"""What the checkpoint of a classifier's run says of the classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from training.checkpoint import InvalidCheckpointError
from training.networks.efficientnet_lite import LiteName

CLASSIFIER: Final = "classifier"
"""The key of a checkpoint's state that tells a classifier's run from a detector's."""

ClassifierName = Literal["darknet19", "tiny", "lite", "lite2"]
Softmax = Literal["hierarchical", "flat"]
LITES: Final[dict[ClassifierName, LiteName]] = {"lite": "lite0", "lite2": "lite2"}
"""The backbones of yolov2-lite, by the name of the classifier on each."""


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
