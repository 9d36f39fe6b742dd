/** The masks of the open project: encoded records by frame, label maps of the few in use. */

import { Failure, request } from './api.js';
import { boxOf, fromBase64, inflate, labelMap, readMaskRecords } from './packs.js';
import { maskTick } from './state.js';

const PACK = 120;
const MAPS = 12;

export class Masks {
  constructor(projectId) {
    this.base = `/api/projects/${projectId}/masks`;
    this.records = new Map(); // frame -> record
    this.earlier = new Map(); // frame -> the record before the last change
    this.maps = new Map(); // frame -> {record, labels}
    this.wanted = null;
    this.busy = null;
  }

  /** Puts records in place, remembering what they replace for the view of differences. */
  put(records) {
    for (const record of records) {
      const before = this.records.get(record.frame);
      if (before && !same(before.bytes, record.bytes)) this.earlier.set(record.frame, before);
      this.records.set(record.frame, record);
    }
    maskTick.value += 1;
  }

  putBase64(text) {
    const records = readMaskRecords(fromBase64(text));
    this.put(records);
    return records[0] ?? null;
  }

  drop(frames) {
    for (const frame of frames) this.records.delete(frame);
    maskTick.value += 1;
  }

  /** Fetches the masks of some frames again; calls while one runs are merged. */
  async fetch(frames) {
    this.wanted = new Set([...(this.wanted ?? []), ...frames]);
    this.busy ??= this.work().finally(() => {
      this.busy = null;
      return this.wanted?.size ? this.fetch([]) : undefined; // asked for between the end of the loop and here
    });
    return this.busy;
  }

  async work() {
    while (this.wanted?.size) {
      const sorted = [...this.wanted].sort((a, b) => a - b);
      this.wanted = null;
      for (let i = 0; i < sorted.length;) {
        let j = i;
        while (j + 1 < sorted.length && sorted[j + 1] - sorted[i] < PACK && sorted[j + 1] - sorted[j] < 16) j += 1;
        await this.fetchRange(sorted[i], sorted[j]).catch((error) => {
          if (!(error instanceof Failure)) throw error;
        });
        i = j + 1;
      }
    }
  }

  async fetchRange(from, to) {
    const response = await request('GET', `${this.base}?from=${from}&to=${to}`);
    const records = readMaskRecords(await inflate(await response.arrayBuffer()));
    const found = new Set(records.map((r) => r.frame));
    for (let i = from; i <= to; i += 1) if (!found.has(i)) this.records.delete(i);
    this.put(records);
  }

  /** {width, height, labels} of a frame, or null where there is no mask. */
  get(frame, records = this.records) {
    const record = records.get(frame);
    if (!record) return null;
    const cached = this.maps.get(record);
    if (cached) return cached;
    const map = { width: record.width, height: record.height, labels: labelMap(record), box: boxOf(record) };
    this.maps.set(record, map);
    if (this.maps.size > MAPS) this.maps.delete(this.maps.keys().next().value);
    return map;
  }

  /** What `get` gave before the last change of this frame; else the mask of the frame before. */
  before(frame) {
    return this.get(frame, this.earlier) ?? this.get(frame - 1);
  }
}

function same(a, b) {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}
