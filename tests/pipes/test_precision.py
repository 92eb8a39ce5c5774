"""A teacher calculates in the fastest precision of its machine."""

import numpy

from spacy_tinydistill.pipes.precision import _pytorch_modules, autocast, fastest_precision


def test_bfloat16(transformer_teacher, texts, monkeypatch):
    """On the CPU, which has it too: the layers calculate in it, what they hand on is float32, and it ends again."""
    (module,) = _pytorch_modules(transformer_teacher)
    seen = []

    def watch(layer, args, output) -> None:
        seen.append(str(output.dtype))

    linear = next(layer for layer in module.modules() if type(layer).__name__ == "Linear")
    handle = linear.register_forward_hook(watch)
    docs = [transformer_teacher.make_doc(text) for text in texts[:5]]

    def ask_the_tagger():
        encoded = list(transformer_teacher.get_pipe("transformer").pipe([doc.copy() for doc in docs]))
        return numpy.concatenate(transformer_teacher.get_pipe("tagger").model.predict(encoded))

    exact = ask_the_tagger()
    with autocast(module, "cpu"):
        near = ask_the_tagger()
    assert set(seen) == {"torch.float32", "torch.bfloat16"}
    assert near.dtype == numpy.float32
    assert 0 < abs(near - exact).max() < 0.05 * numpy.ptp(exact)
    assert (ask_the_tagger() == exact).all()
    # Of itself where the CPU has instructions for it, which it may or may not.
    for found, dtype in (({"avx512_bf16": True}, "torch.bfloat16"), ({}, "torch.float32")):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda found=found: found, raising=False)
        seen.clear()
        with fastest_precision(transformer_teacher):
            ask_the_tagger()
        assert set(seen) == {dtype}
    handle.remove()
