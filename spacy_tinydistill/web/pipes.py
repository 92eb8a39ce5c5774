"""Each pipe of a student for the web: what it is made of, or why it cannot go along."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from spacy.language import Language
from spacy.parts_of_speech import NAMES as POS_NAMES
from spacy.pipeline.spancat import ngram_suggester, preset_spans_suggester
from thinc.api import Model

from ..errors import DistillationError
from .characters import Alphabet
from .encoder import Encoders
from .rules import Patterns, describe_attribute_ruler, describe_ruler
from .weights import Weights

Description = dict[str, Any]


@dataclass(frozen=True)
class Student:
    """What the description of a pipe is made from."""

    nlp: Language
    weights: Weights
    encoders: Encoders
    alphabet: Alphabet
    attributes: set[str]  # The names of those that are asked for of tokens

    def patterns_of(self, name: str) -> Patterns:
        """What translates the patterns of a pipe."""
        return Patterns(self.nlp, name, self.alphabet, self.attributes)

    def model_config(self, name: str) -> dict[str, Any]:
        """The block `model` of a pipe in the config."""
        return self.nlp.config["components"][name]["model"]


def describe_pipe(student: Student, name: str, pipe: Any) -> Description | None:
    """Describe a pipe for the runtime.

    Args:
        student: Whose pipe it is.
        name: The pipe's.
        pipe: The pipe.

    Returns:
        Its description; None for an encoder, which the pipes that read it bring along.

    Raises:
        DistillationError: TD702, no such pipe is known; TD703, nor such an architecture; TD707, it searches with a
            beam; TD708, nor such a setting; TD710, a pattern has no translation.
    """
    factory = student.nlp.get_pipe_meta(name).factory
    if factory == "tok2vec":
        return None
    describe = _PIPES.get(factory)
    if describe is None:
        raise DistillationError("TD702", pipe=name, factory=factory, known=", ".join(sorted(_PIPES)))
    return {"name": name, "type": factory.removeprefix("beam_"), **describe(student, name, pipe)}


def _token_labels(student: Student, name: str, pipe: Any) -> Description:
    """What tagger, morphologizer, senter and trainable_lemmatizer share: an encoder and a label for each token."""
    config = student.model_config(name)
    _expect(name, "architecture", config["@architectures"], "spacy.Tagger.v2")
    return {
        "encoder": student.encoders.number_of(name, config["tok2vec"], pipe.model.get_ref("tok2vec")),
        **student.weights.of(pipe.model.get_ref("output_layer"), "W", "b"),
    }


def _tagger(student: Student, name: str, pipe: Any) -> Description:
    return {
        **_token_labels(student, name, pipe),
        "labels": list(pipe.labels),
        "overwrite": pipe.cfg["overwrite"],
    }


def _morphologizer(student: Student, name: str, pipe: Any) -> Description:
    # Two analyses would have to be merged.
    if pipe.cfg["extend"] and _earlier(student.nlp, name, {"morphologizer", "attribute_ruler"}):
        raise DistillationError(
            "TD708", pipe=name, setting="extend", found=True, expected="false, since an earlier pipe may analyse words"
        )
    morphology = student.nlp.vocab.morphology
    strings = student.nlp.vocab.strings
    labels = [
        [strings[morphology.add(pipe.cfg["labels_morph"][label])], POS_NAMES[pipe.cfg["labels_pos"][label]]]
        for label in pipe.labels
    ]
    return {
        **_token_labels(student, name, pipe),
        "labels": labels,
        "overwrite": pipe.cfg["overwrite"] or pipe.cfg["extend"],
        "overwrite_pos": pipe.cfg["overwrite"],
    }


def _senter(student: Student, name: str, pipe: Any) -> Description:
    return {**_token_labels(student, name, pipe), "overwrite": pipe.cfg["overwrite"]}


def _trainable_lemmatizer(student: Student, name: str, pipe: Any) -> Description:
    backoffs = {None: None, "orth": "ORTH", "norm": "NORM", "lower": "LOWER"}
    _expect(name, "backoff", pipe.backoff, *backoffs)
    strings = student.nlp.vocab.strings
    none = 2**32 - 1  # As spaCy marks a tree that is not there
    trees: list[list[Any]] = []
    for i in range(len(pipe.trees)):
        tree = pipe.trees[i]
        if "orig" in tree:
            trees.append([strings.as_string(tree["orig"]), strings.as_string(tree["subst"])])
        else:
            children = [-1 if tree[key] == none else tree[key] for key in ("prefix_tree", "suffix_tree")]
            trees.append([tree["prefix_len"], tree["suffix_len"], *children])
    return {
        **_token_labels(student, name, pipe),
        "trees": trees,
        "labels": list(pipe.cfg["labels"]),
        "top_k": pipe.top_k,
        "backoff": backoffs[pipe.backoff],
        "overwrite": pipe.overwrite,
    }


def _transitions(student: Student, name: str, pipe: Any) -> Description:
    config = student.model_config(name)
    _expect(name, "architecture", config["@architectures"], "spacy.TransitionBasedParser.v2")
    width = pipe.cfg["beam_width"]
    if width != 1 and (earlier := _earlier(student.nlp, name, {"entity_ruler", "span_ruler", "ner", "beam_ner"})):
        # Entities that are there already may have labels that the beam has no scores for.
        raise DistillationError("TD707", pipe=name, found=width, earlier=earlier)
    _expect(name, "learn_tokens", bool(pipe.cfg.get("learn_tokens")), False)
    model = pipe.model
    # spaCy gives labels that it met after training the lowest score of a whole batch.
    _expect(name, "labels without weights", sorted(model.attrs["unseen_classes"]), [])
    _, _, linear = model.get_ref("tok2vec").layers
    upper = model.get_ref("upper") if model.attrs["has_upper"] else None
    return {
        "encoder": student.encoders.number_of(name, config["tok2vec"], model.get_ref("tok2vec").layers[0]),
        # Not `move_names`, which leaves one out.
        "moves": [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)],
        "linear": student.weights.of(linear, "W", "b"),
        "lower": student.weights.of(model.get_ref("lower"), "W", "b", "pad"),
        "upper": upper and student.weights.of(upper, "W", "b"),
        "beam": {"width": width, "density": pipe.cfg["beam_density"]},
    }


def _textcat(student: Student, name: str, pipe: Any) -> Description:
    config = student.model_config(name)
    _expect(name, "architecture", config["@architectures"], "spacy.TextCatReduce.v1", "spacy.TextCatCNN.v2")
    return {
        "encoder": student.encoders.number_of(name, config["tok2vec"], pipe.model.get_ref("tok2vec")),
        **student.weights.of(pipe.model.get_ref("output_layer"), "W", "b"),
        "reductions": _reductions(pipe.model),
        "exclusive": bool(config["exclusive_classes"]),
        "labels": list(pipe.labels),
    }


def _spancat(student: Student, name: str, pipe: Any) -> Description:
    config = student.model_config(name)
    _expect(name, "architecture", config["@architectures"], "spacy.SpanCategorizer.v1")
    _expect(name, "reducer", config["reducer"].get("@layers"), "spacy.mean_max_reducer.v1")
    scorer = config["scorer"].get("@layers")
    _expect(name, "scorer", scorer, "spacy.LinearLogistic.v1", "Softmax.v1", "Softmax.v2")
    reducer, output = pipe.model.get_ref("reducer"), pipe.model.get_ref("scorer")
    (output,) = [node for node in output.walk() if node.has_param("W")]
    _expect(name, "normalize_outputs", bool(output.attrs.get("softmax_normalize", True)), True)
    (maxout,) = [node for node in reducer.walk() if node.name == "maxout"]
    (norm,) = [node for node in reducer.walk() if node.name == "layernorm"]
    if maxout.get_dim("nP") < 2:
        raise DistillationError("TD708", pipe=name, setting="maxout_pieces", found=1, expected="2 or more")
    return {
        "encoder": student.encoders.number_of(name, config["tok2vec"], pipe.model.get_ref("tok2vec")),
        "reductions": _reductions(reducer),
        "hidden": {**student.weights.of(maxout, "W", "b"), "norm": student.weights.of(norm, "G", "b")},
        "exclusive": scorer != "spacy.LinearLogistic.v1",
        **student.weights.of(output, "W", "b"),
        "labels": list(pipe.labels),
        "negative": pipe._negative_label_i,
        "suggester": _suggester(name, pipe.suggester),
        "key": pipe.key,
        "threshold": pipe.cfg["threshold"],
        "max_positive": pipe.cfg["max_positive"],
        "allow_overlap": pipe.cfg["allow_overlap"],
    }


def _span_finder(student: Student, name: str, pipe: Any) -> Description:
    config = student.model_config(name)
    _expect(name, "architecture", config["@architectures"], "spacy.SpanFinder.v1")
    _expect(name, "scorer", config["scorer"].get("@layers"), "spacy.LinearLogistic.v1")
    (output,) = [node for node in pipe.model.get_ref("scorer").walk() if node.has_param("W")]
    return {
        "encoder": student.encoders.number_of(name, config["tok2vec"], pipe.model.get_ref("tok2vec")),
        **student.weights.of(output, "W", "b"),
        "key": pipe.cfg["spans_key"],
        "threshold": pipe.cfg["threshold"],
        "min_length": pipe.cfg["min_length"],
        "max_length": pipe.cfg["max_length"],
    }


def _suggester(name: str, suggester: Any) -> Description:
    function = suggester.func if isinstance(suggester, partial) else suggester
    if function is ngram_suggester:
        return {"sizes": list(suggester.keywords["sizes"])}
    if function is preset_spans_suggester:
        return {"key": suggester.keywords["spans_key"]}
    found = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
    raise DistillationError(
        "TD708", pipe=name, setting="suggester", found=found, expected="ngrams, a range of them, or preset spans"
    )


def _reductions(model: Model) -> list[str]:
    """The ways in which a model makes one vector of several, in the order in which these are put together."""
    return [node.name.removeprefix("reduce_") for node in model.walk(order="dfs_pre") if node.name in _REDUCTIONS]


_REDUCTIONS = ("reduce_first", "reduce_last", "reduce_max", "reduce_mean")


def _sentencizer(student: Student, name: str, pipe: Any) -> Description:
    student.attributes.add("IS_PUNCT")
    return {"punct_chars": sorted(pipe.punct_chars), "overwrite": pipe.overwrite}


def _attribute_ruler(student: Student, name: str, pipe: Any) -> Description:
    return describe_attribute_ruler(pipe, student.nlp, name, student.patterns_of(name))


def _ruler(student: Student, name: str, pipe: Any) -> Description:
    return describe_ruler(pipe, student.nlp, name, student.patterns_of(name))


def _expect(pipe: str, setting: str, found: Any, *expected: Any) -> None:
    if found in expected:
        return
    known = ", ".join(map(str, expected))
    if setting == "architecture":
        raise DistillationError("TD703", pipe=pipe, found=found, known=known)
    raise DistillationError("TD708", pipe=pipe, setting=setting, found=found, expected=known)


def _earlier(nlp: Language, name: str, factories: set[str]) -> str | None:
    """The first pipe before another one that one of these factories made."""
    earlier = nlp.pipe_names[: nlp.pipe_names.index(name)]
    return next((other for other in earlier if nlp.get_pipe_meta(other).factory in factories), None)


# By spaCy's factory.
_PIPES: dict[str, Callable[[Student, str, Any], Description]] = {
    "tagger": _tagger,
    "morphologizer": _morphologizer,
    "senter": _senter,
    "trainable_lemmatizer": _trainable_lemmatizer,
    "parser": _transitions,
    "ner": _transitions,
    "beam_parser": _transitions,
    "beam_ner": _transitions,
    "textcat": _textcat,
    "textcat_multilabel": _textcat,
    "spancat": _spancat,
    "spancat_singlelabel": _spancat,
    "span_finder": _span_finder,
    "sentencizer": _sentencizer,
    "attribute_ruler": _attribute_ruler,
    "entity_ruler": _ruler,
    "span_ruler": _ruler,
}
