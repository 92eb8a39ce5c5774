"""What a teacher says about one Doc, as named arrays: compact enough to keep for millions of words."""

import numpy

# The record of one pipe on one Doc. Always NumPy arrays on the host, whatever device the teacher is on.
Arrays = dict[str, numpy.ndarray]


def pack_soft_labels(probabilities: numpy.ndarray, top_k: int) -> Arrays:
    """Keep each row's most probable labels, in half precision.

    Args:
        probabilities: Shape (rows, labels), each row summing to 1.
        top_k: How many labels to keep of each row; 0, or as many as there are labels, keeps all, exactly.

    Returns:
        `probabilities`, float16, shape (rows, k); and `labels`, uint16, shape (rows, k), their columns, absent
        when all are kept. What is missing to 1 in a row is the mass of the labels left out.
    """
    n_labels = probabilities.shape[1]
    if top_k == 0 or top_k >= n_labels:
        return {"probabilities": probabilities.astype("float16")}
    labels = numpy.argpartition(probabilities, n_labels - top_k, axis=1)[:, n_labels - top_k :]
    kept = numpy.take_along_axis(probabilities, labels, axis=1)
    return {"probabilities": kept.astype("float16"), "labels": labels.astype("uint16")}


def unpack_soft_labels(arrays: Arrays, columns: numpy.ndarray, n_labels: int) -> numpy.ndarray:
    """Undo `pack_soft_labels`, for a student whose labels may stand in another order or be more.

    Args:
        arrays: What `pack_soft_labels` returned.
        columns: For each of the teacher's labels, in its order, the student's column; shape (teacher labels,).
        n_labels: How many labels the student has.

    Returns:
        Probabilities, float32, shape (rows, n_labels), each row summing to 1. The mass of the labels that were
        left out is spread evenly over them; labels the teacher does not have get 0.
    """
    kept = arrays["probabilities"].astype("float32")
    rows = kept.shape[0]
    result = numpy.zeros((rows, n_labels), dtype="float32")
    if "labels" in arrays:
        n_left_out = len(columns) - kept.shape[1]
        rest = numpy.maximum(0.0, 1.0 - kept.sum(axis=1, keepdims=True)) / n_left_out
        result[:, columns] = rest
        numpy.put_along_axis(result, columns[arrays["labels"]], kept, axis=1)
    else:
        result[:, columns] = kept
    return result / numpy.maximum(result.sum(axis=1, keepdims=True), 1e-7)
