/** The editor: top bar, tools, picture, panel, timeline. */

import { cut, safely } from '../core/actions.js';
import * as doc from '../core/document.js';
import { html, useEffect, useSignal } from '../core/lib.js';
import * as S from '../core/state.js';
import { Stage } from '../picture/stage.js';
import { T } from '../texts.js';
import { ActionButton, Button, Icon, Progress, Segments } from './basics.js';
import { CheckPanel } from './check.js';
import { Coach } from './coach.js';
import { FinishPanel } from './finish.js';
import { FramePanel } from './frame.js';
import { MarkPanel } from './mark.js';
import { Timeline } from './timeline.js';

const STEPS = [['mark', 'pencil'], ['check', 'check'], ['frame', 'crop'], ['finish', 'sparkle']];

export function Editor() {
  const { value: project } = S.project;
  useEffect(() => {
    document.body.classList.add('editing');
    return () => document.body.classList.remove('editing');
  }, []);
  if (!project) return html`<main class="editor-loading" id="main"><span class="spinner" /><p>${T.editor.loading}</p></main>`;
  if (project.state === 'failed') return html`<${FailedImport} project=${project} />`;
  const importing = project.state === 'importing' && !project.frame_count; // frames can be marked as they come
  return html`<main class=${`editor step-${S.step.value} ${importing ? 'reading' : ''}`} id="main" data-state=${project.state}>
    <${TopBar} />
    ${!importing && html`<${ToolBar} />`}
    <div class="stage-area">
      ${importing ? html`<${Importing} />` : html`<${Stage} />`}
      ${!importing && html`<${ViewBar} />`}
      ${!importing && html`<${Coach} at="stage" />`}
    </div>
    ${!importing && html`<aside class="side" aria-label=${T.steps[S.step.value]}><${Panel} /></aside>
      <${Timeline} /><${Steps} kind="bottom" />`}
  </main>`;
}

function Panel() {
  const Part = { mark: MarkPanel, check: CheckPanel, frame: FramePanel, finish: FinishPanel }[S.step.value];
  return html`<${Part} />`;
}

function TopBar() {
  const { value: project } = S.project;
  const name = useSignal(null);
  const live = S.liveJobs.value.length;
  const save = () => {
    const next = name.value?.trim();
    name.value = null;
    if (next && next !== project.name) safely(() => doc.rename(next));
  };
  return html`<header class="top">
    <a class="button bare quiet" href="#/" aria-label=${T.actions.home} data-tip=${T.actions.home}><${Icon} name="logo" /></a>
    <input class="title" aria-label=${T.editor.name} value=${name.value ?? project.name} maxlength="200"
      onInput=${(e) => { name.value = e.currentTarget.value; }} onBlur=${save}
      onKeyDown=${(e) => { if (e.key === 'Enter') e.currentTarget.blur(); if (e.key === 'Escape') { name.value = null; e.currentTarget.blur(); } }} />
    <span class="saved muted" aria-live="off">${S.pending.value.length ? T.editor.saving : S.connection.value === 'lost' ? T.editor.offline : T.editor.saved}</span>
    <${Steps} kind="top-steps" />
    <div class="row tight end">
      <${ActionButton} action="undo" icon="undo" kind="quiet" disabled=${!project.can_undo} />
      <${ActionButton} action="redo" icon="redo" kind="quiet" disabled=${!project.can_redo} />
      <${ActionButton} action="jobs" icon="list" kind="quiet" aria-label=${live ? T.jobs.waiting(live) : T.actions.jobs}>${live > 0 && html`<span class="badge">${live}</span>`}</${ActionButton}>
      <${ActionButton} action="help" icon="help" kind="quiet wide-only" />
      <${Button} icon="settings" label=${T.settings.title} kind="quiet wide-only" onClick=${() => { S.dialog.value = 'settings'; }} />
    </div>
  </header>`;
}

function Steps({ kind }) {
  return html`<nav class=${`steps ${kind}`} aria-label=${T.steps.title}>
    ${STEPS.map(([name, icon], i) => html`<button type="button" key=${name} aria-current=${S.step.value === name ? 'step' : undefined}
      data-step=${name} onClick=${() => { S.step.value = name; S.effectPreview.value = null; }}><${Icon} name=${icon} /><span><em>${i + 1}</em> ${T.steps[name]}</span></button>`)}
  </nav>`;
}

const TOOLS = [['hand', 'hand'], ['click', 'pointer'], ['box', 'box'], ['scribble', 'scribble'], ['brush', 'brush'], ['eraser', 'eraser'], ['polygon', 'polygon']];

function ToolBar() {
  const marks = S.step.value === 'mark' || S.step.value === 'check';
  if (!marks) return html`<div class="tools empty" />`;
  return html`<div class="tools" role="toolbar" aria-label=${T.tools.title} aria-orientation="vertical">
    ${TOOLS.map(([name, icon]) => html`<${ActionButton} key=${name} action=${name} icon=${icon} kind="tool" pressed=${S.tool.value === name} />`)}
    <span class="rule" />
    <${Button} icon=${S.positive.value ? 'plus-circle' : 'minus-circle'} label=${S.positive.value ? T.tools.adds : T.tools.removes}
      hint=${`${S.positive.value ? T.tools.adds : T.tools.removes}  X`} kind=${`tool sign ${S.positive.value ? 'adds' : 'removes'}`} data-action="swap-sign"
      onClick=${() => { S.sign.value = -S.sign.value; }} />
  </div>`;
}

function ViewBar() {
  const shown = S.effectPreview.value;
  const z = S.zoom.value;
  return html`<div class="viewbar">
    <label class="pick"><span class="hidden">${T.views.title}</span><${Icon} name="eye" />
      <select value=${S.view.value} data-testid="view" disabled=${S.step.value === 'frame'}
        onChange=${(e) => { S.effectPreview.value = null; S.view.value = e.currentTarget.value; e.currentTarget.blur(); }}>
        ${['tint', 'outline', 'cutout', 'alpha', 'original', 'difference'].map((v) => html`<option value=${v} selected=${v === S.view.value}>${T.views[v]}</option>`)}
      </select></label>
    ${shown && html`<span class="chip accent">${T.finish.previewing}</span>`}
    <span class="row tight">
      <${ActionButton} action="zoom-out" icon="minus" kind="quiet" small />
      <button type="button" class="button quiet small numbers" data-tip=${T.actions.fit} onClick=${() => { S.zoom.value = { fit: true, scale: 1, x: 0, y: 0 }; }}>
        ${z.fit ? T.stage.fit : `${Math.round(z.scale * 100)} %`}</button>
      <${ActionButton} action="zoom-in" icon="plus" kind="quiet" small />
    </span>
  </div>`;
}

function Importing() {
  const job = S.jobs.value.find((j) => j.kind === 'import' && j.project === S.project.value.id);
  const share = job?.total ? job.done / job.total : 0;
  return html`<div class="import-progress"><span class="spinner" /><h2>${T.editor.importing}</h2>
    <${Progress} value=${share} label=${T.editor.importing} />
    <p class="muted numbers">${job?.total ? T.editor.frames(job.done, job.total) : T.editor.opening}</p></div>`;
}

function FailedImport({ project }) {
  const told = typeof project.error === 'string' ? { message: project.error } : project.error ?? {};
  return html`<main class="failed" id="main"><${Icon} name="warn" size="huge" />
    <h1>${T.editor.cannotRead(project.name)}</h1>
    <p>${told.message}</p><p class="muted">${told.advice}</p>
    <a class="button primary" href="#/">${T.editor.back}</a></main>`;
}

export { Segments, cut };
