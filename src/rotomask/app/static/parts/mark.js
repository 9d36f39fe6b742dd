/** The panel beside the picture while marking: objects, the tool's settings, proposals. */

import { cut, safely } from '../core/actions.js';
import * as doc from '../core/document.js';
import { fromBase64, labelMap, readMaskRecords } from '../core/packs.js';
import { html, useEffect, useRef, useSignal } from '../core/lib.js';
import { cutQuality } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { FALLBACK, rgb } from '../picture/colours.js';
import { Button, Icon, Segments, Slider, left, Progress } from './basics.js';

export function MarkPanel() {
  return html`<${Objects} /><${ToolSettings} /><${Proposals} /><${CutCard} />`;
}

export function Objects() {
  const list = S.objects.value;
  return html`<section class="panel objects">
    <header><h2>${T.objects.title}</h2>
      <${Button} icon="plus" text=${T.objects.add} hint=${T.actions['add-object']} small onClick=${() => safely(() => doc.addObject())} data-action="add-object" /></header>
    ${list.length === 0 ? html`<p class="muted">${T.objects.none}</p>` : html`<ul class="object-list">
      ${list.map((o, i) => html`<${ObjectRow} key=${o.label} object=${o} number=${i + 1} />`)}</ul>`}
    <${Button} icon="search" text=${T.objects.find} hint=${T.actions.find} kind="wide quiet-line" data-action="find"
      disabled=${S.projectJobs.value.some((j) => j.kind === 'propose')} onClick=${() => safely(() => doc.startJob('propose'))} />
    ${S.projectJobs.value.filter((j) => j.kind === 'propose').map((j) => html`<${Progress} key=${j.id} value=${j.total ? j.done / j.total : 0} label=${T.jobs.kinds.propose} />`)}
  </section>`;
}

function ObjectRow({ object, number }) {
  const { label, name, colour, hidden, locked } = object;
  const chosen = label === S.active.value;
  const sure = useSignal(false);
  const text = useSignal(null);
  const save = () => {
    const next = text.value?.trim();
    text.value = null;
    if (next && next !== name) safely(() => doc.patchObject(label, { name: next }));
  };
  const remove = () => {
    if (!sure.value) {
      sure.value = true;
      setTimeout(() => { sure.value = false; }, 4000);
    } else safely(() => doc.deleteObject(label));
  };
  return html`<li class=${`object ${chosen ? 'chosen' : ''} ${hidden ? 'dim' : ''}`}>
    <label class="colour" data-tip=${T.objects.colour(name)}><span style=${{ background: colour }} />
      <input type="color" value=${colour} aria-label=${T.objects.colour(name)} onChange=${(e) => safely(() => doc.patchObject(label, { colour: e.currentTarget.value }))} /></label>
    <button type="button" class="choose" aria-pressed=${chosen} aria-label=${T.objects.choose(number, name)} onClick=${() => { S.active.value = label; }}><kbd>${number}</kbd></button>
    <input class="name" value=${text.value ?? name} maxlength="80" aria-label=${T.objects.name(number)} onFocus=${() => { S.active.value = label; }}
      onInput=${(e) => { text.value = e.currentTarget.value; }} onBlur=${save}
      onKeyDown=${(e) => { if (e.key === 'Enter') e.currentTarget.blur(); if (e.key === 'Escape') { text.value = null; e.currentTarget.blur(); } }} />
    <${Button} icon=${hidden ? 'eye-off' : 'eye'} label=${hidden ? T.objects.show(name) : T.objects.hide(name)} small kind="quiet" pressed=${hidden}
      onClick=${() => safely(() => doc.patchObject(label, { hidden: !hidden }))} />
    <${Button} icon=${locked ? 'lock' : 'unlock'} label=${locked ? T.objects.unlock(name) : T.objects.lock(name)} small kind="quiet" pressed=${locked}
      onClick=${() => safely(() => doc.patchObject(label, { locked: !locked }))} />
    <${Button} icon="trash" text=${sure.value ? T.home.sure : undefined} label=${T.objects.remove(name)} small kind=${sure.value ? 'danger' : 'quiet'} onClick=${remove} />
  </li>`;
}

function ToolSettings() {
  const tool = S.tool.value;
  const paints = tool === 'brush' || tool === 'eraser';
  return html`<section class="panel tool-settings">
    <h2>${T.actions[tool]}</h2>
    <p class="muted">${T.tools.hints[tool]}</p>
    ${tool !== 'hand' && tool !== 'eraser' && tool !== 'box' && html`<${Segments} label=${T.tools.sign} value=${S.sign.value > 0 ? 'plus' : 'minus'} kind="sign-choice"
      choices=${[{ value: 'plus', text: T.tools.add, icon: 'plus' }, { value: 'minus', text: T.tools.remove, icon: 'minus' }]}
      onChange=${(v) => { S.sign.value = v === 'plus' ? 1 : -1; }} />`}
    ${paints && html`<${Slider} label=${T.tools.size} min="1" max="200" value=${S.brush.value} unit=" px" onChange=${(v) => { S.brush.value = v; }} />`}
    ${tool === 'scribble' && html`<${Segments} label=${T.tools.method} value=${S.scribbleMethod.value}
      choices=${[{ value: 'network', text: T.tools.network }, { value: 'grabcut', text: T.tools.grabcut }]} onChange=${(v) => { S.scribbleMethod.value = v; }} />`}
    <div class="row here-actions">
      <${Button} icon="absent" text=${T.mark.absent} hint=${T.actions.clear} small kind="quiet-line" disabled=${!S.objects.value.length} data-action="clear" onClick=${() => safely(doc.clearHere)} />
      <${Button} icon="copy" text=${T.mark.copyPrevious} hint=${T.actions['copy-previous']} small kind="quiet-line" disabled=${!S.objects.value.length || S.playhead.value === 0}
        onClick=${() => safely(() => doc.copyFrom(S.playhead.value - 1))} />
    </div>
  </section>`;
}

