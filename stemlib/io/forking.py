"""Processes forked after threads were used, as by `multiprocessing` on Linux, answer instead of waiting for ever."""

import os
import sys


def make_forks_safe():
    """Let processes that are forked from this one compute with one thread each.

    A parent's threads do not live on in its child, yet OpenMP, of torch and of scikit-learn, would wait for them.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=one_thread)


def one_thread():
    """Let torch, and OpenMP in whatever is loaded, compute with one thread from here on."""
    # What is not loaded has no threads: nothing is imported here, that would make every fork slow.
    if hasattr(sys.modules.get("torch"), "set_num_threads"):
        sys.modules["torch"].set_num_threads(1)
    if hasattr(sys.modules.get("threadpoolctl"), "threadpool_limits"):
        sys.modules["threadpoolctl"].threadpool_limits(1)
