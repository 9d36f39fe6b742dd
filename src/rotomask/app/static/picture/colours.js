/** Colours of objects for the renderers. */

import * as S from '../core/state.js';

export const FALLBACK = ['#56b4e9', '#e69f00', '#009e73', '#f0e442', '#cc79a7', '#d55e00', '#0072b2'];

export const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

export const colourOf = (label) => S.objects.value.find((o) => o.label === label)?.colour ?? FALLBACK[(label - 1) % FALLBACK.length];

/** 256 RGBA entries; alpha 0 hides an object. */
export function palette() {
  const table = new Uint8Array(1024);
  const hidden = S.maskHidden.value;
  for (let label = 1; label < 256; label += 1) {
    const object = S.objects.value.find((o) => o.label === label);
    const show = !hidden && !object?.hidden;
    table.set([...rgb(object?.colour ?? FALLBACK[(label - 1) % FALLBACK.length]), show ? 255 : 0], label * 4);
  }
  return table;
}
