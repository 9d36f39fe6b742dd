/** Every action of the editor, once: the key handler, the sheet of keys and the tooltips read this table. */

import { T } from '../texts.js';
import * as doc from './document.js';
import * as player from './player.js';
import { cutQuality, keyChanges, singleKeys } from './preferences.js';
import * as S from './state.js';
import { stroke } from './stroke.js';

const VIEWS = ['tint', 'outline', 'cutout', 'alpha', 'original', 'difference'];
export const TOOLS = ['hand', 'click', 'box', 'scribble', 'brush', 'eraser', 'polygon'];

const safely = (work) => Promise.resolve().then(work).catch(S.complain);

/** The next frame of a sorted list beyond the playhead, in a direction, going round at the end. */
function beyond(list, direction) {
  const here = S.playhead.value;
  const ahead = direction > 0 ? list.find((f) => f > here) : list.findLast((f) => f < here);
  return ahead ?? (direction > 0 ? list[0] : list.at(-1));
}

/** Frames to look at: one for each run of doubtful frames, its least confident. */
export function doubtful() {
  const low = [...S.frameStates.value.values()]
    .filter((s) => s.source !== 'key' && !s.frozen && s.confidence !== null && s.confidence !== undefined)
    .sort((a, b) => a.frame - b.frame);
  if (!low.length) return [];
  const sorted = low.map((s) => s.confidence).sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  const limit = Math.min(0.9, median - 0.04);
  const found = [];
  for (const state of low.filter((s) => s.confidence < limit)) {
    const last = found.at(-1);
    if (last && state.frame - last.end <= 5) {
      last.end = state.frame;
      if (state.confidence < last.confidence) Object.assign(last, { frame: state.frame, confidence: state.confidence });
    } else found.push({ frame: state.frame, start: state.frame, end: state.frame, confidence: state.confidence });
  }
  return found;
}

export function goDoubt(direction) {
  const list = doubtful();
  if (!list.length && S.step.value === 'check') S.announcement.value = T.check.nothing; // the panel shows it
  else if (!list.length) S.toast(T.check.nothing, { kind: 'good' });
  else {
    player.pause();
    player.seek(beyond(list.map((d) => d.frame), direction));
    S.announcement.value = T.live.doubt(S.playhead.value, list.length);
  }
}

function goKey(direction) {
  const list = S.keyFrames.value;
  if (list.length) {
    player.pause();
    player.seek(beyond(list, direction));
  }
}

export function cut(params = {}) {
  if (!S.keyFrames.value.length) return S.toast(T.mark.markFirst, { kind: 'warn' });
  if (S.projectJobs.value.some((j) => j.kind === 'cut')) return S.toast(T.jobs.already);
  const { missing, stale } = S.toCut.value;
  if (missing + stale === 0 && !params.again) return S.toast(T.cut.complete, { advice: T.cut.completeAdvice });
  return safely(() => doc.startJob('cut', { quality: cutQuality.value, ...params }));
}

function turnView(direction) {
  const at = VIEWS.indexOf(S.view.value);
  S.effectPreview.value = null;
  S.view.value = VIEWS[(at + direction + VIEWS.length) % VIEWS.length];
  S.announcement.value = T.views[S.view.value];
}

function pickObject(number) {
  const object = S.objects.value[number - 1];
  if (!object) return;
  S.active.value = object.label;
  S.announcement.value = T.live.object(object.name);
}

function nextObject() {
  const at = S.objects.value.findIndex((o) => o.label === S.active.value);
  if (S.objects.value.length) pickObject(((at + 1) % S.objects.value.length) + 1);
}

function toggleFreeze() {
  const { frame, frozen } = S.current.value ?? {};
  if (frame === undefined) return S.toast(T.check.noMask, { kind: 'warn' });
  return safely(() => doc.freeze(frame, frame, !frozen));
}

function freezeRange() {
  const { from, to } = S.range.value;
  if (from === null || to === null) return S.toast(T.timeline.noRange, { kind: 'warn' });
  return safely(() => doc.freeze(from, to, true));
}

function setRange(end) {
  const next = { ...S.range.value, [end]: S.playhead.value };
  if (next.from !== null && next.to !== null && next.from > next.to) {
    next[end === 'from' ? 'to' : 'from'] = null;
  }
  S.range.value = next;
}

const sizeBrush = (factor) => {
  const now = S.brush.value;
  S.brush.value = Math.max(1, Math.min(400, factor > 1 ? Math.max(now + 1, Math.round(now * factor)) : Math.min(now - 1, Math.round(now * factor))));
};

/** Sets the zoom factor about the middle; the stage knows the size of its canvas. */
export const zooming = { by: () => {}, fit: () => {} };

const step = (name) => ({ id: `step-${name}`, group: 'steps', run: () => { S.step.value = name; } });
const useTool = (name) => () => { S.tool.value = name; };

