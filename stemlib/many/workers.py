"""Processes that compute side by side, each started anew, and ended where a call takes too long."""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

# One thread each, and by as many as there are: results do not depend on how many processes share the machine.
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM")
} | {"OPENCV_FOR_THREADS_NUM": "1"}
_START = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
_START += "from stemlib.many.workers import serve; serve()"


class WorkerError(RuntimeError):
    """A call that gave no answer: its process ended, or was ended, or raised what no finder raises."""


class TookTooLongError(WorkerError):
    """A call that gave no answer within its limit."""


class Workers:
    """Processes on this machine, as an executor of `concurrent.futures` with a time limit for each call.

    Unlike those of `multiprocessing`, they are started without the user's script, which therefore needs no
    ``if __name__ == "__main__"``, and one that hangs or dies takes no other one with it.

    Parameters
    ----------
    number : int
        Of processes; each is started when it is first needed.

    Examples
    --------
    >>> with Workers(1) as workers:
    ...     workers.submit(len, "four").result()
    4
    """

    def __init__(self, number):
        self.number = number
        self._threads = ThreadPoolExecutor(number)
        self._idle = queue.SimpleQueue()
        self._started = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._lock:
            self._closed = True
            for process in self._started:
                process.end()
        self._threads.shutdown(cancel_futures=True)

    def submit(self, function, *arguments, limit_s=None):
        """Call a function, one that can be imported by its name, in a process: a Future.

        Its result raises TookTooLongError where the call takes longer than `limit_s` seconds, and WorkerError where
        its process ends, or the function raises an error.
        """
        return self._threads.submit(self._call, function, arguments, limit_s)

    def _call(self, function, arguments, limit_s):
        process = self._idle_process()
        try:
            return process.call(function, arguments, limit_s)
        finally:
            if process.alive:
                self._idle.put(process)

    def _idle_process(self):
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        with self._lock:
            if self._closed:
                raise WorkerError("its process was ended with all others")
            process = _Process()
            self._started = [*(one for one in self._started if one.alive), process]
        return process


class _Process:
    """One Python that is asked over its standard input and answers over its standard output."""

    def __init__(self):
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
        )
        self.alive, self._late = True, False
        self._send(sys.path)

    def call(self, function, arguments, limit_s):
        timer = None if limit_s is None else threading.Timer(limit_s, self._expire)
        if timer:
            timer.start()
        try:
            self._send((function, arguments))
            answered, answer = pickle.load(self._popen.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.end()
            if self._late:
                raise TookTooLongError(f"no answer within {limit_s:g} s") from None
            code = self._popen.returncode
            killed = "; where memory runs out, fewer workers have more each" if code < 0 else ""
            raise WorkerError(f"its process ended with exit code {code}{killed}") from None
        finally:
            if timer:
                timer.cancel()
        if not answered:
            raise WorkerError(answer)
        return answer

    def _send(self, what):
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(what, self._popen.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._popen.stdin.flush()

    def _expire(self):
        self._late = True
        self._popen.kill()

    def end(self):
        """End the process, whatever it does."""
        self.alive = False
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def serve():
    """Answer calls until there are no more: what a process does."""
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not come among the answers.
    os.dup2(2, 1)
    calls = sys.stdin.buffer
    while True:
        try:
            function, arguments = pickle.load(calls)
        except EOFError:
            return
        try:
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
