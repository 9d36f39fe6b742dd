/** Checking: one doubtful stretch after another, "fine" or a correction. */

import { cut, doubtful, goDoubt, safely } from '../core/actions.js';
import * as doc from '../core/document.js';
import { html, useSignal } from '../core/lib.js';
import * as player from '../core/player.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button, Icon } from './basics.js';
import { CutCard } from './mark.js';

export function CheckPanel() {
  const list = doubtful();
  const first = useSignal(list.length);
  const here = S.playhead.value;
  const at = list.find((d) => here >= d.start && here <= d.end);
  const { stale } = S.toCut.value;
  first.value = Math.max(first.peek(), list.length);
  const passed = first.peek() - list.length;
  const fine = () => safely(async () => {
    await doc.freeze(at.start, at.end, true);
    if (doubtful().length) goDoubt(1);
  });
  const around = () => {
    S.range.value = { from: Math.max(0, at.start - 6), to: Math.min(S.frameCount.value - 1, at.end + 6) };
    player.seek(S.range.value.from);
    S.loop.value = true;
    S.rate.value = 1;
  };
  const state = S.current.value;
  return html`<section class="panel">
    <h2>${T.check.title}</h2>
    ${list.length === 0 ? html`<p class="good-line"><${Icon} name="check" /> ${S.frameStates.value.size ? T.check.allFine : T.check.nothingCut}</p>`
    : html`<p class="numbers">${T.check.progress(passed, passed + list.length)}</p>
      <div class="row">
        <${Button} icon="back" text=${T.check.previous} small onClick=${() => goDoubt(-1)} />
        <${Button} icon="right" text=${T.check.next} kind="primary" small onClick=${() => goDoubt(1)} data-action="panel-next" />
      </div>`}
    ${at && html`<div class="verdict" role="group" aria-label=${T.check.verdict}>
      <p>${T.check.isThis(at.start, at.end)}</p>
      <div class="row"><${Button} icon="check" text=${T.check.fine} kind="good" onClick=${fine} data-action="fine" />
        <${Button} icon="loop" text=${T.check.play} onClick=${around} /></div>
      <p class="muted">${T.check.orMark}</p></div>`}
    ${list.length > 0 && html`<ol class="doubts">${list.map((d) => html`<li key=${d.frame}><button type="button" class=${d === at ? 'chosen' : ''}
      onClick=${() => { player.pause(); player.seek(d.frame); }}>
      <img src=${`/api/projects/${S.project.value.id}/frames/${d.frame}.jpg?w=160`} alt="" loading="lazy" />
      <span>${T.check.stretch(d.start, d.end)}<small class="muted">${T.check.confidence(d.confidence)}</small></span></button></li>`)}</ol>`}
  </section>
  <section class="panel">
    <h2>${T.check.thisFrame(here)}</h2>
    <p class="muted">${state ? T.check.source(state) : T.check.noMaskHere}</p>
    <div class="row">
      <${Button} icon=${state?.frozen ? 'unlock' : 'lock'} text=${state?.frozen ? T.check.thaw : T.check.freeze} small kind="quiet-line" disabled=${!state} data-action="freeze"
        onClick=${() => safely(() => doc.freeze(here, here, !state.frozen))} />
      ${S.range.value.from !== null && S.range.value.to !== null && html`<${Button} icon="lock" text=${T.check.freezeRange} small kind="quiet-line"
        onClick=${() => safely(() => doc.freeze(S.range.value.from, S.range.value.to, true))} />
      <${Button} icon="close" text=${T.check.clearRange} small kind="quiet-line" onClick=${() => { S.range.value = { from: null, to: null }; }} />`}
    </div>
    ${stale > 0 && html`<${Button} icon="cut" text=${T.cut.update(stale)} kind="primary wide" onClick=${() => cut()} />`}
  </section>
  ${S.projectJobs.value.some((j) => j.kind === 'cut') && html`<${CutCard} />`}`;
}
