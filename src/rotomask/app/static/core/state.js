/** What the page shows, as signals. Modules write here; components read. */

import { computed, signal } from './lib.js';

export const session = signal('unknown'); // unknown, open, none
export const connection = signal('open'); // open, lost, back (answered again; events not yet)
export const route = signal({ name: 'home', project: null });
export const status = signal(null);
export const projects = signal(null); // null: not loaded yet
export const jobs = signal([]);
export const uploads = signal([]); // {key, name, progress, error, abort}
export const toasts = signal([]);
export const announcement = signal(''); // for the live region
export const dialog = signal(null); // help, jobs, record, settings, goto ...

// The open project
export const project = signal(null);
export const objects = signal([]);
export const frameStates = signal(new Map()); // frame -> FrameState
export const marks = signal([]);
export const files = signal([]);
export const proposals = signal(null); // null: not asked for
export const pts = signal([]);
export const pending = signal([]); // marks that wait for their mask: {frame, mark}
export const maskTick = signal(0); // grows whenever the pixels of some mask changed

// How it is looked at
export const step = signal('mark'); // mark, check, frame, finish
export const playhead = signal(0);
export const rate = signal(0); // 0 paused, 1 forward, -2 fast backward ...
export const speed = signal(1); // of ordinary playing
export const loop = signal(true);
export const muted = signal(false);
export const range = signal({ from: null, to: null });
export const view = signal('tint');
export const maskHidden = signal(false);
export const dots = signal(true);
export const zoom = signal({ fit: true, scale: 1, x: 0, y: 0 });
export const tool = signal('click');
export const sign = signal(1);
export const heldMinus = signal(false); // Alt
export const brush = signal(24); // diameter in pixels of the video
export const scribbleMethod = signal('network');
export const active = signal(1); // label of the object that tools edit
export const effectPreview = signal(null); // {frame, image} shown in place of the picture
export const cropPath = signal(null); // {boxes, jitter, aspect}

export const current = computed(() => frameStates.value.get(playhead.value) ?? null);
export const activeObject = computed(() => objects.value.find((o) => o.label === active.value) ?? null);
export const frameCount = computed(() => project.value?.frame_count ?? 0);
export const positive = computed(() => (sign.value > 0) !== heldMinus.value);

/** Jobs of the open project that are not over, the running one first. */
export const liveJobs = computed(() => jobs.value
  .filter((j) => ['queued', 'running', 'paused'].includes(j.state))
  .sort((a, b) => (b.state === 'running') - (a.state === 'running') || a.position - b.position));
export const projectJobs = computed(() => liveJobs.value.filter((j) => j.project === project.value?.id));

/** Frames without a mask or with a stale one: what the next cut makes. */
export const toCut = computed(() => {
  const states = frameStates.value;
  let missing = 0;
  let stale = 0;
  for (let i = 0; i < frameCount.value; i += 1) {
    const state = states.get(i);
    if (!state) missing += 1;
    else if (state.stale) stale += 1;
  }
  return { missing, stale };
});

export const keyFrames = computed(() => [...frameStates.value.values()]
  .filter((s) => s.source === 'key' || s.frozen).map((s) => s.frame).sort((a, b) => a - b));

let toastNumber = 0;

/** Shows a message for some seconds; errors stay until they are closed. */
export function toast(text, { kind = 'info', advice = '', action = null } = {}) {
  toastNumber += 1;
  const entry = { id: toastNumber, text, kind, advice, action };
  toasts.value = [...toasts.value.filter((t) => t.text !== text).slice(-3), entry];
  if (kind !== 'error') setTimeout(() => dismiss(entry.id), 5000);
  announcement.value = advice ? `${text} ${advice}` : text;
}

export function dismiss(id) {
  toasts.value = toasts.value.filter((t) => t.id !== id);
}

/** Tells a Failure to the user, unless the bar at the top already does. */
export function complain(error) {
  if (error.name === 'AbortError' || error.code === 'offline' || error.status === 401) return;
  toast(error.message, { kind: 'error', advice: error.advice });
}
