/** The stroke, box or polygon that is being drawn; the stage fills this in, the keys end it. */

import { signal } from './lib.js';

export const draft = signal(null); // {kind, points, positive, ...}, in pixels of the video

export const stroke = {
  open: () => draft.value !== null,
  accept: () => {},
  cancel: () => {
    const was = draft.value !== null;
    draft.value = null;
    return was;
  },
};
