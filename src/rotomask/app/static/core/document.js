/** Changes of the open project. They run one after another, so that each knows the newest revision. */

import { T } from '../texts.js';
import { Failure, getJson, randomKey, request, sendJson } from './api.js';
import { Frames } from './frames.js';
import { batch } from './lib.js';
import { Masks } from './masks.js';
import { holdNews } from './news.js';
import { measure } from './packs.js';
import * as S from './state.js';

export let frames = null; // Frames of the open project
export let masks = null; // Masks of the open project
export const ui = { save: null };

let chain = Promise.resolve();

function inOrder(work) {
  const result = chain.then(work);
  chain = result.catch(() => {});
  return result;
}

const base = () => `/api/projects/${S.project.value.id}`;

/** Opens a project by its id; everything that the editor shows is loaded. */
export async function open(id) {
  // News that comes before the answer would find no open project, and the answer may be older: of
  // an import that is paused nothing further comes, and the page would wait for its frames for ever.
  const { state } = await holdNews(async () => {
    const told = await getJson(`/api/projects/${id}`);
    show(told);
    return told;
  });
  if (state === 'ready') await loadMedia(); // else the news of its end does
  else await masks.fetch([...S.frameStates.value.keys()]);
}

/** Puts a project, as the server tells it, in the place of the open one. */
function show(told) {
  closeProject();
  frames = new Frames(told.id, told.frame_count ?? 0);
  masks = new Masks(told.id);
  batch(() => {
    take(told);
    const stored = told.ui ?? {};
    const clip = Math.max(0, (told.frame_count ?? 1) - 1);
    S.playhead.value = Math.min(stored.frame ?? 0, clip);
    S.tool.value = stored.tool ?? 'click';
    S.view.value = stored.view ?? 'tint';
    S.step.value = stored.step ?? 'mark';
    S.brush.value = stored.brush ?? 24;
    S.active.value = stored.active ?? told.objects?.[0]?.label ?? 1;
    S.zoom.value = stored.zoom ?? { fit: true, scale: 1, x: 0, y: 0 };
  });
}

export async function loadMedia() {
  const id = S.project.value.id;
  const told = await getJson(`/api/projects/${id}/pts`);
  if (S.project.value?.id !== id) return;
  S.pts.value = told.pts;
  const { width, height, ui: stored } = S.project.value;
  if (!stored?.brush) S.brush.value = Math.max(4, Math.round(Math.min(width, height) / 20));
  await masks.fetch([...S.frameStates.value.keys()]);
}

export function closeProject() {
  frames?.close();
  frames = null;
  masks = null;
  batch(() => {
    S.project.value = null;
    S.objects.value = [];
    S.frameStates.value = new Map();
    S.marks.value = [];
    S.files.value = [];
    S.proposals.value = null;
    S.pts.value = [];
    S.pending.value = [];
    S.range.value = { from: null, to: null };
    S.rate.value = 0;
    S.effectPreview.value = null;
    S.cropPath.value = null;
  });
}

/** Whether an answer was overtaken by later news: an import that has ended does not begin again. */
const isOlder = (told, known) => (told.rev !== undefined && told.rev < (known.rev ?? 0))
  || (told.state === 'importing' && known.state === 'ready');

/** Takes over what the server tells of the project; absent parts stay as they are. */
export function take(told) {
  batch(() => {
    const was = S.project.value;
    const { objects, frames: states, marks, jobs, files, ...facts } = told;
    if (was?.id === facts.id && isOlder(facts, was)) return;
    // Frames are only added: an answer with fewer was on its way while news of more came.
    if (was?.id === facts.id && facts.frame_count < was.frame_count) facts.frame_count = was.frame_count;
    S.project.value = { ...(was?.id === facts.id ? was : {}), ...facts };
    if (frames) frames.count = facts.frame_count ?? frames.count;
    if (objects) {
      S.objects.value = objects;
      if (objects.length && !objects.some((o) => o.label === S.active.value)) S.active.value = objects[0].label;
    }
    if (states) S.frameStates.value = new Map(states.map((s) => [s.frame, s]));
    if (marks) S.marks.value = marks;
    if (files) S.files.value = files;
    if (jobs) {
      const ids = new Set(jobs.map((j) => j.id));
      S.jobs.value = [...S.jobs.value.filter((j) => !ids.has(j.id)), ...jobs];
    }
  });
}

