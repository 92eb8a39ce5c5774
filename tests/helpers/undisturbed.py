"""A run of the tiny teacher's that nothing disturbs, to which those are compared that something does."""

from typing import Any

# Its texts are read twice; it is evaluated at the beginning, on the way and at the end.
SETTINGS: dict[str, Any] = {
    "distillation.max_steps": 20,
    "training.eval_frequency": 15,
    "distillation.batcher.size": 60,
    "training.logger.progress_bar": "train",
    "training.logger.console_output": True,
}
