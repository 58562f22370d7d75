"""How many threads linear algebra may use."""

import contextlib
import threading

from threadpoolctl import threadpool_limits

_lock = threading.Lock()
_inside = 0
_limits = None


@contextlib.contextmanager
def one_blas_thread():
    """Let BLAS use one thread until the last caller that is inside leaves, whichever thread it runs in.

    The limit is one of the whole process: callers at the same time that each restored what they found would leave it
    behind.
    """
    global _inside, _limits
    with _lock:
        if _inside == 0:
            _limits = threadpool_limits(1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limits.restore_original_limits()
