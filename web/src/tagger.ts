/** Pipes that give each token a label: tagger, morphologizer, senter and trainable_lemmatizer. */

import type { Token } from "./doc.js";
import type { Encoder } from "./encoder.js";
import { ensure, isCount } from "./format.js";
import { Linear, type Model, type Pipe, type Reading, encoderOf, ensureTexts, largest } from "./pipe.js";
import type { Attribute } from "./vocab.js";

export interface DescribedLabels {
  encoder: number;
  W: number;
  b: number;
}

/** Tokens whose scores are computed at once. */
const BLOCK = 64;

export abstract class TokenLabels implements Pipe {
  private readonly linear: Linear;
  private readonly encoder: Encoder;

  constructor(private readonly model: Model, described: DescribedLabels, protected readonly count: number) {
    this.encoder = encoderOf(model, described.encoder);
    this.linear = new Linear(model.heap, model.file, described.W, described.b, count, [this.encoder.width]);
  }

  apply(reading: Reading): void {
    const { heap } = this.model;
    const { tokens } = reading.doc;
    const vectors = reading.vectors(this.encoder);
    const mark = heap.top;
    const { linear, encoder } = this;
    const scores = heap.alloc(BLOCK * (linear.rowBytes / 4));
    for (let i = 0; i < tokens.length; i += BLOCK) {
      const rows = Math.min(BLOCK, tokens.length - i);
      linear.run(vectors + i * encoder.rowBytes, encoder.rowBytes, rows, scores);
      for (let j = 0; j < rows; j++) this.label(tokens[i + j], heap.floats, (scores + j * linear.rowBytes) >> 2);
    }
    heap.top = mark;
  }

  /** Label a token; its scores begin at `start` in `floats`, where they may be changed. */
  protected abstract label(token: Token, floats: Float32Array, start: number): void;
}

export class Tagger extends TokenLabels {
  constructor(model: Model, private readonly described: DescribedLabels & { labels: string[]; overwrite: boolean }) {
    ensureTexts(described.labels, "a tagger's labels");
    super(model, described, described.labels.length);
  }

  protected label(token: Token, floats: Float32Array, start: number): void {
    const best = largest(floats, start, this.count);
    if (this.described.overwrite || !token.tag) token.tag = this.described.labels[best];
  }
}

export class Morphologizer extends TokenLabels {
  constructor(
    model: Model,
    private readonly described: DescribedLabels & { labels: [string, string][]; overwrite: boolean; overwrite_pos: boolean },
  ) {
    ensureTexts(described.labels.flat(), "a morphologizer's labels");
    super(model, described, described.labels.length);
  }

  protected label(token: Token, floats: Float32Array, start: number): void {
    const [features, pos] = this.described.labels[largest(floats, start, this.count)];
    if (this.described.overwrite || !token.features) token.features = features;
    if (this.described.overwrite_pos || !token.pos) token.pos = pos;
  }
}

export class Senter extends TokenLabels {
  constructor(model: Model, private readonly described: DescribedLabels & { overwrite: boolean }) {
    super(model, described, 2);
  }

  protected label(token: Token, floats: Float32Array, start: number): void {
    if (this.described.overwrite || !token.sentStart) token.sentStart = floats[start + 1] > floats[start] ? 1 : -1;
  }
}

/** A text that another one replaces; or how much to keep of both ends, and the trees for these (-1: they are dropped). */
type Tree = [string, string] | [number, number, number, number];

/** So deep is no tree: each one's own are for less of the word. */
const DEEPEST = 200;

export class Lemmatizer extends TokenLabels {
  constructor(
    model: Model,
    private readonly described: DescribedLabels & {
      trees: Tree[]; labels: number[]; top_k: number; backoff: Attribute | null; overwrite: boolean;
    },
  ) {
    const { trees, labels } = described;
    super(model, described, labels.length);
    const depths: number[] = [];
    // A tree's own come before it, so that none is its own; and only a text is there for nothing, so that all end soon.
    const isSubtree = (length: unknown, tree: unknown): boolean =>
      isCount(length) && (tree === -1 || (isCount(tree) && tree < depths.length && (length > 0 || trees[tree].length === 2)));
    trees.forEach((tree) => {
      const isText = tree.length === 2 && tree.every((text) => typeof text === "string");
      const isMatch = tree.length === 4 && isSubtree(tree[0], tree[2]) && isSubtree(tree[1], tree[3]);
      ensure(isText || isMatch, "an edit tree");
      depths.push(isText ? 0 : 1 + Math.max(depths[tree[2] as number] ?? 0, depths[tree[3] as number] ?? 0));
      ensure(depths.at(-1)! <= DEEPEST, "an edit tree is too deep");
    });
    ensure(labels.every((label) => isCount(label) && label < trees.length), "an edit tree is not there");
    ensure(isCount(described.top_k), "top_k");
  }

  protected label(token: Token, floats: Float32Array, start: number): void {
    const { overwrite, labels, top_k, backoff } = this.described;
    if (!overwrite && token.lemma) return;
    const form = [...token.text];
    for (let tries = Math.min(top_k, this.count); tries > 0; tries--) {
      const best = largest(floats, start, this.count);
      const lemma = this.rewrite(labels[best], form);
      if (lemma !== null) {
        token.lemma = lemma;
        return;
      }
      floats[start + best] = -3.4028234663852886e38;
    }
    if (backoff) token.lemma = backoff === "NORM" ? token.norm : token.lexeme.get(backoff);
  }

  private rewrite(index: number, form: string[]): string | null {
    const tree = this.described.trees[index];
    if (tree.length === 2) return form.join("") === tree[0] ? tree[1] : null;
    const [before, after, beforeTree, afterTree] = tree;
    const end = form.length - after;
    if (before > end) return null;
    const start = beforeTree < 0 ? "" : this.rewrite(beforeTree, form.slice(0, before));
    const rest = afterTree < 0 ? "" : this.rewrite(afterTree, form.slice(end));
    return start === null || rest === null ? null : start + form.slice(before, end).join("") + rest;
  }
}