export function takeStates(states) {
  const next = new Map(S.frameStates.value);
  for (const state of states) {
    if (state.source === null || state.source === undefined) next.delete(state.frame);
    else next.set(state.frame, state);
  }
  S.frameStates.value = next;
}

/** Loads the project again: after undo, after a break, after another tab's change. */
export async function refresh({ pixels = true } = {}) {
  const { value } = S.project;
  if (!value) return;
  const before = S.frameStates.value;
  const told = await getJson(`/api/projects/${value.id}`);
  if (S.project.value?.id !== value.id) return;
  take(told);
  const all = new Set([...before.keys(), ...S.frameStates.value.keys()]);
  if (told.state === 'ready') {
    if (!S.pts.value.length) await loadMedia();
    else if (pixels) await masks.fetch([...all]);
  }
}

/** Every time that a change comes too late, another page's was taken: with a few pages that ends soon. */
const MOST_TRIES = 20;

/** Sends a change with the newest revision; again if another tab was quicker. */
function change(path, body, method = 'POST') {
  return inOrder(async () => {
    for (let tries = 0; ; tries += 1) {
      try {
        return await sendJson(method, `${base()}/${path}`, { ...body, rev: S.project.value.rev });
      } catch (error) {
        if (error.code !== 'changed' || tries >= MOST_TRIES) throw error;
        if (error.body?.project) take(error.body.project);
        else await refresh();
      }
    }
  });
}

/** The newest revision that this page made; later ones are of other pages, or of a cut. */
export const own = { rev: 0 };

function ours(rev) {
  own.rev = Math.max(own.rev, rev);
  S.project.value = { ...S.project.value, rev: Math.max(rev, S.project.value.rev), can_undo: true, can_redo: false };
}

function takeChange({ rev, frame, mask }) {
  ours(rev);
  takeStates([frame]);
  if (mask) {
    const record = masks.putBase64(mask);
    if (record) tellArea(record);
  } else masks.drop([frame.frame]);
}

function tellArea(record) {
  const name = S.activeObject.value?.name ?? '';
  const share = measure(record, S.active.value).area / (record.width * record.height);
  S.announcement.value = T.live.area(name, record.frame, share);
}

export async function addObject(fields = {}) {
  const told = await inOrder(() => sendJson('POST', `${base()}/objects`, fields));
  batch(() => {
    if (!S.objects.value.some((o) => o.label === told.label)) S.objects.value = [...S.objects.value, told];
    S.active.value = told.label;
  });
  return told;
}

export async function patchObject(label, fields) {
  S.objects.value = S.objects.value.map((o) => (o.label === label ? { ...o, ...fields } : o));
  await inOrder(() => sendJson('PATCH', `${base()}/objects/${label}`, fields));
}

export async function deleteObject(label) {
  await inOrder(() => sendJson('DELETE', `${base()}/objects/${label}`));
  await refresh();
}

/** Adds marks to the active object at the playhead; the mask that comes back is drawn. */
export async function sendMarks(list, { frame = S.playhead.value } = {}) {
  if (!S.objects.value.length) await addObject();
  const object = S.active.value;
  if (S.activeObject.value?.locked) throw new Failure({ code: 'locked', message: T.errors.locked(S.activeObject.value.name) });
  const waiting = list.map((mark) => ({ frame, mark, object }));
  S.pending.value = [...S.pending.value, ...waiting];
  try {
    const told = await change('marks', { frame, object, marks: list });
    batch(() => {
      takeChange(told);
      const ids = told.marks.slice(-list.length);
      S.marks.value = [...S.marks.value, ...list.map((mark, i) => ({ id: ids[i], frame, object, mark }))];
    });
    return told;
  } finally {
    S.pending.value = S.pending.value.filter((p) => !waiting.includes(p));
  }
}

