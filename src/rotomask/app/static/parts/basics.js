/** Small components that every screen uses. */

import { actions, run, tip } from '../core/actions.js';
import { html, useLayoutEffect, useRef } from '../core/lib.js';
import { T } from '../texts.js';

const SPRITE = new URL('../icons.svg', import.meta.url).pathname;

export const Icon = ({ name, size }) => html`<svg class=${`icon ${size ?? ''}`} aria-hidden="true" focusable="false">
  <use href=${`${SPRITE}#${name}`} /></svg>`;

/** A button with an icon, a label that may be hidden, and a tooltip. */
export function Button({ icon, text, label, hint, kind = '', pressed, small, onClick, disabled, expanded, children, ...rest }) {
  const name = label ?? text;
  return html`<button type="button" class=${`button ${kind} ${small ? 'small' : ''} ${text ? '' : 'bare'}`}
      aria-label=${text ? undefined : name} data-tip=${hint ?? (text ? undefined : name)} aria-pressed=${pressed}
      aria-expanded=${expanded} disabled=${disabled} onClick=${onClick} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${text && html`<span>${text}</span>`}${children}
  </button>`;
}

/** A button that runs an action of the table, with its key in the tooltip. */
export function ActionButton({ action, icon, text, ...rest }) {
  const known = actions.get(action);
  return html`<${Button} icon=${icon} text=${text} label=${T.actions[action]} hint=${tip(action)}
    onClick=${() => run(known.id)} data-action=${action} ...${rest} />`;
}

/** One of a few choices, as buttons side by side. */
export function Segments({ label, value, choices, onChange, kind = '' }) {
  return html`<div class=${`segments ${kind}`} role="radiogroup" aria-label=${label}>
    ${choices.map(({ value: v, text, icon }) => html`<button type="button" role="radio" key=${v} aria-checked=${v === value}
      tabindex=${v === value ? 0 : -1} aria-label=${icon && !text ? T.choices?.[v] ?? v : undefined}
      onKeyDown=${(event) => arrow(event, choices, value, onChange)}
      onClick=${() => onChange(v)}>${icon && html`<${Icon} name=${icon} />`}${text}</button>`)}
  </div>`;
}

function arrow(event, choices, value, onChange) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  event.stopPropagation();
  const at = choices.findIndex((c) => c.value === value);
  const next = (at + step + choices.length) % choices.length;
  onChange(choices[next].value);
  event.currentTarget.parentElement.children[next].focus();
}

let number = 0;

/** A labelled slider with its value beside it. */
export function Slider({ label, value, min, max, step = 1, unit = '', show = String, onChange }) {
  const id = useRef(`slider-${(number += 1)}`).current;
  return html`<div class="field slider">
    <label for=${id}>${label}</label><output for=${id}>${show(value)}${unit}</output>
    <input id=${id} type="range" min=${min} max=${max} step=${step} value=${value}
      onInput=${(event) => onChange(Number(event.currentTarget.value))} />
  </div>`;
}

export function Switch({ label, checked, onChange }) {
  return html`<label class="field switch"><span>${label}</span>
    <input type="checkbox" role="switch" checked=${checked} onChange=${(event) => onChange(event.currentTarget.checked)} /></label>`;
}

export function Select({ label, value, choices, onChange, hideLabel }) {
  return html`<label class="field"><span class=${hideLabel ? 'hidden' : ''}>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
      ${choices.map((c) => html`<option value=${c.value} selected=${c.value === value}>${c.text}</option>`)}
    </select></label>`;
}

/** A modal dialog; Escape and a press beside it close it. It has the focus before the next key is pressed. */
export function Dialog({ title, onClose, children, kind = '' }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${ref} class=${kind} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onClick=${(event) => event.target === ref.current && onClose()}>
    <div class="dialog-body">
      <header><h2>${title}</h2><${Button} icon="close" label=${T.close} onClick=${onClose} kind="quiet" /></header>
      ${children}
    </div>
  </dialog>`;
}

export const Progress = ({ value, label }) => html`<div class="progress" role="progressbar" aria-label=${label}
  aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(value * 100)}>
  <div style=${{ width: `${Math.min(100, value * 100)}%` }} /></div>`;

export const Swatch = ({ colour }) => html`<span class="swatch" style=${{ background: colour }} aria-hidden="true" />`;

export function bytes(n) {
  if (n === undefined || n === null) return '';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [n, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "0:01.368" */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds % 60).toFixed(3).padStart(6, '0')}`;
}

export function left(seconds) {
  if (seconds === null || seconds === undefined) return '';
  return seconds < 90 ? T.secondsLeft(Math.max(1, Math.round(seconds))) : T.minutesLeft(Math.round(seconds / 60));
}
