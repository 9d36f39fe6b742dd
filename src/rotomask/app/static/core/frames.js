/** The pictures of the clip by frame number, decoded in a worker and kept around the playhead. */

import { signal } from './lib.js';

const PACK = 30;
const BUDGET_BYTES = 224e6;
const AT_ONCE = 2;

/** The worker's address; a policy of ours is the only one that the page's CSP lets through. */
const policy = globalThis.trustedTypes?.createPolicy('rotomask', {
  createScriptURL: (url) => {
    if (new URL(url).origin !== location.origin) throw new TypeError('a worker of another origin');
    return url;
  },
});

export const framesTick = signal(0); // grows when a picture arrived

export class Frames {
  constructor(projectId, count) {
    this.base = `/api/projects/${projectId}/frames`;
    this.count = count;
    this.bitmaps = new Map(); // frame -> ImageBitmap, the least recently used first
    this.bytes = 0;
    this.asked = new Map(); // pack -> time of the request
    this.queue = [];
    this.centre = 0;
    const url = new URL('./frames-worker.js', import.meta.url).href;
    this.worker = new Worker(policy ? policy.createScriptURL(url) : url, { type: 'module' });
    this.worker.onmessage = ({ data }) => this.arrived(data);
  }

  close() {
    this.worker.terminate();
    for (const bitmap of this.bitmaps.values()) bitmap.close();
    this.bitmaps.clear();
  }

  /** The picture of a frame, or null while it is on its way. */
  get(frame) {
    const bitmap = this.bitmaps.get(frame);
    if (!bitmap) return null;
    this.bitmaps.delete(frame);
    this.bitmaps.set(frame, bitmap);
    return bitmap;
  }

  /** Makes sure of the frames around one, further in the direction of play. */
  want(frame, direction = 1) {
    this.centre = frame;
    const here = Math.floor(frame / PACK);
    this.queue = [];
    this.ask(here);
    const ahead = direction < 0 ? -1 : 1;
    this.ask(here + ahead);
    if (frame % PACK < 8) this.ask(here - 1);
    else if (frame % PACK > PACK - 8) this.ask(here + 1);
  }

  ask(pack) {
    const from = pack * PACK;
    const to = Math.min(this.count, from + PACK);
    if (pack < 0 || from >= this.count || this.asked.has(pack)) return;
    for (let i = from; i < to; i += 1) {
      if (!this.bitmaps.has(i)) {
        this.queue.push({ pack, from, to: to - 1 });
        this.pump();
        return;
      }
    }
  }

  pump() {
    while (this.asked.size < AT_ONCE && this.queue.length) {
      const { pack, from, to } = this.queue.shift();
      if (this.asked.has(pack)) continue;
      this.asked.set(pack, performance.now());
      this.worker.postMessage({ pack, url: `${this.base}?from=${from}&to=${to}` });
    }
  }

  arrived({ pack, frame, bitmap, finished, failed }) {
    if (bitmap) {
      this.forget(frame);
      this.bitmaps.set(frame, bitmap);
      this.bytes += bitmap.width * bitmap.height * 4;
      this.evict();
      framesTick.value += 1;
    }
    if (finished) {
      this.asked.delete(pack);
      this.pump();
    }
    if (failed) {
      setTimeout(() => { // the server may be back by then
        this.asked.delete(pack);
        this.want(this.centre);
      }, 1500);
    }
  }

  evict() {
    for (const [frame, bitmap] of this.bitmaps) {
      if (this.bytes <= BUDGET_BYTES) return;
      if (Math.abs(frame - this.centre) < PACK) continue;
      this.forget(frame, bitmap);
    }
  }

  forget(frame, bitmap = this.bitmaps.get(frame)) {
    if (!bitmap) return;
    this.bytes -= bitmap.width * bitmap.height * 4;
    bitmap.close();
    this.bitmaps.delete(frame);
  }
}
