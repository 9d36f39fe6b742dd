/** Packs of frames and masks as the server sends them (docs/app-design.md); pure functions. */

/** Frames of a pack: [{frame, bytes}], the bytes being views of the buffer. */
export function readFramePack(buffer) {
  const data = new DataView(buffer);
  const found = [];
  for (let at = 0; at + 8 <= buffer.byteLength;) {
    const frame = data.getUint32(at, true);
    const length = data.getUint32(at + 4, true);
    found.push({ frame, bytes: new Uint8Array(buffer, at + 8, length) });
    at += 8 + length;
  }
  return found;
}

/** Records of an inflated pack of masks: [{frame, width, height, bytes}]. */
export function readMaskRecords(bytes) {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 0; at + 12 <= bytes.byteLength;) {
    const length = data.getUint32(at + 8, true);
    found.push({
      frame: data.getUint32(at, true),
      width: data.getUint16(at + 4, true),
      height: data.getUint16(at + 6, true),
      bytes: bytes.slice(at + 12, at + 12 + length),
    });
    at += 12 + length;
  }
  return found;
}

/** The bytes of a zlib stream, inflated. */
export async function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/**
 * Calls `onRun(label, start, end)` for every run of a record, in row order.
 * Numbers are unsigned LEB128: gap to the next start, then length.
 */
export function eachRun(bytes, onRun) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at + 5 <= bytes.length) {
    const label = bytes[at];
    const count = (bytes[at + 1] | (bytes[at + 2] << 8) | (bytes[at + 3] << 16)) + bytes[at + 4] * 2 ** 24;
    at += 5;
    let position = 0;
    for (let i = 0; i + 1 < count; i += 2) {
      const start = position + number();
      position = start + number();
      onRun(label, start, position);
    }
  }
}

/** The label map of a record: Uint8Array of width x height, 0 is background. */
export function labelMap(record) {
  const labels = new Uint8Array(record.width * record.height);
  eachRun(record.bytes, (label, start, end) => labels.fill(label, start, end));
  return labels;
}

/** Pixels and bounding box of one object in a record: {area, box: [x, y, w, h] or null}. */
export function measure(record, label) {
  let area = 0;
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  eachRun(record.bytes, (l, start, end) => {
    if (l !== label) return;
    area += end - start;
    const y = Math.floor(start / record.width);
    const last = Math.floor((end - 1) / record.width);
    const x = start % record.width;
    top = Math.min(top, y);
    bottom = Math.max(bottom, last);
    left = last > y ? 0 : Math.min(left, x);
    right = last > y ? record.width - 1 : Math.max(right, (end - 1) % record.width);
  });
  return { area, box: area ? [left, top, right - left + 1, bottom - top + 1] : null };
}

/** Box around all objects of a record, as fractions of the picture: [left, top, right, bottom]. */
export function boxOf({ bytes, width, height }) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  eachRun(bytes, (_, start, end) => {
    const y = Math.floor(start / width);
    const last = Math.floor((end - 1) / width);
    top = Math.min(top, y);
    bottom = Math.max(bottom, last + 1);
    left = last > y ? 0 : Math.min(left, start % width);
    right = last > y ? width : Math.max(right, ((end - 1) % width) + 1);
  });
  return [left / width, top / height, right / width, bottom / height];
}
