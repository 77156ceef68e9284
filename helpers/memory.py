"""Keep freed memory in the process, so that a training does not ask Linux for the same memory in every step."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the numbers of these settings in glibc's malloc.h
ONE_GB = 2**30


def keep_freed_memory() -> bool:
    """Tell the C library not to give freed memory back to Linux; for the rest of this process.

    Every training step needs the same large tensors and frees them again. Memory that was given back must be asked for
    again, and Linux fills each page with zeros before it hands it out.

    Returns
    -------
    bool
        Whether the C library is glibc, as on most Linux systems, and took the setting. Elsewhere nothing changes.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    return bool(libc.mallopt(TRIM_THRESHOLD, ONE_GB) and libc.mallopt(MMAP_THRESHOLD, ONE_GB))
