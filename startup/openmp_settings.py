"""Let OpenMP's threads give up their processor soon when they wait, so that other programs do not stop a training.

pip copies this file to the environment, with a `.pth` file that imports it whenever Python starts there: a notebook of
any program and a script are prepared alike, before PyTorch loads OpenMP. Standard library only.

In a training step the threads wait for each other hundreds of times. They do so in a loop, since that is the quickest,
and by default they keep their processor for milliseconds. If the thread that they wait for has lost its own processor
to another program, nothing can go on meanwhile.
"""

import os
from collections.abc import MutableMapping

# GNU's OpenMP, of PyTorch on Linux: rounds of the loop before a thread sleeps.
# LLVM's and Intel's, of PyTorch on macOS and Windows: milliseconds.
SETTINGS = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
# Whoever sets one of these has decided how threads wait.
DECIDED = {
    "GOMP_SPINCOUNT": ("OMP_WAIT_POLICY",),
    "KMP_BLOCKTIME": ("OMP_WAIT_POLICY", "KMP_LIBRARY"),
}


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Set how long a thread of OpenMP waits in a loop, and yield to what the user has set.

    Parameters
    ----------
    environment : mutable mapping
        Such as os.environ, which OpenMP reads when it is loaded.
    """
    for name, value in SETTINGS.items():
        if not any(other in environment for other in DECIDED[name]):
            environment.setdefault(name, value)
        elif environment.get(name) == value:  # passed on by a program that Python started
            del environment[name]


wait_briefly(os.environ)
