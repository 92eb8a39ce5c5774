"""Stop a run between two updates when a signal asks for it, so that nothing is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has no SIGTERM from other processes; Ctrl+Break, SIGBREAK, is what they can send.
SIGNALS = (signal.SIGINT, signal.SIGTERM, *(getattr(signal, name) for name in ("SIGBREAK",) if hasattr(signal, name)))


@contextmanager
def stop_signals() -> Iterator[Callable[[], int | None]]:
    """Note SIGINT (Ctrl+C) and SIGTERM instead of ending the process. A second signal ends it.

    Yields:
        A function that returns the signal's number if one came, else None. Outside of the main thread, where Python
        handles no signals, it always returns None.
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
    """Let SIGTERM end a command as Ctrl+C does: with files closed and locks released."""
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
    """Delay signals to the end of a block with callbacks from C, in which Python ignores what a handler raises."""
    with stop_signals() as stopped:
        yield
    if number := stopped():
        signal.raise_signal(number)


def leave(number: int) -> None:
    """End the process as the signal asks: Ctrl+C as always in Python, SIGTERM with exit code 143."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
