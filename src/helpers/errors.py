"""The errors of the package: each is also the built-in kind it refines."""


class MusclebookError(Exception):
    """Base of every error that the package raises on purpose."""


class SourceError(MusclebookError, ValueError):
    """A source of data that cannot be opened as an atlas."""


class ReleaseError(MusclebookError, ValueError):
    """A release whose files are missing, damaged or disagree."""


class CountsError(MusclebookError, ValueError):
    """Values from which whole molecule counts cannot be recovered."""


class TableError(MusclebookError, ValueError):
    """A table that lacks columns, types or rows that a function needs."""


class DesignError(MusclebookError, ValueError):
    """A comparison that the donors at hand cannot support."""


class BudgetError(MusclebookError, MemoryError):
    """Work that would need more memory than its budget."""


class StorageError(MusclebookError, OSError):
    """A file or folder that cannot be written: a full disk, a read-only place, a name that no library takes."""


class DownloadError(MusclebookError, OSError):
    """A file that could not be fetched whole."""


class ParameterError(MusclebookError, ValueError):
    """A notebook parameter that is unknown, ill-typed or out of range."""


class FindingError(MusclebookError, ValueError):
    """A finding recorded twice, never recorded, or not a plain value."""


class RunError(MusclebookError, RuntimeError):
    """A notebook run that failed."""


class PairingError(MusclebookError, ValueError):
    """A notebook and its text pair that differ."""


class SentenceError(MusclebookError, ValueError):
    """Input from which cell sentences cannot be made."""


class PartError(MusclebookError, ValueError):
    """A part of the embedding atlas that is damaged or incomplete."""


class ChapterError(MusclebookError, ValueError):
    """A new chapter that cannot be entered into the book."""


class ExerciseError(MusclebookError, ValueError):
    """An exercise that does not exist or is not solved yet."""


class SiteError(MusclebookError, RuntimeError):
    """A site that could not be built."""
