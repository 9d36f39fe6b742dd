/** The three hints of the first run: each goes when its deed is done, and never comes again. */

import { coached } from '../core/preferences.js';

export const HINTS = ['click', 'cut', 'next'];

export function follow(hint) {
  if (!coached.value.includes(hint)) coached.value = [...coached.value, hint];
}

export const skip = () => { coached.value = HINTS; };