/** Puts a mark, an entry of `S.marks`, elsewhere. */
export async function moveMark(entry, mark) {
  const { frame, object } = entry;
  const waiting = { frame, object, mark };
  const without = S.marks.value.filter((m) => m !== entry);
  S.pending.value = [...S.pending.value, waiting];
  S.marks.value = without;
  try {
    const told = await change(`marks/${entry.id}`, { frame, mark }, 'PATCH');
    const id = told.marks.find((number) => !without.some((m) => m.id === number));
    batch(() => {
      takeChange(told);
      S.marks.value = [...S.marks.value.filter((m) => m.id !== id), { id, frame, object, mark }];
    });
  } catch (error) {
    if (!S.marks.value.some((m) => m.id === entry.id)) S.marks.value = [...S.marks.value, entry];
    throw error;
  } finally {
    S.pending.value = S.pending.value.filter((p) => p !== waiting);
  }
}

export async function clearHere() {
  if (!S.objects.value.length) return;
  takeChange(await change('clear', { frame: S.playhead.value, object: S.active.value }));
}

export async function copyFrom(from, to = S.playhead.value) {
  takeChange(await change('copy', { from, to, object: S.active.value }));
}

export async function freeze(from, to, on) {
  const told = await change('freeze', { from, to, on });
  ours(told.rev);
  takeStates(told.frames);
  S.announcement.value = on ? T.live.frozen(from, to) : T.live.thawed(from, to);
}

async function travel(way) {
  const told = await inOrder(() => sendJson('POST', `${base()}/${way}`, {}));
  own.rev = told.rev;
  take(told.project);
  await masks.fetch(told.changed);
  const frame = told.changed?.[0];
  if (told.changed?.length && !told.changed.includes(S.playhead.value)) S.playhead.value = frame;
  S.announcement.value = way === 'undo' ? T.live.undone : T.live.redone;
}

export const undo = () => (S.project.value?.can_undo ? travel('undo') : Promise.resolve());
export const redo = () => (S.project.value?.can_redo ? travel('redo') : Promise.resolve());

/** Starts a job; a second press of the button while the first is on its way starts no second. */
export async function startJob(kind, params = {}) {
  const told = await inOrder(() => sendJson('POST', `${base()}/jobs`, { kind, ...params }, {
    headers: { 'Idempotency-Key': randomKey() },
  }));
  takeJob(told);
  return told;
}

export function takeJob(job) {
  S.jobs.value = [...S.jobs.value.filter((j) => j.id !== job.id), job];
}

export async function patchJob(id, fields) {
  takeJob(await sendJson('PATCH', `/api/jobs/${id}`, fields));
}

export async function loadProposals() {
  S.proposals.value = (await getJson(`${base()}/proposals`)).proposals;
}

export async function acceptProposals(ids) {
  const told = await change('proposals/accept', { ids });
  take(told.project);
  await masks.fetch(told.changed ?? []);
}

export async function deleteFile(id) {
  S.files.value = S.files.value.filter((f) => f.id !== id);
  await request('DELETE', `${base()}/files/${id}`);
}

export async function rename(name) {
  S.project.value = { ...S.project.value, name };
  await sendJson('PATCH', base(), { name });
}

let saved = '';

/** Keeps frame, zoom, tool and view on the server once they rest; it then makes the frame ready for clicks. */
export function saveUi() {
  clearTimeout(saveUi.timer);
  saveUi.timer = setTimeout(() => {
    if (!S.project.value || S.connection.value !== 'open') return;
    const state = {
      frame: S.playhead.value, tool: S.tool.value, view: S.view.value, step: S.step.value,
      brush: S.brush.value, active: S.active.value, zoom: S.zoom.value,
    };
    const json = S.project.value.id + JSON.stringify(state);
    if (json === saved) return;
    saved = json;
    sendJson('PATCH', base(), { ui: state }).catch(() => { saved = ''; });
  }, 300);
}
