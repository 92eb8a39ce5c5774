"""Hugging Face models as a teacher: one that labels tokens and one that labels texts.

    pip install "spacy-tinydistill[transformers]" spacy-huggingface-pipelines
    python hugging_face_teacher.py FOLDER

docs/teachers.md says more.
"""

import sys
from pathlib import Path

import spacy
import torch
import transformers
from spacy.language import Language

import spacy_tinydistill

PEOPLE, PLACES, MOODS = ["Ann", "Bob", "Zoe"], ["Rome", "Oslo", "Lima"], {"sings": "GLAD", "weeps": "SAD"}
TEXTS = [f"{person} {verb} in {place}" for person in PEOPLE for verb in MOODS for place in PLACES]


def train_models(folder: Path) -> None:
    """Make two small models in seconds, `folder`/tokens and `folder`/texts. Yours come from the hub or a folder."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PEOPLE, *PLACES, *MOODS, "in"]
    (folder / "words.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(str(folder / "words.txt"), do_lower_case=False)
    batch = tokenizer(TEXTS, return_tensors="pt")
    tags = ["O", "B-PERSON", "B-PLACE"]
    # A text is [CLS] person verb in place [SEP].
    tokens = torch.tensor([[0, 1, 0, 0, 2, 0]] * len(TEXTS))
    moods = torch.tensor([list(MOODS.values()).index(MOODS[text.split()[1]]) for text in TEXTS])
    for name, kind, labels, expected in (
        ("tokens", transformers.BertForTokenClassification, tags, tokens),
        ("texts", transformers.BertForSequenceClassification, list(MOODS.values()), moods),
    ):
        config = transformers.BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
        )  # fmt: skip
        model = kind(config)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(30):
            optimizer.zero_grad()
            model(**batch, labels=expected).loss.backward()
            optimizer.step()
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def make_teacher(folder: Path) -> Language:
    """Make a pipeline of both."""
    nlp = spacy.blank("en")
    nlp.add_pipe("hf_token_pipe", name="entities", config={"model": str(folder / "tokens"), "annotate": "ents"})
    nlp.add_pipe("hf_text_pipe", name="moods", config={"model": str(folder / "texts")})
    return nlp


def main(folder: Path) -> Language:
    """Distil a student: its ner learns the entities as they are written, its textcat the whole distribution."""
    train_models(folder / "models")
    teacher = make_teacher(folder / "models")
    teacher.to_disk(folder / "teacher")  # For the commands; the models stay where they are.
    return spacy_tinydistill.distill(
        teacher,
        TEXTS * 2,
        output=folder / "student",
        overrides={
            "distillation.max_steps": 40,
            "distillation.batcher.size": 100,
            "distillation.optimizer.learn_rate.initial_rate": 0.02,
            "distillation.optimizer.learn_rate.warmup_steps": 5,
        },
    )


if __name__ == "__main__":
    student = main(Path(sys.argv[1]))
    for text in TEXTS:
        doc = student(text)
        print(text, [(ent.text, ent.label_) for ent in doc.ents], max(doc.cats, key=lambda label: doc.cats[label]))
