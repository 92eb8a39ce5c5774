/**
 * The kernels in WebAssembly, written by a small assembler. Opcodes are those of
 * https://webassembly.github.io/spec/core/binary/instructions.html and, for `f32x4.relaxed_madd`, of
 * https://github.com/WebAssembly/relaxed-simd.
 *
 * All addresses and strides are in bytes, and all rows of numbers are a multiple of four long: one vector of 128 bits.
 */

type Code = (number | Code)[];

function flatten(code: Code): number[] {
  const bytes: number[] = [];
  for (const part of code) {
    // Not `push(...flatten(part))`: a call takes so many arguments.
    if (typeof part === "number") bytes.push(part);
    else for (const byte of flatten(part)) bytes.push(byte);
  }
  return bytes;
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}

/** A whole number of at least -64 as signed LEB128. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if (value === 0 && byte < 64 || value === -1 && byte >= 64) return [...bytes, byte];
    bytes.push(byte | 128);
  }
}

const I32 = 0x7f, F32 = 0x7d, V128 = 0x7b;

const get = (local: number): Code => [0x20, leb(local)];
const set = (local: number, value: Code): Code => [value, 0x21, leb(local)];
const number = (value: number): Code => [0x41, signed(value)];
const plus = (a: Code, b: Code): Code => [a, b, 0x6a];
const times = (a: Code, b: Code): Code => [a, b, 0x6c];
const increase = (local: number, by: Code): Code => set(local, plus(get(local), by));
const when = (condition: Code, then: Code): Code => [condition, 0x04, 0x40, then, 0x0b];
const loadWord = (address: Code): Code => [address, 0x28, 2, 0];
const float = (opcode: number, ...arguments_: Code[]): Code => [arguments_, opcode];
const simd = (opcode: number, ...arguments_: Code[]): Code => [arguments_, 0xfd, leb(opcode)];
const load = (address: Code, offset = 0): Code => [simd(0, address), 4, leb(offset)];
const loadSplat = (address: Code, offset = 0): Code => [simd(9, address), 2, leb(offset)];
const store = (address: Code, value: Code, offset = 0): Code => [simd(11, address, value), 4, leb(offset)];
const zero: Code = [0xfd, leb(12), new Array(16).fill(0)];
const splat = (value: Code): Code => simd(19, value);
const lane = (value: Code, i: number): Code => [simd(31, value), i];
const NOTHING = 0x01;
const ADD = 228, SUB = 229, MUL = 230, PMAX = 235, RELAXED_MADD = 261;
const F_ADD = 0x92, F_SUB = 0x93, F_MUL = 0x94, F_DIV = 0x95, F_SQRT = 0x91;

/** Count `local` up from 0 until it is `end`, `step` at a time. */
function count(local: number, end: Code, step: number, body: Code): Code {
  return [
    set(local, number(0)),
    0x02, 0x40, 0x03, 0x40, [get(local), end, 0x4f, 0x0d, 1], body, increase(local, number(step)), [0x0c, 0], 0x0b, 0x0b,
  ];
}

/** The sum of a vector's four numbers. */
function sum(vector: number): Code {
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => lane(get(vector), i));
  return float(F_ADD, float(F_ADD, a, c), float(F_ADD, b, d));
}

/** Locals of a function: its parameters, and those asked for. */
class Locals {
  readonly types: number[] = [];
  constructor(private used: number) {}
  new(type = I32): number {
    this.types.push(type);
    return this.used++;
  }
}

interface Function {
  parameters: number[];
  write: (parameters: number[], locals: Locals) => Code;
}

/**
 * Multiply rows by packed weights: for each row r and panel p of eight outputs, c[r] = start[r] + a[r] * b[p].
 * Tiles of four rows and a panel, and of one row and four panels, keep their sums in registers.
 */
