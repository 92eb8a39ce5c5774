"""`spacy init distill-vectors` from end to end."""

from pathlib import Path

import spacy
from spacy.util import load_config

from helpers.commands import invoke, spacy_cli
from helpers.tiny_teacher import LANGUAGE, TEXTS, write_texts


def test_code_is_imported_before_the_teacher_is_loaded(tmp_path: Path) -> None:
    """Its file alone knows the component that the teacher has."""
    code = tmp_path / "code.py"
    teacher, texts = tmp_path / "teacher", write_texts(tmp_path / "texts.txt")
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tok2vec")
    nlp.add_pipe("tagger").add_label("A")
    nlp.initialize()
    nlp.to_disk(teacher)
    config = load_config(teacher / "config.cfg")
    for command in (
        ["init", "distill-config", teacher, tmp_path / "student.cfg"],
        ["init", "distill-vectors", teacher, texts, tmp_path / "vectors", "--width", 8],
    ):
        # What is registered stays so in this process: another name for each command.
        name = command[1].replace("-", "_")
        config["nlp"]["pipeline"] = ["tok2vec", "tagger", name]
        config["components"][name] = {"factory": name}
        config.to_disk(teacher / "config.cfg")
        code.write_text(f"from spacy.language import Language\nLanguage.component({name!r}, func=lambda doc: doc)\n")
        result = invoke(*command)
        assert "TD202" in result.output
        spacy_cli(*command, "--code", code)


def test_word_vectors_from_a_csv_file_whose_column_has_another_name(tmp_path: Path) -> None:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tok2vec")
    nlp.initialize()
    nlp.to_disk(tmp_path / "teacher")
    texts = tmp_path / "texts.csv"
    texts.write_text("sentence,text\n" + "\n".join(f"{text},unlike" for text in TEXTS))
    # In a folder that is not there yet.
    output = tmp_path / "new" / "vectors"
    options = ["init", "distill-vectors", tmp_path / "teacher", texts, output, "--width", "8"]
    spacy_cli(*options, "--column", "sentence")
    vocab = spacy.load(output).vocab
    assert vocab.has_vector(TEXTS[0].split()[0])
    assert not vocab.has_vector("unlike")
