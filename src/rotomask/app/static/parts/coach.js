/** The hints of the first run on the example clip. */

import { html } from '../core/lib.js';
import { coached, exampleId } from '../core/preferences.js';
import * as S from '../core/state.js';
import { T } from '../texts.js';
import { Button } from './basics.js';
import { HINTS, skip } from './coach-state.js';

export function Coach({ at }) {
  const { value: project } = S.project;
  const next = HINTS.find((h) => !coached.value.includes(h));
  if ((next === 'click') !== (at === 'stage')) return null;
  if (!next || project.state !== 'ready' || project.id !== exampleId.value) return null;
  const masks = S.frameStates.value.size;
  if (next === 'click' && S.step.value !== 'mark') return null;
  if (next === 'cut' && (!masks || S.pending.value.length)) return null;
  if (next === 'next' && (S.toCut.value.missing > 0 || S.projectJobs.value.length)) return null;
  const number = HINTS.indexOf(next) + 1;
  return html`<div class=${`coach coach-${next} floating`} role="note">
    <p><strong>${number}/3</strong> ${T.coach[next]}</p>
    <${Button} text=${T.coach.skip} small kind="quiet" onClick=${skip} /></div>`;
}
