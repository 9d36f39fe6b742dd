/** Stabilising: a virtual camera that follows the object. */

import { safely } from '../core/actions.js';
import { sendJson } from '../core/api.js';
import * as doc from '../core/document.js';
import { framesTick } from '../core/frames.js';
import { effect, html, useEffect, useRef, useSignal } from '../core/lib.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Progress, Segments, Slider, Swatch } from './basics.js';
import { Files } from './finish.js';

const ASPECTS = ['16:9', '1:1', '9:16', '4:5', 'free'];

/** A shape as the user writes it, "2.39:1" as "239:100"; '' where it is none. */
export function shapeOf(text) {
  const [, w, h] = /^\s*(\d+(?:\.\d{1,2})?)\s*[:x×/]\s*(\d+(?:\.\d{1,2})?)\s*$/.exec(text) ?? [];
  if (!(w > 0 && h > 0)) return '';
  const scale = Number.isInteger(Number(w)) && Number.isInteger(Number(h)) ? 1 : 100;
  const sides = [w, h].map((side) => Math.round(side * scale));
  return sides.every((side) => side <= 9999) ? sides.join(':') : '';
}

export const wishes = { shape: '', aspect: '16:9', strength: 0.8, zoom: 0.5, project: null, objects: [] };

export function FramePanel() {
  const aspect = useSignal(wishes.aspect);
  const shape = useSignal(wishes.shape);
  const strength = useSignal(wishes.strength);
  const zoom = useSignal(wishes.zoom);
  const labels = S.objects.value.map((o) => o.label);
  const kept = wishes.project === S.project.value.id ? wishes.objects.filter((label) => labels.includes(label)) : [];
  const chosen = useSignal(kept.length ? kept : labels);
  const busy = useSignal(false);
  const problem = useSignal('');
  Object.assign(wishes, { shape: shape.value, aspect: aspect.value, strength: strength.value, zoom: zoom.value, project: S.project.value.id, objects: chosen.value });
  const isFree = aspect.value === 'free';
  const wrong = isFree && shape.value.trim() !== '' && !shapeOf(shape.value);
  const settings = () => ({ objects: chosen.value, aspect: (isFree && shapeOf(shape.value)) || aspect.value, strength: strength.value, zoom: zoom.value });
  const json = JSON.stringify(settings());
  const cutFrames = S.frameStates.value.size;
  useEffect(() => {
    if (!chosen.value.length || !cutFrames) {
      S.cropPath.value = null;
      return undefined;
    }
    busy.value = true;
    const timer = setTimeout(async () => {
      try {
        S.cropPath.value = await sendJson('POST', `/api/projects/${S.project.value.id}/path`, settings());
        problem.value = '';
      } catch (error) {
        if (error.code === 'offline') return;
        problem.value = `${error.message} ${error.advice}`.trim();
        S.cropPath.value = null;
      } finally {
        busy.value = false;
      }
    }, 250);
    return () => clearTimeout(timer);
  }, [json, cutFrames, S.project.value.rev]);
  useEffect(() => () => { S.cropPath.value = null; }, []);
  const jitter = S.cropPath.value?.jitter;
  const job = S.projectJobs.value.find((j) => j.kind === 'stabilise');
  return html`<section class="panel">
    <h2>${T.frame.title}</h2>
    <p class="muted">${T.frame.hint}</p>
    <${Preview} />
    <${Segments} label=${T.frame.aspect} value=${aspect.value} choices=${ASPECTS.map((a) => ({ value: a, text: T.frame.aspects[a] ?? a }))} onChange=${(v) => { aspect.value = v; }} />
    ${isFree && html`<label class="field"><span>${T.frame.shape}</span>
      <input type="text" inputmode="decimal" placeholder=${`${S.project.value.width}:${S.project.value.height}`} value=${shape.value} aria-invalid=${wrong}
        onInput=${(e) => { shape.value = e.currentTarget.value; }} /><small class=${wrong ? 'warn-line' : 'muted'}>${T.frame.shapeHint}</small></label>`}
    <${Slider} label=${T.frame.strength} min="0" max="1" step="0.05" value=${strength.value} show=${(v) => `${Math.round(v * 100)} %`} onChange=${(v) => { strength.value = v; }} />
    <${Slider} label=${T.frame.zoom} min="0" max="1" step="0.05" value=${zoom.value} show=${(v) => `${Math.round(v * 100)} %`} onChange=${(v) => { zoom.value = v; }} />
    ${S.objects.value.length > 1 && html`<fieldset class="field"><legend>${T.frame.follow}</legend>
      ${S.objects.value.map((o) => html`<label class="check" key=${o.label}><input type="checkbox" checked=${chosen.value.includes(o.label)}
        onChange=${(e) => { chosen.value = e.currentTarget.checked ? [...chosen.value, o.label] : chosen.value.filter((l) => l !== o.label); }} />
        <${Swatch} colour=${o.colour} />${o.name}</label>`)}</fieldset>`}
    ${problem.value && html`<p class="warn-line" role="alert">${problem.value}</p>`}
    ${!cutFrames && html`<p class="warn-line">${T.frame.noMasks}</p>`}
    ${jitter && html`<dl class="jitter" aria-busy=${busy.value}>
      <div><dt>${T.frame.before}</dt><dd class="numbers">${jitter.before.toFixed(1)} px</dd></div>
      <div><dt>${T.frame.after}</dt><dd class="numbers good-text">${jitter.after.toFixed(1)} px</dd></div></dl>
      <p class="muted small">${T.frame.jitterHint}</p>`}
    ${job ? html`<${Progress} value=${job.total ? job.done / job.total : 0} label=${T.jobs.kinds.stabilise} />` : html`
      <${Button} icon="crop" text=${T.frame.make} kind="primary wide" disabled=${!S.cropPath.value} data-action="stabilise"
        onClick=${() => safely(() => doc.startJob('stabilise', settings()))} />`}
  </section>
  <${Files} kinds=${['stabilised']} />`;
}

/** The stabilised picture of the frame at the playhead; it plays with it. */
function Preview() {
  const ref = useRef(null);
  useEffect(() => effect(() => {
    const path = S.cropPath.value;
    const frame = S.playhead.value;
    framesTick.value;
    const canvas = ref.current;
    const image = doc.frames?.get(frame);
    const box = path?.boxes[frame];
    if (!canvas || !image || !box) return;
    const [x, y, w, h] = box;
    const scale = image.width / S.project.value.width;
    const height = Math.min(320, Math.round((480 * h) / w));
    const width = Math.round((height * w) / h);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext('2d').drawImage(image, x * scale, y * scale, w * scale, h * scale, 0, 0, width, height);
  }), []);
  return html`<div class="crop-preview" data-empty=${String(!S.cropPath.value)}><canvas ref=${ref} role="img" aria-label=${T.frame.preview} /></div>`;
}
