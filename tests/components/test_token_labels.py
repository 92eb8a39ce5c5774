"""Labels of tokens: what is recorded of them."""

import pytest

from spacy_tinydistill.components.token_labels import TokenLabels


def test_unnormalized_scores_are_normalized_to_record(teacher):
    """`spacy.Tagger.v2` gives unnormalized scores where it is not training; these teach nothing."""
    tagger = teacher.get_pipe("tagger")
    docs = [teacher.make_doc(text) for text in ("Anna played the drum.", "Did he pay?")]
    raw = tagger.model.predict(docs)
    assert abs(raw[0].sum(axis=1) - 1).max() > 0.1
    recorded = TokenLabels(temperature=1.0, top_k=0).record(tagger, docs)
    for arrays, scores in zip(recorded, raw, strict=True):
        assert arrays["probabilities"].sum(axis=1) == pytest.approx(1.0, abs=0.01)
        assert (arrays["probabilities"].argmax(axis=1) == scores.argmax(axis=1)).all()
    # The teacher is as before.
    assert (tagger.model.predict(docs)[0] == raw[0]).all()
