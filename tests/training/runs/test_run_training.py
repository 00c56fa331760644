"""A run's folder belongs to one run at a time."""

from pathlib import Path

import pytest

from tests.training.tiny_data import tiny_run, write_data
from training.runs.run_training import begin_run
from training.weights.checkpoint import FolderInUseError


def test_a_second_run_in_one_folder_is_refused(tmp_path: Path) -> None:
    """Workers of torchrun outlive it where it is killed, and would go on writing beside the run that is resumed."""
    write_data(tmp_path)
    configuration = tiny_run(tmp_path, tmp_path / "run")
    first = begin_run(configuration)
    first.__enter__()
    with pytest.raises(FolderInUseError, match="another run is using it"), begin_run(configuration):
        pass
    first.__exit__(None, None, None)
    with begin_run(configuration) as run:
        assert run.resumed is None
