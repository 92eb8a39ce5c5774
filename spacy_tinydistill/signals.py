"""Stop between two updates when somebody asks to, so that nothing is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Take note of SIGINT (Ctrl+C) and SIGTERM instead of dying of them; at a second one, die.

    Yields:
        A function that says which signal came, if one did. Outside of the main thread, where Python handles none, it
        always says None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl+C does: with files closed and locks given back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: leave(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Have signals wait until a block is through, in which C calls back: there Python drops what a handler raises."""
    with stop_signals() as stopped:
        yield
    if number := stopped():
        signal.raise_signal(number)


def leave(number: int) -> None:
    """End as a signal asks to: Ctrl+C as Python always does, SIGTERM with exit code 143."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
