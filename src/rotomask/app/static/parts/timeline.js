/** The timeline: filmstrip, a lane for each object, keys, doubt, frozen and stale stretches. */

import { html, useEffect, useLayoutEffect, useRef, useSignal, effect } from '../core/lib.js';
import { ActionButton, Button, clock, left } from './basics.js';
import * as doc from '../core/document.js';
import * as player from '../core/player.js';
import { cut, doubtful, goDoubt } from '../core/actions.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { colourOf } from '../picture/colours.js';
import { Coach } from './coach.js';
import { follow } from './coach-state.js';

const RULER = 16;
const LANE = 18;
const DOUBT = 20;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Geometry in units of rem, so that 4K screens get larger lanes. */
function layout(phone) {
  const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const strip = (phone ? 34 : 44) * unit;
  const list = phone ? S.objects.value.filter((o) => o.label === S.active.value) : S.objects.value;
  const lanes = list.slice(0, 6);
  const doubt = phone ? 0 : DOUBT * unit;
  const top = RULER * unit;
  return { unit, strip, lanes, doubt, top, lane: LANE * unit, height: top + strip + 4 * unit + Math.max(1, lanes.length) * LANE * unit + doubt + 4 * unit };
}

export function Timeline() {
  const box = useRef(null);
  const canvas = useRef(null);
  const span = useSignal(null); // [from, to] of the frames in sight; null: all
  const menu = useSignal(null);
  const image = useRef(null);
  const id = S.project.value.id;
  const ready = S.project.value.state === 'ready';
  useEffect(() => {
    if (!ready) return;
    const picture = new Image();
    picture.onload = () => {
      image.current = picture;
      S.maskTick.value += 1;
    };
    picture.src = `/api/projects/${id}/strip.jpg`;
  }, [id, ready]);
  useLayoutEffect(() => { // before the first paint: until it is drawn a canvas has no right height
    let request = 0;
    const drawNow = () => {
      request = 0;
      draw(canvas.current, box.current, image.current, span.peek());
    };
    const schedule = () => { request ||= requestAnimationFrame(drawNow); };
    drawNow();
    const stop = effect(() => {
      for (const s of [S.playhead, S.frameStates, S.objects, S.active, S.range, S.jobs, S.project, S.maskTick, span]) s.value;
      schedule();
    });
    const observer = new ResizeObserver(schedule);
    observer.observe(box.current);
    const themes = new MutationObserver(schedule);
    themes.observe(document.documentElement, { attributes: true });
    return () => {
      stop();
      observer.disconnect();
      themes.disconnect();
      cancelAnimationFrame(request);
    };
  }, []);

  const frameAt = (event) => {
    const area = canvas.current.getBoundingClientRect();
    const [from, to] = span.value ?? [0, S.frameCount.value - 1];
    return Math.max(0, Math.min(S.frameCount.value - 1, Math.floor(from + ((event.clientX - area.left) / area.width) * (to - from + 1))));
  };
  const drag = useRef(null);
  const down = (event) => {
    if (event.button === 2) return;
    canvas.current.setPointerCapture(event.pointerId);
    player.pause();
    const frame = frameAt(event);
    drag.current = { range: event.shiftKey, start: frame };
    if (event.shiftKey) S.range.value = { from: frame, to: frame };
    else player.seek(frame);
  };
  const move = (event) => {
    if (!drag.current) return;
    const frame = frameAt(event);
    if (drag.current.range) S.range.value = { from: Math.min(drag.current.start, frame), to: Math.max(drag.current.start, frame) };
    player.seek(frame);
  };
  const wheel = (event) => {
    event.preventDefault();
    const count = S.frameCount.value;
    const [from, to] = span.value ?? [0, count - 1];
    if (event.ctrlKey || !event.shiftKey) {
      const about = frameAt(event);
      const factor = Math.exp(event.deltaY * 0.002);
      const width = Math.max(20, Math.min(count, (to - from + 1) * factor));
      if (width >= count) span.value = null;
      else {
        const start = Math.max(0, Math.min(count - width, about - ((about - from) / (to - from + 1)) * width));
        span.value = [start, start + width - 1];
      }
    } else if (span.value) {
      const by = Math.max(-from, Math.min(count - 1 - to, Math.sign(event.deltaY || event.deltaX) * (to - from) * 0.1));
      span.value = [from + by, to + by];
    }
  };
  useEffect(() => {
    const c = canvas.current;
    c.addEventListener('wheel', wheel, { passive: false });
    return () => c.removeEventListener('wheel', wheel);
  }, []);
  const openMenu = (event) => {
    event.preventDefault();
    const area = canvas.current.getBoundingClientRect();
    const byKey = event.pointerType === '' || (!event.clientX && !event.clientY); // it has no place of its own
    menu.value = byKey ? { x: area.left + 8, y: area.top, frame: S.playhead.value } : { x: event.clientX, y: event.clientY, frame: frameAt(event) };
  };
  const frame = S.playhead.value;
  const state = S.current.value;
  return html`<section class="timeline" aria-label=${T.timeline.title}>
    <${Transport} />
    <div class="track" ref=${box}>
      <canvas ref=${canvas} tabindex="0" role="slider" aria-label=${T.timeline.slider} aria-valuemin="0"
        aria-valuemax=${Math.max(0, S.frameCount.value - 1)} aria-valuenow=${frame}
        aria-valuetext=${T.timeline.valueText(frame, S.frameCount.value, player.timeOf(frame), state)}
        onPointerDown=${down} onPointerMove=${move} onPointerUp=${() => { drag.current = null; }}
        onPointerCancel=${() => { drag.current = null; }} onKeyDown=${sliderKeys}
        onContextMenu=${openMenu} />
    </div>
    ${menu.value && html`<${LaneMenu} at=${menu.value} onClose=${() => { menu.value = null; }} />`}
  </section>`;
}

