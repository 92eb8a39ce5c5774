"""How one column of a Parquet or Arrow file is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DistillationError, needed

PARQUET = ".parquet"
SUFFIXES = (PARQUET, ".arrow", ".feather")

# Rows that are in memory at once.
ROWS = 1000


def read_column(path: Path, column: str) -> Iterator[str | DistillationError]:
    """Read the texts of a column, row by row.

    Args:
        path: A Parquet file, or an Arrow file or stream, as Feather and Hugging Face's `datasets` write it.
        column: The name of the column.

    Yields:
        Each text, or, as TD106, what is wrong with a row.

    Raises:
        DistillationError: TD108, the file cannot be read; TD132, two columns of the name; TD133, none; TD901, there is
            no pyarrow.
    """
    with needed("distill"):
        import pyarrow as pa

    number = 0
    try:
        for batch in _read_batches(path, column):
            batch.validate(full=True)
            for value in batch.column(column).to_pylist():
                number += 1
                if isinstance(value, str):
                    yield value
                else:
                    found = f"it is {'null' if value is None else repr(value)[:60]}"
                    yield DistillationError("TD106", path=path, line=number, found=found, column=column)
    except DistillationError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DistillationError("TD108", path=path, reason=error) from error


def _read_batches(path: Path, column: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import ipc, parquet

    with pa.OSFile(str(path)) as source:
        if path.suffix == PARQUET:
            file = parquet.ParquetFile(source)
            _check_column(path, file.schema_arrow.names, column)
            yield from file.iter_batches(batch_size=ROWS, columns=[column])
            return
        try:
            reader = ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            stream = ipc.open_stream(source)
            _check_column(path, stream.schema.names, column)
            yield from stream
        else:
            _check_column(path, reader.schema.names, column)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))


def _check_column(path: Path, names: list[str], column: str) -> None:
    if column not in names:
        raise DistillationError("TD133", path=path, column=column, found=", ".join(map(str, names)) or "none")
    if names.count(column) > 1:
        raise DistillationError("TD132", path=path, columns=column)