const table = [
  { id: 'play', group: 'play', keys: ['Space'], run: () => player.toggle() },
  { id: 'reverse', group: 'play', keys: ['j'], run: () => player.shuttle(-1) },
  { id: 'pause', group: 'play', keys: ['k'], run: () => player.pause() },
  { id: 'forward', group: 'play', keys: ['l'], run: () => player.shuttle(1) },
  { id: 'next-frame', group: 'play', keys: ['ArrowRight'], repeat: true, run: () => player.stepBy(1) },
  { id: 'previous-frame', group: 'play', keys: ['ArrowLeft'], repeat: true, run: () => player.stepBy(-1) },
  { id: 'ten-on', group: 'play', keys: ['Shift+ArrowRight'], repeat: true, run: () => player.stepBy(10) },
  { id: 'ten-back', group: 'play', keys: ['Shift+ArrowLeft'], repeat: true, run: () => player.stepBy(-10) },
  { id: 'first-frame', group: 'play', keys: ['Home'], run: () => player.stepBy(-1e9) },
  { id: 'last-frame', group: 'play', keys: ['End'], run: () => player.stepBy(1e9) },
  { id: 'next-key', group: 'play', keys: ['ArrowDown'], run: () => goKey(1) },
  { id: 'previous-key', group: 'play', keys: ['ArrowUp'], run: () => goKey(-1) },
  { id: 'go-to', group: 'play', keys: ['g'], run: () => { S.dialog.value = 'goto'; } },
  { id: 'range-start', group: 'play', keys: ['i'], run: () => setRange('from') },
  { id: 'range-end', group: 'play', keys: ['o'], run: () => setRange('to') },
  { id: 'range-clear', group: 'play', keys: ['Alt+i', 'Alt+o'], run: () => { S.range.value = { from: null, to: null }; } },
  { id: 'loop', group: 'play', keys: ['r r'], run: () => { S.loop.value = !S.loop.value; } },

  { id: 'hand', group: 'tools', keys: ['v'], run: useTool('hand') },
  { id: 'click', group: 'tools', keys: ['c'], run: useTool('click') },
  { id: 'box', group: 'tools', keys: ['r'], run: useTool('box') },
  { id: 'scribble', group: 'tools', keys: ['s'], run: useTool('scribble') },
  { id: 'brush', group: 'tools', keys: ['b'], run: useTool('brush') },
  { id: 'eraser', group: 'tools', keys: ['e'], run: useTool('eraser') },
  { id: 'polygon', group: 'tools', keys: ['p'], run: useTool('polygon') },
  { id: 'swap-sign', group: 'tools', keys: ['x'], run: () => { S.sign.value = -S.sign.value; } },
  { id: 'smaller', group: 'tools', keys: ['['], repeat: true, run: () => sizeBrush(1 / 1.15) },
  { id: 'larger', group: 'tools', keys: [']'], repeat: true, run: () => sizeBrush(1.15) },
  { id: 'accept', group: 'tools', keys: ['Enter'], run: () => stroke.accept(), when: () => stroke.open() },
  { id: 'cancel', group: 'tools', keys: ['Escape'], run: () => { if (!stroke.cancel()) S.effectPreview.value = null; } },
  { id: 'undo', group: 'tools', keys: ['Ctrl+z'], repeat: true, run: () => safely(doc.undo) },
  { id: 'redo', group: 'tools', keys: ['Ctrl+Shift+z', 'Ctrl+y'], repeat: true, run: () => safely(doc.redo) },

  { id: 'add-object', group: 'objects', keys: ['a'], run: () => safely(() => doc.addObject()) },
  { id: 'next-object', group: 'objects', keys: ['`'], run: nextObject },
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => ({ id: `object-${n}`, group: 'objects', keys: [String(n)], run: () => pickObject(n) })),
  { id: 'clear', group: 'objects', keys: ['0', 'Shift+Delete', 'Delete'], run: () => safely(doc.clearHere) },
  { id: 'find', group: 'objects', keys: ['f'], run: () => safely(() => doc.startJob('propose')) },

  { id: 'cut', group: 'cut', keys: ['t'], run: () => cut() },
  { id: 'cut-forward', group: 'cut', keys: ['Shift+t'], run: () => cut({ direction: 'forward' }) },
  { id: 'next-doubt', group: 'cut', keys: ['n'], run: () => goDoubt(1) },
  { id: 'previous-doubt', group: 'cut', keys: ['Shift+n'], run: () => goDoubt(-1) },
  { id: 'freeze', group: 'cut', keys: ['z'], run: toggleFreeze },
  { id: 'freeze-range', group: 'cut', keys: ['Shift+z'], run: freezeRange },
  { id: 'copy-previous', group: 'cut', keys: ['Shift+c'], run: () => S.playhead.value > 0 && safely(() => doc.copyFrom(S.playhead.value - 1)) },

  { id: 'next-view', group: 'look', keys: ['q'], run: () => turnView(1) },
  { id: 'previous-view', group: 'look', keys: ['Shift+q'], run: () => turnView(-1) },
  { id: 'hide', group: 'look', keys: ['h'], run: () => { S.maskHidden.value = true; }, release: () => { S.maskHidden.value = false; } },
  { id: 'dots', group: 'look', keys: ['d'], run: () => { S.dots.value = !S.dots.value; } },
  { id: 'fit', group: 'look', keys: ['\\'], run: () => zooming.fit() },
  { id: 'zoom-in', group: 'look', keys: ['+', '='], repeat: true, run: () => zooming.by(1.25) },
  { id: 'zoom-out', group: 'look', keys: ['-'], repeat: true, run: () => zooming.by(0.8) },
  { id: 'mute', group: 'look', keys: ['m'], run: () => { S.muted.value = !S.muted.value; } },

  { ...step('mark'), keys: ['Alt+1'] },
  { ...step('check'), keys: ['Alt+2'] },
  { ...step('frame'), keys: ['Alt+3'] },
  { ...step('finish'), keys: ['Alt+4', 'Ctrl+e'] },
  { id: 'jobs', group: 'steps', keys: ['Shift+j'], run: () => { S.dialog.value = S.dialog.value === 'jobs' ? null : 'jobs'; } },
  { id: 'save', group: 'steps', keys: ['Ctrl+s'], run: () => S.toast(T.editor.alreadySaved, { kind: 'good' }) },
  { id: 'home', group: 'steps', keys: ['Alt+Home'], run: () => { location.hash = '#/'; } },
  { id: 'help', group: 'steps', keys: ['?'], anywhere: true, run: () => { S.dialog.value = 'help'; } },
];
table.find((a) => a.id === 'loop').keys = ['Shift+l'];