function sliderKeys(event) {
  const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
  if (by) player.stepBy(event.shiftKey ? by * 10 : by);
  else if (event.key === 'Home') player.stepBy(-1e9);
  else if (event.key === 'End') player.stepBy(1e9);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function Transport() {
  const playing = S.rate.value !== 0;
  const frame = S.playhead.value;
  const count = S.frameCount.value;
  const doubts = doubtful();
  return html`<div class="transport">
    <div class="row tight">
      <${ActionButton} action="previous-key" icon="key-back" kind="quiet wide-only" />
      <${ActionButton} action="previous-frame" icon="frame-back" kind="quiet" />
      <${ActionButton} action="play" icon=${playing ? 'pause' : 'play'} kind="round" pressed=${playing} />
      <${ActionButton} action="next-frame" icon="frame-on" kind="quiet" />
      <${ActionButton} action="next-key" icon="key-on" kind="quiet wide-only" />
      <${Button} text=${`${S.speed.value}×`} label=${T.timeline.speed} hint=${T.timeline.speed} kind="quiet wide-only numbers"
        onClick=${() => { S.speed.value = { 1: 0.5, 0.5: 0.25, 0.25: 2, 2: 1 }[S.speed.value]; }} />
      <${ActionButton} action="loop" icon="loop" kind="quiet wide-only" pressed=${S.loop.value} />
      ${S.project.value.has_audio && html`<${ActionButton} action="mute" icon=${S.muted.value ? 'mute' : 'sound'} kind="quiet wide-only" pressed=${S.muted.value} />`}
    </div>
    <button type="button" class="where numbers" data-tip=${T.actions['go-to']} onClick=${() => { S.dialog.value = 'goto'; }}><span class="hidden">${T.timeline.frame} </span><strong data-testid="frame">${frame}</strong><span class="muted"> / ${Math.max(0, count - 1)}</span>
      <span class="muted clock">${clock(player.timeOf(frame))}</span></button>
    <div class="row tight end">
      <${Coach} at="transport" />
      <${CutStatus} />
      <${Button} icon="doubt" text=${doubts.length ? T.check.nextCount(doubts.length) : T.check.next} hint=${T.actions['next-doubt']} kind="quiet"
        data-action="next-doubt" onClick=${() => { goDoubt(1); follow('next'); }} />
      <${CutButton} />
    </div>
  </div>`;
}

function CutStatus() {
  const job = S.projectJobs.value.find((j) => j.state === 'running' || j.state === 'paused');
  if (!job) return null;
  const share = job.total ? job.done / job.total : 0;
  return html`<button type="button" class=${`job-chip ${job.state}`}
    aria-label=${`${T.jobs.kinds[job.kind]} ${job.total ? `${job.done}/${job.total}` : ''}`} onClick=${() => { S.dialog.value = 'jobs'; }}>
    <span class="pie" style=${{ '--share': `${share * 360}deg` }} aria-hidden="true" />
    <span>${T.jobs.kinds[job.kind]} ${job.total ? `${job.done}/${job.total}` : ''}</span>
    <small class="muted">${job.state === 'paused' ? T.jobs.states.paused : left(job.seconds_left)}</small></button>`;
}

export function CutButton() {
  const { missing, stale } = S.toCut.value;
  const job = S.projectJobs.value.find((j) => j.kind === 'cut');
  if (job) {
    const paused = job.state === 'paused';
    return html`<${Button} icon=${paused ? 'play' : 'pause'} text=${paused ? T.jobs.resume : T.jobs.pause} kind="primary" data-action="pause-cut"
      onClick=${() => doc.patchJob(job.id, { state: paused ? 'queued' : 'paused' }).catch(S.complain)} />`;
  }
  const updates = stale > 0 && !missing;
  const idle = !S.keyFrames.value.length || missing + stale === 0;
  return html`<${Button} icon="cut" text=${updates ? T.cut.updateShort : T.cut.cut} hint=${T.actions.cut} kind=${idle ? '' : 'primary'} data-action="cut" disabled=${!S.keyFrames.value.length}
    onClick=${() => { cut(); follow('cut'); }}>${updates && html`<span class="wide-only">${T.cut.frames(stale)}</span>`}</${Button}>`;
}

function LaneMenu({ at, onClose }) {
  const items = [
    [T.timeline.copyHere(at.frame), () => doc.copyFrom(at.frame)],
    [T.timeline.freezeTo(at.frame), () => {
      const [a, b] = [Math.min(at.frame, S.playhead.value), Math.max(at.frame, S.playhead.value)];
      return doc.freeze(a, b, true);
    }],
    [T.timeline.thawTo(at.frame), () => {
      const [a, b] = [Math.min(at.frame, S.playhead.value), Math.max(at.frame, S.playhead.value)];
      return doc.freeze(a, b, false);
    }],
    [T.timeline.cutRange, () => cut({ from: S.range.value.from, to: S.range.value.to }), S.range.value.from === null || S.range.value.to === null],
    [T.actions['range-clear'], () => { S.range.value = { from: null, to: null }; }, S.range.value.from === null && S.range.value.to === null],
  ];
  const ref = useRef(null);
  useLayoutEffect(() => { // the next key is the menu's, however soon it comes
    const before = document.activeElement;
    ref.current.querySelector('button:not(:disabled)')?.focus();
    const close = (event) => { if (!ref.current?.contains(event.target)) onClose(); };
    window.addEventListener('pointerdown', close);
    return () => {
      window.removeEventListener('pointerdown', close);
      before?.focus?.({ preventScroll: true });
    };
  }, []);
  const keys = (event) => {
    const buttons = [...ref.current.querySelectorAll('button:not(:disabled)')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape' || event.key === 'Tab') onClose();
    else if (step) buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="menu" role="menu" ref=${ref} onKeyDown=${keys}
      style=${{ left: `${Math.min(at.x, innerWidth - 260)}px`, bottom: `${innerHeight - at.y}px` }}>
    ${items.map(([text, run, disabled]) => html`<button type="button" role="menuitem" disabled=${disabled}
      onClick=${() => { onClose(); Promise.resolve(run()).catch(S.complain); }}>${text}</button>`)}
  </div>`;
}

/** Draws everything; frames are `step` CSS pixels wide. */
function draw(canvas, box, image, span) {
  if (!canvas || !S.project.value) return;
  const phone = matchMedia('(max-width: 63.99rem)').matches;
  const l = layout(phone);
  const width = box.clientWidth;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(l.height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(l.height * ratio);
    canvas.style.height = `${l.height}px`;
  }
  const c = canvas.getContext('2d');
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, l.height);
  const count = Math.max(1, S.frameCount.value);
  const [from, to] = span ?? [0, count - 1];
  const step = width / (to - from + 1);
  const x = (frame) => (frame - from) * step;
  drawRuler(c, { from, to, step, x, l, width });
  drawStrip(c, { image, from, to, x, step, count, l, width });
  l.lanes.forEach((object, i) => drawLane(c, object, { y: l.top + l.strip + 4 * l.unit + i * l.lane, x, step, from, to, l }));
  if (l.doubt) drawDoubt(c, { y: l.height - l.doubt - 2 * l.unit, x, step, from, to, l });
  drawRange(c, { x, step, l, width });
  const px = x(S.playhead.value) + step / 2;
  c.fillStyle = css('--playhead');
  c.fillRect(px - 1, 0, 2, l.height);
  c.beginPath();
  c.moveTo(px - 6 * l.unit, 0);
  c.lineTo(px + 6 * l.unit, 0);
  c.lineTo(px + 6 * l.unit, 7 * l.unit);
  c.lineTo(px, 13 * l.unit);
  c.lineTo(px - 6 * l.unit, 7 * l.unit);
  c.fill();
}

function drawRuler(c, { from, to, step, x, l, width }) {
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((n) => n * step > 56 * l.unit) ?? 20000;
  c.font = `${10 * l.unit}px system-ui, sans-serif`;
  c.textBaseline = 'middle';
  for (let f = Math.ceil(from / every) * every; f <= to; f += every) {
    c.fillStyle = css('--line');
    c.fillRect(x(f), 0, 1, l.top);
    c.fillStyle = css('--muted');
    if (x(f) < width - 28 * l.unit) c.fillText(String(f), x(f) + 4 * l.unit, l.top / 2);
  }
}

function drawStrip(c, { image, from, to, x, step, count, l, width }) {
  c.save();
  c.beginPath();
  c.roundRect(0, l.top, width, l.strip, 4 * l.unit);
  c.clip();
  c.fillStyle = css('--sunken');
  c.fillRect(0, l.top, width, l.strip);
  if (image) {
    const aspect = (S.project.value.width || 16) / (S.project.value.height || 9);
    const thumbs = Math.max(1, Math.round(image.width / (image.height * aspect)));
    const one = image.width / thumbs;
    const tile = l.strip * aspect;
    for (let left = 0; left < width; left += tile) {
      const frame = from + (left + tile / 2) / step;
      const k = Math.max(0, Math.min(thumbs - 1, Math.floor((frame / count) * thumbs)));
      c.drawImage(image, k * one, 0, one, image.height, left, l.top, tile, l.strip);
    }
  }
  c.restore();
}

function drawLane(c, object, { y, x, step, from, to, l }) {
  const high = l.lane - 6 * l.unit;
  c.fillStyle = css('--sunken');
  c.beginPath();
  c.roundRect(0, y, x(to + 1), high, 3 * l.unit);
  c.fill();
  const colour = colourOf(object.label);
  const states = S.frameStates.value;
  const active = object.label === S.active.value;
  for (let f = Math.floor(from); f <= to; f += 1) {
    const s = states.get(f);
    if (!s?.objects.includes(object.label)) continue;
    let end = f;
    while (end + 1 <= to && alike(states.get(end + 1), s, object.label)) end += 1;
    c.globalAlpha = s.stale ? 0.3 : active ? 1 : 0.6;
    c.fillStyle = colour;
    c.fillRect(x(f), y + 2 * l.unit, (end - f + 1) * step + 0.3, high - 4 * l.unit);
    c.globalAlpha = 1;
    if (s.stale) hatch(c, x(f), y, (end - f + 1) * step, high, colour);
    if (s.frozen) {
      c.fillStyle = css('--text');
      c.fillRect(x(f), y + high - 2 * l.unit, (end - f + 1) * step, 2 * l.unit);
    }
    f = end;
  }
  for (const s of states.values()) {
    if (s.source !== 'key' || s.frame < from - 1 || s.frame > to) continue;
    if (!s.objects.includes(object.label)) continue;
    diamond(c, x(s.frame) + step / 2, y + high / 2, 5.5 * l.unit);
  }
}

const alike = (a, b, label) => a && a.stale === b.stale && a.frozen === b.frozen && a.objects.includes(label);

function hatch(c, x, y, width, height, colour) {
  c.save();
  c.beginPath();
  c.rect(x, y, width, height);
  c.clip();
  c.strokeStyle = colour;
  c.lineWidth = 1.5;
  c.beginPath();
  for (let i = -height; i < width; i += 6) {
    c.moveTo(x + i, y + height);
    c.lineTo(x + i + height, y);
  }
  c.stroke();
  c.restore();
}

function diamond(c, x, y, r) {
  c.beginPath();
  c.moveTo(x, y - r);
  c.lineTo(x + r, y);
  c.lineTo(x, y + r);
  c.lineTo(x - r, y);
  c.closePath();
  c.fillStyle = '#fff';
  c.fill();
  c.lineWidth = 1.5;
  c.strokeStyle = '#16181d';
  c.stroke();
}

/** Doubt as height: the less confident, the taller and the warmer. */
function drawDoubt(c, { y, x, step, from, to, l }) {
  c.fillStyle = css('--sunken');
  c.fillRect(0, y, x(to + 1), l.doubt);
  const peaks = new Set(doubtful().flatMap((d) => Array.from({ length: d.end - d.start + 1 }, (_, i) => d.start + i)));
  for (const s of S.frameStates.value.values()) {
    if (s.frame < from || s.frame > to || s.confidence === null || s.confidence === undefined) continue;
    const doubt = Math.min(1, (1 - s.confidence) * 2.5);
    c.fillStyle = s.source === 'key' || s.frozen ? css('--good') : peaks.has(s.frame) ? css('--warn') : css('--muted');
    const high = Math.max(1, doubt * l.doubt);
    c.fillRect(x(s.frame), y + l.doubt - high, Math.max(1, step - (step > 4 ? 1 : 0)), high);
  }
}

function drawRange(c, { x, step, l, width }) {
  const { from, to } = S.range.value;
  if (from === null && to === null) return;
  const [a, b] = [from === null ? 0 : x(from), to === null ? width : x(to) + step];
  c.fillStyle = css('--shade');
  c.fillRect(0, l.top, Math.max(0, a), l.strip);
  c.fillRect(b, l.top, Math.max(0, width - b), l.strip);
  c.fillStyle = css('--accent');
  c.fillRect(a, l.top, b - a, 2);
  c.fillRect(a, l.top, 3, l.strip);
  c.fillRect(b - 3, l.top, 3, l.strip);
}
