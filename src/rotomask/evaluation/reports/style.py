"""Style sheet of the HTML page."""

STYLE = """
:root { --ink: #1c2430; --soft: #667085; --line: #e3e7ee; --back: #f6f7fa; --card: #fff;
  --accent: #2f6fed; --ours: #eaf1ff; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf3; --soft: #98a2b3; --line: #2b3340; --back: #12161d; --card: #1a2029;
    --accent: #6d9bff; --ours: #1d2b47; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 60px; }
header { margin-bottom: 24px; }
.kicker { margin: 0; color: var(--accent); font-weight: 600; letter-spacing: .02em; }
h1 { margin: 2px 0 0; font-size: 32px; line-height: 1.2; }
h2 { margin: 0 0 10px; font-size: 19px; }
.facts, .remark { margin: 4px 0 14px; color: var(--soft); font-size: 13px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; }
.tile { flex: 1 1 100px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 12.5px; }
.tile.first { background: var(--accent); border-color: var(--accent); color: #fff; }
.tile.first span { color: #fff; opacity: .85; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 22px; margin-top: 18px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 8px; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
thead th { color: var(--soft); font-weight: 500; }
tbody th, thead th:first-child, .kind, thead th:nth-child(2) { text-align: left;
  font-weight: 500; }
.kind { color: var(--soft); }
.bar { width: 130px; }
.bar i { display: block; height: 8px; border-radius: 4px; background: var(--soft);
  opacity: .45; }
tr.ours { background: var(--ours); }
tr.ours th, tr.ours td { font-weight: 650; color: var(--ink); }
tr.ours .bar i { background: var(--accent); opacity: 1; }
.legend { margin: 0 0 8px; font-size: 13px; color: var(--soft); }
.legend span { margin-right: 16px; white-space: nowrap; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px;
  margin-right: 6px; vertical-align: -1px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font-family: inherit; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .label { font-size: 13px; text-anchor: end; dominant-baseline: middle; }
svg .value { font-size: 10px; fill: var(--soft); }
svg .tick { font-size: 9px; fill: var(--soft); text-anchor: end; }
svg .tick.start { text-anchor: start; }
.curves, .pictures { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 13px; }
.curves figcaption { padding-left: 9%; font-weight: 600; }
.pictures img { display: block; width: 100%; border-radius: 8px; aspect-ratio: 16 / 10;
  object-fit: cover; background: #000; }
.pictures figcaption { padding-top: 5px; }
.pictures figcaption span { float: right; color: var(--soft);
  font-variant-numeric: tabular-nums; }
summary { cursor: pointer; color: var(--accent); }
footer { margin-top: 24px; color: var(--soft); font-size: 13px; text-align: center; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
