"""Everything that a run does on a GPU, done with arrays that refuse what a GPU's refuse: see `helpers.pretend_gpu`."""

import json
import subprocess
import sys
from typing import Any

import pytest

from helpers.paths import TESTS

REHEARSAL = TESTS / "helpers" / "rehearsal.py"

ACTS = [
    "every_kind", "own_encoders", "annotations", "hidden_states", "transformer_layers", "mixed_vocabulary",
    "vectors_and_forecast",
]  # fmt: skip
FAULTS = {
    "concatenated_by_numpy": "Implicit conversion to a NumPy array",
    "masked_by_host": "an array on the CPU among those on the GPU",
    "recorded_without_to_numpy": "Implicit conversion to a NumPy array",
}

# The copies that our own code makes, and why. Whatever is not in here is a fault.
REASONS = {
    ("down", "pipes.transfer:fetch"): "what was asked of the GPU, packed: what a pipe said of a batch, for one",
    ("up", "components.soft_labels:SoftLabelsLesson.update"): "the teacher's labels for the batch",
    ("down", "losses:soft_cross_entropy"): "the loss",
    ("down", "losses:soft_binary_cross_entropy"): "the loss",
    ("down", "losses:mean_squared_error"): "the loss",
    ("down", "losses:attention_error"): "the loss",
    ("down", "losses:unexplained_variance"): "the loss",
    ("up", "components.span_labels:SpanLabels.make_input"): "the spans that the teacher looked at, and how many",
    ("up", "components.step_model:StepModel.begin_update"): "which tokens each state on the way has",
    ("down", "components.step_model:StepModel.begin_update"): "hidden vectors, for the layer that is on the CPU",
    ("up", "components.step_model:StepModel.begin_update.backprop"): "their gradient",
    ("up", "components.hidden_states:HiddenStatesLesson._compare"): "the teacher's vectors for the batch",
    ("up", "components.transformer_layers:TransformerLayersLesson._compare_vectors"): "the teacher's vectors",
    ("up", "components.transformer_layers:TransformerLayersLesson._compare_attention"): "the teacher's attention",
    ("up", "tiny_transformer.encoder:_to_torch.<genexpr>"): "the pieces of a chunk, and their positions",
    ("up", "tiny_transformer.encoder:_forward"): "whose pieces these are, and what each counts",
    ("down", "tiny_transformer.encoder:_to_bytes"): "weights, to be saved",
    ("down", "checkpoint:_Parameter.to_numpy"): "weights and momenta, to be saved",
    ("up", "checkpoint:_Parameter.to_device"): "weights and momenta, of a run that goes on",
    ("down", "components.step_model:_parameters.<dictcomp>"): "the teacher's step model, once in a run",
    ("down", "components.step_model:_parameters"): "the teacher's step model, once in a run",
    ("down", "pipes.encoder:to_numpy"): "one word's layers, to see how wide they are",
    ("down", "tiny_transformer.mixed_vocabulary:piece_vectors"): "embeddings to start from, once in a run",
    ("down", "tiny_transformer.mixed_vocabulary:own_vectors"): "embeddings to start from, once in a run",
    ("up", "tiny_transformer.bert:Bert.add_teacher_pieces"): "embeddings to start from, once in a run",
}  # fmt: skip

