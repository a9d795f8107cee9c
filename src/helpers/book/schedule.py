"""Workshop schedules, added up from the minutes that each chapter states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BREAK_AFTER = 80  # minutes of work
BREAK = 15
LUNCH = 60
LENGTHS = {"half-day": 240, "one-day": 480}  # minutes from start to end, breaks included
START = 9 * 60


@dataclass(frozen=True)
class Block:
    """Some minutes of a workshop."""

    start: int  # minutes after midnight
    minutes: int
    what: str
    chapter: str | None = None

    @property
    def clock(self) -> str:
        """When it starts.

        Examples
        --------
        >>> Block(570, 15, "Break").clock
        '09:30'
        """
        return f"{self.start // 60:02d}:{self.start % 60:02d}"


def plan(chapters: Mapping[str, Mapping[str, Any]], *, length: str) -> list[Block]:
    """Lay chapters out over a half day or a day, in the order of the book, with breaks.

    Parameters
    ----------
    chapters
        By name: ``title`` and ``minutes`` with ``reading`` and ``exercises``. Those that do not fit whole are left out.
    length
        ``half-day`` or ``one-day``.
    """
    end = START + LENGTHS[length]
    blocks, now, worked, eaten = (
        [Block(START, 10, "Welcome, and musclebook doctor")],
        START + 10,
        10,
        length == "half-day",
    )
    for name, chapter in chapters.items():
        pieces = [
            (chapter["minutes"]["reading"], f"{chapter['title']}: reading together"),
            (chapter["minutes"]["exercises"], f"{chapter['title']}: exercises"),
        ]
        trial, time, since, lunch = [], now, worked, eaten
        for minutes, what in pieces:
            if minutes == 0:
                continue
            if not lunch and time >= START + 3 * 60:
                trial.append(Block(time, LUNCH, "Lunch"))
                time, since, lunch = time + LUNCH, 0, True
            elif since + minutes > BREAK_AFTER and since > 0:
                trial.append(Block(time, BREAK, "Break"))
                time, since = time + BREAK, 0
            trial.append(Block(time, minutes, what, name))
            time, since = time + minutes, since + minutes
        if time + 10 > end:
            continue
        blocks, now, worked, eaten = blocks + trial, time, since, lunch
    return [*blocks, Block(now, 10, "What to take home")]


def minutes_by_chapter(blocks: Iterable[Block]) -> dict[str, int]:
    """Return the minutes that a schedule gives to each chapter."""
    total: dict[str, int] = {}
    for block in blocks:
        if block.chapter is not None:
            total[block.chapter] = total.get(block.chapter, 0) + block.minutes
    return total