export const actions = new Map(table.map((action) => [action.id, action]));

export const keysOf = (id) => keyChanges.value[id] ?? actions.get(id)?.keys ?? [];

/** "Next frame (→)", for tooltips. */
export function tip(id) {
  const [key] = keysOf(id);
  return key && (singleKeys.value || key.includes('+')) ? `${T.actions[id]}  ${keyName(key)}` : T.actions[id];
}

const NAMES = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', Delete: 'Del', Space: 'Space' };

export const keyName = (key) => (key === '+' ? '+' : key.split(/\+(?=.)/).map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(' '));

const BY_CODE = { KeyJ: 'j', KeyK: 'k', KeyL: 'l', BracketLeft: '[', BracketRight: ']', Backquote: '`' };

/** A key event as the table writes it: "Ctrl+Shift+z", "[", "ArrowLeft". */
export function nameOf(event) {
  let key = BY_CODE[event.code] ?? (/^Digit\d$/.test(event.code) && (event.altKey || /^\d$/.test(event.key)) ? event.code.slice(5) : event.key);
  if (key === ' ') key = 'Space';
  if (key.length === 1) key = key.toLowerCase();
  const symbol = key.length === 1 && !/[a-z]/.test(key) && !BY_CODE[event.code];
  return (event.ctrlKey || event.metaKey ? 'Ctrl+' : '') + (event.altKey ? 'Alt+' : '')
    + (event.shiftKey && !symbol ? 'Shift+' : '') + key;
}

function find(name) {
  for (const action of table) if (keysOf(action.id).includes(name)) return action;
  return null;
}

const typing = (target) => target.closest?.('input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]');
const held = new Set();
const pressKeys = new Set(['Space', 'Enter']);
const moveKeys = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End']);

/** Whether the focused button, slider or list means this key itself. */
function isOwn(name, target) {
  if (pressKeys.has(name)) return Boolean(target.closest?.('button, a, summary, input:not([type=range])'));
  return moveKeys.has(name) && Boolean(target.closest?.('input, [role=slider], [role=radiogroup], [role=menu]'));
}

function down(event) {
  if (event.isComposing || event.defaultPrevented) return;
  if (event.key === 'Alt') {
    S.heldMinus.value = true;
    if (S.route.value.name === 'project') event.preventDefault();
    return;
  }
  const name = nameOf(event);
  const action = find(name);
  if (!action || (S.route.value.name !== 'project' && !action.anywhere)) return;
  if (typing(event.target) || document.querySelector('dialog[open]')) return;
  if (isOwn(name, event.target)) return;
  if (!singleKeys.value && name.length === 1) return;
  if (action.when && !action.when()) return;
  event.preventDefault();
  if (event.repeat && !action.repeat) return;
  if (held.has('k') && (name === 'j' || name === 'l')) return player.stepBy(name === 'l' ? 1 : -1);
  held.add(name);
  action.run();
}

function up(event) {
  if (event.key === 'Alt') S.heldMinus.value = false;
  const name = nameOf(event);
  held.delete(name);
  if (held.size && !event.shiftKey && !event.ctrlKey) held.delete(`Shift+${name}`);
  find(name)?.release?.();
}

export function listen() {
  window.addEventListener('keydown', down);
  window.addEventListener('keyup', up);
  // A button that the mouse pressed gives the focus back, so that Space plays again.
  window.addEventListener('click', (event) => {
    if (event.detail && event.target.closest?.('.editor button')) document.activeElement?.blur();
  });
  window.addEventListener('blur', () => {
    held.clear();
    S.heldMinus.value = false;
    S.maskHidden.value = false;
  });
}

export const run = (id) => actions.get(id).run();
export { VIEWS, safely };
