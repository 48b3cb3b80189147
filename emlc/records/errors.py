"""The suite's own error: a mistake that one clear line explains."""


class SuiteError(Exception):
    """Bad input, a broken artefact or a failed run, told in one line: what is wrong and what to do.

    Every command line program of the suite turns it into ``error: <line>`` on standard error and a non-zero exit
    status; any other exception is a defect of the suite and keeps its traceback.
    """


class DivergenceError(SuiteError):
    """Training produced a value that is not finite, so nothing after it can be trusted."""


class Interrupted(Exception):  # noqa: N818  (no error: the run goes on later)
    """The process was asked to stop, and has; what it had done is kept."""


class ProcessLost(Exception):  # noqa: N818  (not this process's error: the run goes on later)
    """Another process of the same training does not answer any more."""
