"""Being somebody who may not read everything, also where the tests run as root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def nobodys_folder() -> Iterator[Path]:
    """Give up root's rights, if there are any, and give a folder of one's own: what is mode 0 there cannot be read."""
    group, root = os.getegid(), os.geteuid() == 0
    if root:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
        if root:
            os.seteuid(0)
            os.setegid(group)