# spaCy's compiled code has no frames of its own: these functions of ours call it.
COMPILED = {
    ("down", "teacher.recorder:_write"),
    ("down", "loop:_Update.learn_from_gold.learn"),
    ("down", "judge:writers"),
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each act said, all played in one process, to whose libraries a GPU is shown before they look for one."""
    folder = tmp_path_factory.mktemp("rehearsal")
    result = subprocess.run([sys.executable, REHEARSAL, folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-5000:]
    return json.loads((folder / "rehearsal.json").read_text(encoding="utf8"))


def act_of(played: dict[str, Any], name: str) -> dict[str, Any]:
    if "skipped" in played[name]:
        pytest.skip(played[name]["skipped"])
    return played[name]


def copies_of(act: dict[str, Any], part: str) -> dict[tuple[str, str], int]:
    """Our own copies in a part of a run."""
    ours = {
        (direction, place.removeprefix("spacy_tinydistill.")): number
        for direction, place, number in act["copies"][part]
        if place.startswith("spacy_tinydistill.")
    }
    return {key: number for key, number in ours.items() if key not in COMPILED}


@pytest.mark.parametrize("name", ACTS)
def test_nothing_is_on_the_wrong_side(played: dict[str, Any], name: str) -> None:
    act = act_of(played, name)
    assert act["error"] is None, act["error"]
    for part, copies in act["copies"].items():
        print(f"\n{name}, {part}, {act['calls'].get(part, 1)} times")
        for direction, place, number in copies:
            print(f"{number:6} {direction:4} {place}")
        unknown = copies_of(act, part).keys() - REASONS.keys()
        assert not unknown, unknown


def test_every_reason_is_one_for_something(played: dict[str, Any]) -> None:
    acts = [played[name] for name in ACTS if "skipped" not in played[name]]
    if len(acts) < len(ACTS):
        pytest.skip("not all acts were played")
    found = {key for act in acts for part in act["copies"] for key in copies_of(act, part)}
    # A comprehension has a frame of its own until Python 3.12.
    assert {key for key in REASONS.keys() - found if "step_model:_parameters" not in key[1]} == set()


def test_the_compiled_code_took_the_branches_for_a_gpu(played: dict[str, Any]) -> None:
    """spaCy's parser sends its states to the GPU where its ops are CuPy's, and nowhere else."""
    assert ["up", "spacy.util:get_async"] in [copy[:2] for copy in played["every_kind"]["copies"]["rest"]]


@pytest.mark.parametrize(("name", "pipes"), [("every_kind", 13), ("transformer_layers", 2), ("mixed_vocabulary", 2)])
def test_recording_copies_once_per_batch_and_pipe(played: dict[str, Any], name: str, pipes: int) -> None:
    act = act_of(played, name)
    assert copies_of(act, "recording") == {("down", "pipes.transfer:fetch"): pipes * act["calls"]["recording"]}


def per_update(act: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {key: number / act["calls"]["learning"] for key, number in copies_of(act, "learning").items()}


def test_learning_copies_once_per_batch_and_objective(played: dict[str, Any]) -> None:
    assert per_update(act_of(played, "every_kind")) == {
        # Of nine pipes with soft labels: the labels go up, the loss comes down.
        ("up", "components.soft_labels:SoftLabelsLesson.update"): 9,
        ("down", "losses:soft_cross_entropy"): 6,
        ("down", "losses:soft_binary_cross_entropy"): 3,
        # The spans of two of them, and how many each text has.
        ("up", "components.span_labels:SpanLabels.make_input"): 4,
        # Of two parsers and two entity recognizers, which walk on the CPU.
        ("down", "pipes.transfer:fetch"): 4,
        ("down", "components.step_model:StepModel.begin_update"): 4,
        ("up", "components.step_model:StepModel.begin_update"): 4,
        ("up", "components.step_model:StepModel.begin_update.backprop"): 4,
    }


def test_layers_are_copied_once_per_batch_and_objective(played: dict[str, Any]) -> None:
    assert per_update(act_of(played, "transformer_layers")) == {
        ("up", "tiny_transformer.encoder:_to_torch.<genexpr>"): 2,
        ("up", "tiny_transformer.encoder:_forward"): 2,
        ("up", "components.transformer_layers:TransformerLayersLesson._compare_vectors"): 1,
        ("up", "components.transformer_layers:TransformerLayersLesson._compare_attention"): 1,
        # The losses of the embeddings and of two layers.
        ("down", "losses:mean_squared_error"): 3,
        ("down", "losses:unexplained_variance"): 2,
        ("down", "losses:attention_error"): 2,
        # And those of the tagger.
        ("up", "components.soft_labels:SoftLabelsLesson.update"): 1,
        ("down", "losses:soft_cross_entropy"): 1,
    }


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_put_in_by_hand_is_found(played: dict[str, Any], name: str) -> None:
    error = played[name]["error"]
    assert error is not None
    assert "WrongSideError" in error
    assert FAULTS[name] in error
