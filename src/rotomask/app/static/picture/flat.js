/** The same pictures as `gl.js` on a 2D canvas, where WebGL2 is missing or was lost. */

export function flatRenderer(canvas) {
  const context = canvas.getContext('2d');
  const layer = document.createElement('canvas');
  const work = document.createElement('canvas');
  let key = null;

  /** Paints the layer of a view: tint and outline, an alpha, or what changed. */
  function paint({ map, before, colours, view, active }) {
    const { width, height, labels } = map;
    const next = [labels, before?.labels, colours.join(), view, active];
    if (key && next.every((v, i) => v === key[i]) && !map.touched) return;
    key = next;
    map.touched = false;
    layer.width = width;
    layer.height = height;
    const image = new ImageData(width, height);
    const out = image.data;
    const same = before && before.width === width && before.height === height;
    const shown = (l) => l > 0 && colours[l * 4 + 3] > 0;
    for (let i = 0, o = 0; i < labels.length; i += 1, o += 4) {
      const l = labels[i];
      const on = shown(l);
      const edge = on && (labels[i - 1] !== l || labels[i + 1] !== l || labels[i - width] !== l || labels[i + width] !== l);
      let [r, g, b, a] = [0, 0, 0, 0];
      if (view === 'cutout' || view === 'alpha') [r, g, b, a] = [255, 255, 255, on ? 255 : 0];
      else if (view === 'difference') {
        const was = same && shown(before.labels[i]);
        if (on && !was) [r, g, b, a] = [51, 212, 153, 190];
        else if (was && !on) [r, g, b, a] = [237, 77, 166, 200];
        else [r, g, b, a] = [0, 0, 0, on ? 0 : 160];
      } else if (edge || (on && view === 'tint')) {
        [r, g, b] = [colours[l * 4], colours[l * 4 + 1], colours[l * 4 + 2]];
        a = edge ? 255 : l === active ? 122 : 92;
      }
      out[o] = r;
      out[o + 1] = g;
      out[o + 2] = b;
      out[o + 3] = a;
    }
    layer.getContext('2d').putImageData(image, 0, 0);
  }

  function checkers(place, ratio) {
    const side = Math.max(1, Math.round(8 * ratio));
    const tile = document.createElement('canvas');
    tile.width = side * 2;
    tile.height = side * 2;
    const t = tile.getContext('2d');
    t.fillStyle = '#9e9e9e';
    t.fillRect(0, 0, side * 2, side * 2);
    t.fillStyle = '#ccc';
    t.fillRect(0, 0, side, side);
    t.fillRect(side, side, side, side);
    context.fillStyle = context.createPattern(tile, 'repeat');
    context.fillRect(place.x, place.y, place.width, place.height);
  }

  return {
    kind: '2d',
    mostPixels: 4e6,
    draw({ frame, map, before, colours, view, place, ratio, active, sharp }) {
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (!frame) return;
      const { x, y, width, height } = place;
      const put = (image, target = context, origin = place) => {
        target.imageSmoothingEnabled = image !== layer && !sharp;
        target.drawImage(image, origin.x, origin.y, origin.width, origin.height);
      };
      if (map && view !== 'original') paint({ map, before, colours, view, active });
      if (view === 'cutout') {
        checkers(place, ratio);
        if (!map) return;
        work.width = frame.width;
        work.height = frame.height;
        const w = work.getContext('2d');
        const whole = { x: 0, y: 0, width: frame.width, height: frame.height };
        put(frame, w, whole);
        w.globalCompositeOperation = 'destination-in';
        put(layer, w, whole);
        put(work);
      } else if (view === 'alpha') {
        context.fillStyle = '#000';
        context.fillRect(x, y, width, height);
        if (map) put(layer);
      } else {
        if (view === 'difference') context.filter = 'grayscale(1)';
        put(frame);
        context.filter = 'none';
        if (map && view !== 'original') put(layer);
      }
    },
    touch(map) {
      map.touched = true;
    },
    lost: () => false,
  };
}
