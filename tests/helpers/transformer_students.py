"""Students on a tiny transformer that learn a teacher's layers."""

from spacy.training import Example

from helpers.paths import ROOT
from helpers.students import distil_quickly
from spacy_tinydistill.loop import _GradientStream
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import (
    describe_lessons,
    initialize_student,
    make_student,
    plan_lessons,
    start_lessons,
)
from spacy_tinydistill.targets.records import Record
from spacy_tinydistill.teacher.recorder import ask
from spacy_tinydistill.tiny_transformer.encoder import find_transformer

CONFIGS = ROOT / "configs"
ARCHITECTURE = "spacy-tinydistill.TinyTransformer.v1"
RULE = "spacy-tinydistill.TransformerLayers.v1"

LIKE_THE_TEACHER = {
    "layers": 2,
    "width": 32,
    "heads": 2,
    "intermediate_width": 64,
    "vocab_size": 250,
    "max_length": 128,
}
NO_ATTENTION = {"attention_weight": 0.0}

# Each fits into one window of both, also where the pieces are letters.
SHORT = ["Maria sings.", "Did Acme export two drums?", "She paid on Monday in Oslo.", "Victor plays the guitar again."]


def config_of(teacher, callback, rule=None, **changes):
    """A tagger on a tiny transformer that is taught layer by layer."""
    config = student_config(teacher, size="nano", pipeline=["tagger"])
    settings = {**LIKE_THE_TEACHER, **changes}
    config["components"]["tok2vec"]["model"] = {"@architectures": ARCHITECTURE, **settings}
    config["components"]["tagger"]["model"]["tok2vec"]["width"] = settings["width"]
    config["initialize"]["before_init"] = callback
    config["distillation"]["teaching"] = {"tok2vec": {"@teaching_rules": RULE, **(rule or {})}}
    return config


def teacher_pieces(path):
    return {"@callbacks": "spacy-tinydistill.TeacherPieces.v1", "teacher": str(path)}


def trained_pieces(folder, texts):
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf8")
    return {"@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": str(folder / "texts.txt")}


class Classroom:
    """A student, its lessons, and what its teacher says of a few texts."""

    def __init__(self, teacher, config, texts) -> None:
        profile = profile_teacher(teacher)
        self.student = make_student(config, profile)
        plan = plan_lessons(self.student, teacher, read_distillation_config(config.interpolate()))
        examples = [Example(self.student.make_doc(text), self.student.make_doc(text)) for text in texts]
        initialize_student(self.student, profile, plan, examples)
        self.lessons = start_lessons(self.student, describe_lessons(self.student, teacher, plan), plan)
        self.encoder = self.student.get_pipe("tok2vec")
        self.bert = find_transformer(self.encoder.model).shims[0]._model
        self.docs = [example.predicted for example in examples]
        self.targets = [said["tok2vec"] for said in ask(teacher, map(Record.from_doc, self.docs), plan)]

    def learn(self) -> float:
        self.encoder.update([Example(doc, doc) for doc in self.docs], losses={})
        stream = _GradientStream(self.encoder)
        loss = self.lessons["tok2vec"].update(self.docs, self.targets, dropout=0.0)
        stream.finish()
        return loss


def run(teacher, texts, folder, config, *, kill_at=-1, steps=9, **changes):
    settings = {"dropout": 0.2, "training.eval_frequency": 4, "distillation.batcher.size": 50, **changes}
    if kill_at >= 0:
        settings["training.before_update"] = {"@callbacks": "tests.watch_updates.v1", "kill_at": kill_at}
    return distil_quickly(teacher, texts, folder, config, steps=steps, **settings)


def bert_of(teacher):
    return teacher.get_pipe("transformer").model.transformer