const multiply: Function = {
  //           a    lda  rows b    k    panels start startStride c ldc
  parameters: [I32, I32, I32, I32, I32, I32, I32, I32, I32, I32],
  write([a, lda, rows, b, k, panels, start, startStride, c, ldc], locals) {
    const panel = locals.new(), row = locals.new(), end = locals.new(), size = locals.new();
    const places = [0, 1, 2, 3].map(() => locals.new());
    const weights = [0, 1, 2, 3].map(() => locals.new());
    const sums = Array.from({ length: 8 }, () => locals.new(V128));
    const inputs = [0, 1, 2, 3].map(() => locals.new(V128));
    const factor = locals.new(V128);
    // In three bytes where the runtime puts a multiplication if there is no such instruction: see kernels.ts.
    const added = (local: number, x: Code, y: Code): Code =>
      set(local, [x, y, NOTHING, NOTHING, NOTHING, get(local), simd(RELAXED_MADD)]);
    const tile = (nRows: number, nPanels: number): Code => {
      const own = [...Array(nRows).keys()];
      const panels = [...Array(nPanels).keys()];
      const vectors = [...Array(nPanels * 2).keys()];
      const all = own.flatMap((r) => vectors.map((v) => [r, v, sums[r * nPanels * 2 + v]]));
      const outOf = (r: number, base: Code, stride: number): Code => plus(base, times(plus(get(row), number(r)), get(stride)));
      const column = times(get(panel), number(32));
      return [
        own.map((r) => set(places[r], outOf(r, get(a), lda))),
        panels.map((p) => set(weights[p], plus(get(b), times(plus(get(panel), number(p)), get(size))))),
        all.map(([r, v, local]) => set(local, load(plus(outOf(r, get(start), startStride), column), v * 16))),
        set(end, plus(get(places[0]), times(get(k), number(4)))),
        0x03, 0x40,
        own.map((r) => set(inputs[r], loadSplat(get(places[r])))),
        vectors.map((v) => [
          set(factor, load(get(weights[v >> 1]), (v & 1) * 16)),
          own.map((r) => added(sums[r * nPanels * 2 + v], get(inputs[r]), get(factor))),
        ]),
        panels.map((p) => increase(weights[p], number(32))),
        own.map((r) => increase(places[r], number(4))),
        [get(places[0]), get(end), 0x49, 0x0d, 0],
        0x0b,
        all.map(([r, v, local]) => store(plus(outOf(r, get(c), ldc), column), get(local), v * 16)),
      ];
    };
    const four = locals.new(), wide = locals.new();
    const whilePanels = (limit: Code, by: number, body: Code): Code => [
      0x02, 0x40, 0x03, 0x40, [get(panel), limit, 0x4f, 0x0d, 1], body, increase(panel, number(by)), [0x0c, 0], 0x0b, 0x0b,
    ];
    return [
      set(size, times(get(k), number(32))),
      set(four, [get(rows), number(-4), 0x71]),
      set(wide, [get(panels), number(-4), 0x71]),
      count(panel, get(panels), 1, count(row, get(four), 4, tile(4, 1))),
      set(row, get(four)),
      0x02, 0x40, 0x03, 0x40,
      [get(row), get(rows), 0x4f, 0x0d, 1],
      set(panel, number(0)),
      whilePanels(get(wide), 4, tile(1, 4)),
      whilePanels(get(panels), 1, tile(1, 1)),
      increase(row, number(1)),
      [0x0c, 0],
      0x0b, 0x0b,
    ];
  },
};

/**
 * The largest of each output's pieces, normalized as a layer (Ba et al., arXiv 1607.06450), and what the row was before:
 * out = before + scale * (x - mean) / sqrt(variance + 1e-8) + shift.
 */
