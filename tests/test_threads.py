"""The limit of threads ends with the last caller, in whatever order callers come and go."""

import contextlib

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stemlib._threads import one_blas_thread


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_callers_that_overlap_leave_no_limit_behind():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(one_blas_thread())
        second.enter_context(one_blas_thread())
        assert threads() == {1}
        first.close()
        assert threads() == {1}
        second.close()
        assert threads() == before != {1}


def test_an_error_leaves_no_limit_behind():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == before
