"""Our protobuf messages need neither TensorFlow nor a server's package, and do not conflict with them."""

import subprocess
import sys
from pathlib import Path

from models.scorers.remote.messages import messages


def test_messages_import_no_published_classes(root: Path) -> None:
    program = (
        "import sys; from models.scorers.remote.messages import messages; messages('tfserving'); "
        "sys.exit('tensorflow' in sys.modules or 'tensorflow_serving' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def test_messages_are_not_in_the_pool_of_the_process() -> None:
    from google.protobuf import descriptor_pool

    made = messages("openinference")["ModelInferRequest"]
    assert made.DESCRIPTOR.file.pool is not descriptor_pool.Default()
