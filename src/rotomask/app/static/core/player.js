/** The clock: which frame is shown. Frames are chosen by number; sound, where there is some, leads. */

import * as doc from './document.js';
import { effect, signal } from './lib.js';
import * as S from './state.js';

const audio = new Audio();
audio.preload = 'auto';
let position_s = 0;
let last_ms = 0;
let request = 0;
export const waiting = signal(false);

const bounds = () => {
  const end = Math.max(0, S.frameCount.value - 1);
  const { from, to } = S.range.value;
  return [Math.min(from ?? 0, end), Math.min(to ?? end, end)];
};

export const timeOf = (frame) => S.pts.value[frame] ?? frame / (S.project.value?.rate || 25);

/** The frame that is shown at a time: the last whose time is not later. */
export function frameAt(seconds) {
  const times = S.pts.value;
  if (!times.length) return Math.floor(seconds * (S.project.value?.rate || 25) + 1e-6);
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= seconds + 1e-6) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function seek(frame) {
  const end = Math.max(0, S.frameCount.value - 1);
  S.playhead.value = Math.max(0, Math.min(end, Math.round(frame)));
  position_s = timeOf(S.playhead.value);
  if (S.rate.value && !audio.paused) audio.currentTime = position_s;
}

export const stepBy = (frames) => {
  pause();
  seek(S.playhead.value + frames);
};

export function pause() {
  S.rate.value = 0;
}

export function toggle() {
  S.rate.value = S.rate.value ? 0 : 1;
}

/** J, K, L: again in the same direction is faster. */
export function shuttle(direction) {
  const now = S.rate.value;
  S.rate.value = Math.sign(now) === direction ? Math.min(8, Math.abs(now) * 2) * direction : direction;
}

function tick(now_ms) {
  request = requestAnimationFrame(tick);
  const rate = S.rate.value * S.speed.value;
  if (!rate || !S.frameCount.value) return;
  const [from, to] = bounds();
  const forward = rate > 0;
  const passed_s = Math.min(0.25, (now_ms - last_ms) / 1000);
  last_ms = now_ms;
  const next = S.playhead.value + (forward ? 1 : -1);
  if (next >= from && next <= to && doc.frames && !doc.frames.get(next)) {
    waiting.value = true; // hold the clock until the picture is there
    if (!audio.paused) audio.pause();
    doc.frames.want(next, forward ? 1 : -1);
    return;
  }
  waiting.value = false;
  const sound = audio.src && rate === 1 && !S.muted.value;
  if (sound && audio.paused) {
    audio.currentTime = position_s;
    audio.play().catch(() => { S.muted.value = true; });
  }
  position_s = sound && !audio.paused ? audio.currentTime : position_s + passed_s * rate;
  const duration_s = timeOf(to) + 1 / (S.project.value?.rate || 25);
  if (forward ? position_s >= duration_s : position_s < timeOf(from)) {
    if (!S.loop.value) {
      S.playhead.value = forward ? to : from;
      pause();
      return;
    }
    position_s = forward ? timeOf(from) : timeOf(to);
    if (!audio.paused) audio.currentTime = position_s;
  }
  const frame = Math.max(from, Math.min(to, frameAt(position_s)));
  if (frame !== S.playhead.value) S.playhead.value = frame;
}

effect(() => {
  if (S.rate.value) {
    position_s = timeOf(S.playhead.peek());
    const [from, to] = bounds();
    if (S.rate.value > 0 && S.playhead.peek() >= to) position_s = timeOf(from);
    last_ms = performance.now();
    cancelAnimationFrame(request);
    request = requestAnimationFrame(tick);
  } else {
    cancelAnimationFrame(request);
    audio.pause();
    waiting.value = false;
  }
});

effect(() => {
  const id = S.project.value?.has_audio && S.project.value.state === 'ready' ? S.project.value.id : null;
  const url = id ? `/api/projects/${id}/audio` : '';
  if (audio.dataset.url === url) return;
  audio.dataset.url = url;
  audio.pause();
  if (url) audio.src = url;
  else audio.removeAttribute('src');
});

effect(() => {
  const frame = S.playhead.value;
  if (!S.frameCount.value || !doc.frames) return;
  // While frames are still being read, packs are not complete: ask only for what is looked at.
  if (S.project.value?.state === 'ready' || !doc.frames.bitmaps.has(frame)) doc.frames.want(frame, Math.sign(S.rate.peek()) || 1);
});
