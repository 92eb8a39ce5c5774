/** Text categories, exclusive or not: `spacy.TextCatReduce.v1`. */

import type { Encoder } from "./encoder.js";
import { Linear, type Model, type Pipe, type Reading, type Reduction } from "./pipe.js";
import { encoderOf, ensureReductions, ensureTexts, normalize, reduce } from "./pipe.js";

export interface DescribedTextcat {
  encoder: number;
  W: number;
  b: number;
  reductions: Reduction[];
  exclusive: boolean;
  labels: string[];
}

export class TextCategorizer implements Pipe {
  private readonly encoder: Encoder;
  private readonly linear: Linear;

  constructor(private readonly model: Model, private readonly described: DescribedTextcat) {
    const { labels, reductions } = described;
    ensureTexts(labels, "a textcat's labels");
    ensureReductions(reductions);
    this.encoder = encoderOf(model, described.encoder);
    const inputs = reductions.map(() => this.encoder.width);
    this.linear = new Linear(model.heap, model.file, described.W, described.b, labels.length, inputs);
  }

  apply(reading: Reading): void {
    const { labels, reductions, exclusive } = this.described;
    const { cats, length } = reading.doc;
    if (!length) {
      for (const label of labels) cats[label] = 0;
      return;
    }
    const { heap } = this.model;
    const { encoder, linear } = this;
    const vectors = reading.vectors(encoder);
    const mark = heap.top;
    const row = heap.alloc((reductions.length * encoder.rowBytes) / 4);
    const scores = heap.alloc(linear.rowBytes / 4);
    reduce(heap, reductions, vectors, length, encoder.rowBytes, row);
    linear.run(row, 0, 1, scores);
    normalize(heap.floats, scores >> 2, labels.length, exclusive);
    labels.forEach((label, i) => (cats[label] = heap.floats[(scores >> 2) + i]));
    heap.top = mark;
  }
}
