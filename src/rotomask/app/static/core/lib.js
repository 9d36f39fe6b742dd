/** The vendored libraries under one roof; every other module imports them from here. */

import { Fragment, h, render } from '../vendor/preact.js';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact-hooks.js';
import { batch, computed, effect, signal, useComputed, useSignal, useSignalEffect } from '../vendor/signals.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export {
  Fragment, batch, computed, effect, h, render, signal, useComputed, useEffect, useLayoutEffect,
  useMemo, useRef, useSignal, useSignalEffect, useState,
};
