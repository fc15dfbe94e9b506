"""The errors that end a command: each has its exit code and says what to do next.

Exit codes: 0 done, 1 bug, 2 usage or configuration, 3 input contract, 4 gate (nothing published), 5 conflict,
6 resources, 130 interrupted. Anything that is no ``WinnowError`` is a bug and ends with 1.
"""

from __future__ import annotations

from typing import ClassVar


class WinnowError(Exception):
    """An expected failure.

    ``message`` says what went wrong and where; ``next_step`` says what the person at the keyboard can do about it. The
    last line on stderr is made from both.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return self.message


class UsageError(WinnowError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class ConfigurationError(WinnowError):
    """A recipe, a list, a model or the environment is not usable as configured."""

    exit_code = 2


class InputContractError(WinnowError):
    """The input is not what the recipe says it is: missing fields, other types, too many bad records, foreign state."""

    exit_code = 3


class GateError(WinnowError):
    """A gate of the recipe tripped: the work is done but nothing was published."""

    exit_code = 4


class ConflictError(WinnowError):
    """Another run has published, or the output belongs to another run."""

    exit_code = 5


class ResourceError(WinnowError):
    """Disk, memory, Java or a service that the job needs is not there."""

    exit_code = 6