const maxoutNorm: Function = {
  //           in   width pieces rows norm before out outStride n   padding
  parameters: [I32, I32, I32, I32, I32, I32, I32, I32, F32, F32],
  write([source, width, pieces, rows, norm, before, out, outStride, n, padding], locals) {
    const row = locals.new(), i = locals.new(), p = locals.new(), at = locals.new();
    const best = locals.new(V128), total = locals.new(V128), centre = locals.new(V128), scale = locals.new(V128);
    const mean = locals.new(F32);
    return count(row, get(rows), 1, [
      set(total, zero),
      count(i, get(width), 16, [
        set(at, plus(get(source), get(i))),
        set(best, load(get(at))),
        count(p, plus(get(pieces), number(-1)), 1, [
          increase(at, get(width)),
          set(best, simd(PMAX, get(best), load(get(at)))),
        ]),
        store(plus(get(out), get(i)), get(best)),
        set(total, simd(ADD, get(total), get(best))),
      ]),
      set(mean, float(F_DIV, sum(total), get(n))),
      set(centre, splat(get(mean))),
      set(total, zero),
      count(i, get(width), 16, [
        set(best, simd(SUB, load(plus(get(out), get(i))), get(centre))),
        set(total, simd(ADD, get(total), simd(MUL, get(best), get(best)))),
      ]),
      // The zeros that fill a row up are no part of it.
      set(scale, splat(float(F_DIV, [0x43, f32(1)], float(F_SQRT, float(F_ADD, [0x43, f32(1e-8)], float(F_DIV,
        float(F_SUB, sum(total), float(F_MUL, get(padding), float(F_MUL, get(mean), get(mean)))), get(n))))))),
      count(i, get(width), 16, [
        set(best, simd(MUL, simd(SUB, load(plus(get(out), get(i))), get(centre)), get(scale))),
        set(best, simd(ADD, simd(MUL, get(best), load(plus(get(norm), get(i)))), load(plus(plus(get(norm), get(width)), get(i))))),
        when(get(before), set(best, simd(ADD, get(best), load(plus(get(before), get(i)))))),
        store(plus(get(out), get(i)), get(best)),
      ]),
      increase(source, times(get(width), get(pieces))),
      increase(out, get(outStride)),
      when(get(before), increase(before, get(outStride))),
    ]);
  },
};

/** A parser's state: the sum of what each feature's token gives, or of its padding (token -1), and the largest pieces. */
const state: Function = {
  //           ids  features cached padding size bias width pieces out
  parameters: [I32, I32, I32, I32, I32, I32, I32, I32, I32],
  write([ids, features, cached, padding, size, bias, width, pieces, out], locals) {
    const i = locals.new(), p = locals.new(), f = locals.new(), id = locals.new(), place = locals.new();
    const best = locals.new(V128), total = locals.new(V128);
    return count(i, get(width), 16, [
      count(p, get(pieces), 1, [
        set(place, plus(get(i), times(get(p), get(width)))),
        set(total, load(plus(get(bias), get(place)))),
        count(f, get(features), 1, [
          set(id, loadWord(plus(get(ids), times(get(f), number(4))))),
          set(total, simd(ADD, get(total), load(plus(
            plus(get(place), times(get(f), get(size))),
            [get(padding), plus(get(cached), times(get(id), times(get(features), get(size)))), get(id), number(0), 0x48, 0x1b],
          )))),
        ]),
        when(get(p), set(total, simd(PMAX, get(best), get(total)))),
        set(best, get(total)),
      ]),
      store(plus(get(out), get(i)), get(best)),
    ]);
  },
};

function f32(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}

function section(id: number, items: Code[]): Code {
  const body = flatten([leb(items.length), items]);
  return [id, leb(body.length), body];
}

/** Write the module. */
export function assemble(): Uint8Array<ArrayBuffer> {
  const functions: [string, Function][] = [["multiply", multiply], ["maxoutNorm", maxoutNorm], ["state", state]];
  const text = (value: string): Code => [leb(value.length), [...value].map((char) => char.charCodeAt(0))];
  const bodies = functions.map(([, { parameters, write }]) => {
    const locals = new Locals(parameters.length);
    const code = write([...parameters.keys()], locals);
    const body = flatten([leb(locals.types.length), locals.types.map((type) => [1, type]), code, 0x0b]);
    return [leb(body.length), body];
  });
  return new Uint8Array(flatten([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, functions.map(([, { parameters }]) => [0x60, leb(parameters.length), parameters, 0])),
    section(2, [[text("e"), text("m"), 2, 0, 1]]),
    section(3, functions.map((_, i) => leb(i))),
    section(7, functions.map(([name], i) => [text(name), 0, leb(i)])),
    section(10, bodies),
  ]));
}