/** A proposal as a small picture: the frame, dimmed where the object is not. */
function ProposalPicture({ proposal }) {
  const ref = useRef(null);
  useEffect(() => {
    const [record] = readMaskRecords(fromBase64(proposal.mask));
    const canvas = ref.current;
    if (!record) return undefined;
    const picture = new Image();
    picture.onload = () => {
      canvas.width = picture.naturalWidth;
      canvas.height = picture.naturalHeight;
      const c = canvas.getContext('2d');
      c.drawImage(picture, 0, 0);
      const labels = labelMap(record);
      const shade = new ImageData(record.width, record.height);
      const [r, g, b] = rgb(FALLBACK[0]);
      for (let i = 0; i < labels.length; i += 1) shade.data.set(labels[i] ? [r, g, b, 110] : [0, 0, 0, 140], i * 4);
      const layer = document.createElement('canvas');
      layer.width = record.width;
      layer.height = record.height;
      layer.getContext('2d').putImageData(shade, 0, 0);
      c.drawImage(layer, 0, 0, canvas.width, canvas.height);
    };
    picture.src = `/api/projects/${S.project.value.id}/frames/${proposal.frame}.jpg?w=320`;
    return () => { picture.onload = null; };
  }, [proposal.id]);
  return html`<canvas ref=${ref} aria-hidden="true" />`;
}

function Proposals() {
  const list = S.proposals.value;
  const chosen = useSignal([]);
  if (list === null) return null;
  const accept = () => safely(async () => {
    await doc.acceptProposals(chosen.value);
    chosen.value = [];
    S.proposals.value = null;
  });
  return html`<section class="panel"><header><h2>${T.proposals.title}</h2>
      <${Button} icon="close" label=${T.close} small kind="quiet" onClick=${() => { S.proposals.value = null; }} /></header>
    ${list.length === 0 ? html`<p class="muted">${T.proposals.none}</p>` : html`<p class="muted">${T.proposals.hint}</p>
    <div class="proposals">${list.map((p, i) => html`<button type="button" key=${p.id} class="proposal" aria-pressed=${chosen.value.includes(p.id)} aria-label=${T.proposals.one(i + 1)}
      onClick=${() => { chosen.value = chosen.value.includes(p.id) ? chosen.value.filter((c) => c !== p.id) : [...chosen.value, p.id]; }}>
      <${ProposalPicture} proposal=${p} />${chosen.value.includes(p.id) && html`<${Icon} name="check" />`}</button>`)}</div>
    <${Button} icon="check" text=${T.proposals.keep(chosen.value.length)} kind="primary wide" disabled=${!chosen.value.length} onClick=${accept} />`}
  </section>`;
}

/** What the next cut makes, and the one that runs. */
export function CutCard() {
  const { missing, stale } = S.toCut.value;
  const job = S.projectJobs.value.find((j) => j.kind === 'cut');
  const keys = S.keyFrames.value.length;
  const done = S.frameCount.value - missing - stale;
  return html`<section class="panel cut-card">
    <h2>${T.cut.title}</h2>
    ${job ? html`<${Progress} value=${job.total ? job.done / job.total : 0} label=${T.jobs.kinds.cut} />
      <p class="muted numbers">${T.cut.running(job.done, job.total)} ${left(job.seconds_left)}</p>`
    : html`<p class="muted">${!keys ? T.cut.noKeys : missing + stale === 0 ? T.cut.complete : T.cut.todo(missing, stale, done)}</p>
      <${Segments} label=${T.cut.quality} value=${cutQuality.value} onChange=${(v) => { cutQuality.value = v; }}
        choices=${['fast', 'normal', 'best'].map((v) => ({ value: v, text: T.cut.qualities[v] }))} />
      <div class="row">${keys && missing + stale === 0
    ? html`<${Button} icon="loop" text=${T.cut.again} hint=${T.cut.againHint} small kind="quiet-line" data-action="cut-again" onClick=${() => cut({ again: true })} />`
    : html`<${Button} icon="cut" text=${T.cut.both} small kind="quiet-line" disabled=${!keys} onClick=${() => cut()} />
        <${Button} icon="forward" text=${T.cut.forward} small kind="quiet-line" disabled=${!keys} onClick=${() => cut({ direction: 'forward' })} />`}
      </div>`}
  </section>`;
}
