"""Teachers on a transformer, of either library: asked once, in batches by length, and learned from."""

import subprocess
import sys
import textwrap

import numpy
import pytest
import spacy
from thinc.util import has_cupy_gpu

from helpers.cnn_teacher import cnn
from helpers.generator import TOPICS
from helpers.paths import TESTS
from helpers.students import agreement, distil_quickly, initialized_student, make_config
from helpers.transformer_teachers import HEADS, WIDTH
from spacy_tinydistill.components.registry import choose_rule
from spacy_tinydistill.pipes.encoder import token_layers
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.pipeline import plan_lessons
from spacy_tinydistill.targets.records import Record
from spacy_tinydistill.teacher.recorder import ask


def test_what_is_recorded(transformer_teacher, texts):
    config = make_config(transformer_teacher, HEADS, shared=False, encoder=cnn(16))
    student = initialized_student(transformer_teacher, HEADS, shared=False, encoder=cnn(16))
    plan = plan_lessons(student, transformer_teacher, read_distillation_config(config.interpolate()))
    # Of all lengths and in no order; one longer than the transformer's window.
    mixed = [*texts[:12], "Anna.", " ".join(texts[12:30]), *texts[30:40], "🎷 \n\n 🥁"]
    docs = [student.make_doc(text) for text in mixed]
    before = [doc.to_bytes() for doc in docs]
    transformer_teacher.batch_size = 4
    targets = list(ask(transformer_teacher, map(Record.from_doc, docs), plan))
    assert [doc.to_bytes() for doc in docs] == before
    assert len(targets) == len(docs)
    # One at a time there is no order to lose, and no padding to be seen.
    for doc, said in zip(docs, targets, strict=True):
        (alone,) = ask(transformer_teacher, [Record.from_doc(doc)], plan)
        assert said.keys() == alone.keys() == set(HEADS)
        assert said["tagger"]["probabilities"].shape[0] == len(doc)
        assert said["parser"]["vectors"].shape == (
            len(doc),
            transformer_teacher.get_pipe("parser").model.get_ref("lower").get_dim("nI"),
        )
        assert said["textcat"]["probabilities"].shape == (len(TOPICS),)
        for name in HEADS:
            for key, array in said[name].items():
                assert array.dtype == (numpy.uint16 if key == "labels" else numpy.float16)
                if key != "labels":
                    numpy.testing.assert_allclose(array, alone[name][key], atol=0.01)


def test_hidden_states_are_recorded(transformer_teacher, texts, in_float32):
    """Each chosen layer, by token; the other pipes say what they say without, and the teacher stays as it is."""
    encoder = transformer_teacher.get_pipe("transformer")
    student = initialized_student(transformer_teacher, HEADS)
    config = make_config(transformer_teacher, HEADS)
    plan = plan_lessons(student, transformer_teacher, read_distillation_config(config.interpolate()))
    config["distillation"]["teaching"] = {
        "tok2vec": {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", "layers": [0, 1, -1]}
    }
    with_hidden = plan_lessons(student, transformer_teacher, read_distillation_config(config.interpolate()))
    # The only encoder that the teacher has goes by another name.
    assert with_hidden["tok2vec"][0] == "transformer"
    docs = [student.make_doc(text) for text in [*texts[:3], " ".join(texts[3:15]), "🎷 \n\n 🥁"]]
    records = [Record.from_doc(doc) for doc in docs]
    before = transformer_teacher.to_bytes()
    rule = with_hidden["tok2vec"][1]
    assert rule.describe(encoder) == {"layers": [0, 1, -1], "width": WIDTH}
    said = list(ask(transformer_teacher, records, with_hidden))
    assert transformer_teacher.to_bytes() == before
    for doc, alone, both in zip(docs, ask(transformer_teacher, records, plan), said, strict=True):
        assert both.keys() == alone.keys() | {"tok2vec"}
        for name, arrays in alone.items():
            for key, array in arrays.items():
                numpy.testing.assert_array_equal(both[name][key], array)
        vectors = both["tok2vec"]["vectors"]
        assert vectors.dtype == numpy.float16
        assert vectors.shape == (len(doc), 3, WIDTH)
        # Three layers, and what other pipes read is the last.
        assert abs(vectors[:, 0] - vectors[:, 1]).max() > 0.01 < abs(vectors[:, 1] - vectors[:, 2]).max()
        (encoded,) = encoder.pipe([transformer_teacher.make_doc(doc.text)])
        last = token_layers(encoded, encoder)
        assert len(last) == 1
        numpy.testing.assert_allclose(vectors[:, 2], last[-1], atol=0.003)


@pytest.mark.slow
def test_a_student_learns(transformer_teacher, texts, held_out_texts, tmp_path):
    changes = {"shared": False, "encoder": cnn(32, rows=500)}
    untrained = initialized_student(transformer_teacher, HEADS, **changes)
    config = make_config(transformer_teacher, HEADS, **changes)
    distil_quickly(transformer_teacher, texts[:100], tmp_path, config, steps=40)
    # Not the best one: on the few texts that are held out, chance decides on the score of text categories.
    student = spacy.load(tmp_path / "model-last")
    for name in HEADS:
        before, after = (loss_of(nlp, transformer_teacher, name, held_out_texts[:20]) for nlp in (untrained, student))
        assert after < 0.8 * before, name
    # The teacher's trees and topics are those of random weights: few words and texts differ in them.
    before, after = (agreement(nlp, transformer_teacher, "tagger", held_out_texts) for nlp in (untrained, student))
    assert after > before + 0.3
    # And is no transformer itself.
    assert not any("transformer" in str(student.config["components"][name]) for name in student.pipe_names)


def loss_of(student, teacher, name, texts) -> float:
    pipe, source = student.get_pipe(name), teacher.get_pipe(name)
    docs = [student.make_doc(text) for text in texts]
    rule = choose_rule(pipe, source)
    targets = [said[name] for said in ask(teacher, map(Record.from_doc, docs), {name: (name, rule)})]
    return rule.start(pipe, name, rule.describe(source)).update(docs, targets, dropout=0.0)


@pytest.mark.gpu
@pytest.mark.skipif(not has_cupy_gpu, reason="needs a GPU and CuPy")
@pytest.mark.parametrize("shared", [True, False])
def test_on_a_gpu(tmp_path, shared):
    """The same run, with the teacher's and the student's weights on a GPU."""
    code = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(TESTS)!r})
        from helpers.cnn_teacher import PIPES, train_teacher
        from helpers.generator import make_texts
        from helpers.students import agreement, distil_quickly, make_config
        from thinc.api import require_gpu
        require_gpu(0)
        teacher = train_teacher(PIPES)
        config = make_config(teacher, PIPES, shared={shared})
        student = distil_quickly(teacher, make_texts(200, seed=1), Path({str(tmp_path)!r}), config, steps=60, gpu_id=0)
        for name in PIPES:
            if not name.startswith("textcat"):
                assert agreement(student, teacher, name, make_texts(40, seed=2)) > 0.8, name
    """
    # In a process of its own: which device Thinc works on is a matter of the whole process.
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
