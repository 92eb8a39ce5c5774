/** spaCy's span categorizer, labels for the spans that are suggested, and its span finder, which finds such spans. */

import { type Doc, Span, type Token } from "./doc.js";
import { type DescribedMaxout, type Encoder, Maxout } from "./encoder.js";
import { ensure, isCount } from "./format.js";
import { spread } from "./kernels.js";
import { Linear, type Model, type Pipe, type Reading, type Reduction } from "./pipe.js";
import { encoderOf, ensureReductions, ensureTexts, largest, normalize, reduce } from "./pipe.js";
import { type DescribedLabels, TokenLabels } from "./tagger.js";

export interface DescribedSpancat {
  encoder: number;
  reductions: Reduction[];
  hidden: DescribedMaxout;
  W: number;
  b: number;
  exclusive: boolean;
  labels: string[];
  /** The place of the label for "none of these", if there is one. */
  negative: number | null;
  suggester: { sizes: number[] } | { key: string };
  key: string;
  threshold: number | null;
  max_positive: number | null;
  allow_overlap: boolean;
}

/** Lengths of spans; all have as many spans as a text has words. */
const MOST_SIZES = 100;

/** Spans whose scores are computed at once. */
const BLOCK = 64;

export class SpanCategorizer implements Pipe {
  private readonly encoder: Encoder;
  private readonly hidden: Maxout;
  private readonly linear: Linear;
  private readonly count: number;

  constructor(private readonly model: Model, private readonly described: DescribedSpancat) {
    const { labels, reductions, negative, suggester } = described;
    ensureTexts(labels, "a spancat's labels");
    ensureReductions(reductions);
    const areSizes = (sizes: unknown): boolean =>
      Array.isArray(sizes) && sizes.length <= MOST_SIZES && sizes.every((n) => isCount(n) && n > 0);
    ensure("key" in suggester || areSizes(suggester.sizes), "a suggester");
    this.encoder = encoderOf(model, described.encoder);
    const source = spread(reductions.length, this.encoder.width);
    this.hidden = new Maxout(model.heap, model.file, described.hidden, source);
    this.count = labels.length + (negative === null ? 0 : 1);
    this.linear = new Linear(model.heap, model.file, described.W, described.b, this.count, [this.hidden.width]);
  }

  apply(reading: Reading): void {
    const { doc } = reading;
    const spans = this.suggest(doc);
    const scores = this.score(reading, spans);
    const { max_positive, key } = this.described;
    doc.spans[key] = max_positive === 1 ? this.chooseOne(doc, spans, scores) : this.chooseSeveral(doc, spans, scores);
  }

  private suggest(doc: Doc): [number, number][] {
    const { suggester } = this.described;
    if ("key" in suggester) return (doc.spans[suggester.key] ?? []).map(({ start, end }) => [start, end]);
    const spans: [number, number][] = [];
    for (const size of suggester.sizes) {
      for (let start = 0; start + size <= doc.length; start++) spans.push([start, start + size]);
    }
    return spans;
  }

  /** One row of `count` probabilities for each span. */
  private score(reading: Reading, spans: [number, number][]): Float32Array {
    const { heap } = this.model;
    const { encoder, hidden, linear, count } = this;
    const { reductions, exclusive } = this.described;
    const result = new Float32Array(spans.length * count);
    if (!spans.length) return result;
    const vectors = reading.vectors(encoder);
    const mark = heap.top;
    const rowBytes = reductions.length * encoder.rowBytes;
    const reduced = heap.alloc((BLOCK * rowBytes) / 4);
    const middle = heap.alloc((BLOCK * hidden.rowBytes) / 4);
    const scores = heap.alloc((BLOCK * linear.rowBytes) / 4);
    for (let i = 0; i < spans.length; i += BLOCK) {
      const rows = Math.min(BLOCK, spans.length - i);
      for (let j = 0; j < rows; j++) {
        const [start, end] = spans[i + j];
        reduce(heap, reductions, vectors + start * encoder.rowBytes, end - start, encoder.rowBytes, reduced + j * rowBytes);
      }
      hidden.run(reduced, rowBytes, rows, 0, middle);
      linear.run(middle, hidden.rowBytes, rows, scores);
      for (let j = 0; j < rows; j++) {
        const at = (scores + j * linear.rowBytes) >> 2;
        normalize(heap.floats, at, count, exclusive);
        result.set(heap.floats.subarray(at, at + count), (i + j) * count);
      }
    }
    heap.top = mark;
    return result;
  }

  private chooseSeveral(doc: Doc, spans: [number, number][], scores: Float32Array): Span[] {
    const { labels, negative, threshold, max_positive } = this.described;
    const least = threshold === null ? -Infinity : Math.fround(threshold);
    const { count } = this;
    const chosen: Span[] = [];
    spans.forEach(([start, end], i) => {
      const row = scores.subarray(i * count, (i + 1) * count);
      const places = [...row.keys()];
      const best = max_positive === null ? places : places.filter((j) => j !== negative)
        .sort((a, b) => row[b] - row[a] || a - b).slice(0, max_positive);
      for (const j of best.sort((a, b) => a - b)) {
        if (j !== negative && row[j] >= least) chosen.push(spanOf(doc, start, end, labels[j], row[j]));
      }
    });
    return chosen;
  }

  private chooseOne(doc: Doc, spans: [number, number][], scores: Float32Array): Span[] {
    const { labels, negative, threshold, allow_overlap } = this.described;
    const least = threshold === null ? -Infinity : Math.fround(threshold);
    const { count } = this;
    const found = spans.map(([start, end], i) => {
      const best = largest(scores, i * count, count);
      return { start, end, best, score: scores[i * count + best] };
    });
    if (!allow_overlap) found.sort((a, b) => b.score - a.score);
    const taken = new Set<number>();
    const chosen: Span[] = [];
    for (const { start, end, best, score } of found) {
      if (best === negative || !(score >= least)) continue;
      if (!allow_overlap) {
        const tokens = Array.from({ length: end - start }, (_, i) => start + i);
        if (tokens.some((i) => taken.has(i))) continue;
        tokens.forEach((i) => taken.add(i));
      }
      chosen.push(spanOf(doc, start, end, labels[best], score));
    }
    return chosen;
  }
}

export class SpanFinder extends TokenLabels {
  private starts: number[] = [];
  private ends: number[] = [];

  constructor(
    model: Model,
    private readonly described: DescribedLabels & { key: string; threshold: number; min_length: number | null; max_length: number | null },
  ) {
    super(model, described, 2);
  }

  override apply(reading: Reading): void {
    const { doc } = reading;
    const { key, min_length, max_length } = this.described;
    this.starts = [];
    this.ends = [];
    super.apply(reading);
    const isFitting = (length: number): boolean => length >= (min_length ?? 1) && length <= (max_length ?? Infinity);
    doc.spans[key] = this.starts.flatMap((start) =>
      this.ends.filter((end) => end > start && isFitting(end - start)).map((end) => new Span(doc, start, end)));
  }

  protected label(token: Token, floats: Float32Array, start: number): void {
    const least = Math.fround(this.described.threshold);
    normalize(floats, start, 2, false);
    if (floats[start] >= least) this.starts.push(token.i);
    if (floats[start + 1] >= least) this.ends.push(token.i + 1);
  }
}

function spanOf(doc: Doc, start: number, end: number, label: string, score: number): Span {
  const span = new Span(doc, start, end, label);
  span.score = score;
  return span;
}
