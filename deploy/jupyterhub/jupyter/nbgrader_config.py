"""What nbgrader must know of the class, for teachers and students alike."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader provides it)

c.CourseDirectory.course_id = "fashion_mnist"
c.Exchange.root = os.environ["NBGRADER_EXCHANGE"]
# Where a student finds what was fetched, and nbgrader what is to be submitted.
c.Exchange.assignment_dir = str(Path.home() / "fashion-mnist-lessons")
