// Packed columns of protobuf answers as typed arrays. Pure.
import type { PbfReader } from "pbf";

const BYTES = 8;
const PACKED = 2;
/** An empty column, for a field that the message does not have. */
export const NONE = new Float64Array();

/** Read doubles. The message has them as they are in memory (little-endian), so they are copied at once. */
export function doubles(pbf: PbfReader): Float64Array {
  if (pbf.type !== PACKED) return Float64Array.of(pbf.readDouble());
  const bytes = pbf.readBytes();
  return new Float64Array(bytes.slice().buffer, 0, bytes.length / BYTES);
}

export function wholes(pbf: PbfReader, signed: boolean): Float64Array {
  const read = () => (signed ? pbf.readSVarint() : pbf.readVarint());
  if (pbf.type !== PACKED) return Float64Array.of(read());
  const end = pbf.readVarint() + pbf.pos;
  let count = 0;
  // The last byte of each number.
  for (let position = pbf.pos; position < end; position++) if (pbf.buf[position]! < 0x80) count++;
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) out[i] = read();
  return out;
}

/** Append a piece to a column: a message may have a column in several pieces. */
export function joined(before: Float64Array, piece: Float64Array): Float64Array {
  if (!before.length) return piece;
  const out = new Float64Array(before.length + piece.length);
  out.set(before);
  out.set(piece, before.length);
  return out;
}
