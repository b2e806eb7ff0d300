"""The look of the page: one column, two colour schemes, wide tables scroll on their own."""

from __future__ import annotations

CSS = """
:root { --ground: #fdfdfb; --text: #1d2329; --soft: #5b6670; --line: #d8dcdf; --panel: #f2f4f4;
  --dot: #4a7fb5; --best: #c2410c; --base: #6b7280; --limit: #b91c1c; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181b; --text: #e4e8eb; --soft: #9aa5ae; --line: #343b41; --panel: #1e2327;
    --dot: #6ea8dc; --best: #fb923c; --base: #a3adb8; --limit: #f87171; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
main { padding-top: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
.lead { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
.over { color: var(--limit); font-weight: 600; margin: .5rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td.long { min-width: 17rem; overflow-wrap: anywhere; }
td.n { white-space: nowrap; }
pre { background: var(--panel); padding: .7rem .9rem; border-radius: 6px; overflow-x: auto; margin: .3rem 0 1rem;
  font: .88rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
svg { display: block; width: 100%; max-width: 42rem; height: auto; margin: .5rem 0 1rem; }
svg text { fill: var(--soft); font-size: 13px; }
svg .axis { text-anchor: middle; }
svg text.mark { fill: var(--text); font-weight: 600; paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
svg text.limit { fill: var(--limit); paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
svg .grid { stroke: var(--line); }
svg .frame { stroke: var(--soft); }
svg line.limit { stroke: var(--limit); stroke-dasharray: 5 4; }
svg .path { fill: none; stroke: var(--dot); stroke-width: 1.5; opacity: .6; }
svg circle, svg path.trial { fill: var(--dot); fill-opacity: .75; }
svg rect.baseline { fill: var(--base); }
svg rect.missed { fill: var(--ground); stroke: var(--best); stroke-width: 2; }
svg line.span { stroke: var(--dot); stroke-width: 1.5; opacity: .45; }
svg path.after_search, svg path.delivered, svg path.front { fill: var(--best); }
svg path.after_search { fill: var(--ground); stroke: var(--best); stroke-width: 2; }
svg [data-about] { cursor: pointer; }
svg .chosen { stroke: var(--text); stroke-width: 2.5; }
svg .diagonal { stroke: var(--soft); stroke-dasharray: 4 4; }
svg.network rect.dense { fill: var(--panel); stroke: var(--line); }
svg.network rect.active { fill: var(--dot); fill-opacity: .45; }
svg.network text { fill: var(--text); font-size: 12.5px; }
svg.network text.name { text-anchor: end; }
svg.network path.skip { fill: none; stroke: var(--soft); opacity: .7; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
figure { margin: 0; }
figcaption { font-size: .82rem; color: var(--soft); line-height: 1.3; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: .8rem;
  margin: .5rem 0 1rem; }
.cards.large img { max-height: none; }
.cards.large { grid-template-columns: repeat(auto-fill, minmax(14rem, 18rem)); }
.cards.wide-cards { grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); }
.cards img { width: 100%; min-height: 2.2rem; max-height: 12rem; image-rendering: pixelated;
  border: 1px solid var(--line); background: #000; display: block; }
table.heat { font-size: .82rem; }
table.heat th, table.heat td { padding: .15rem .35rem; text-align: right; border: 0; }
table.heat td { background: color-mix(in srgb, var(--limit) calc(var(--share) * 100%), transparent); }
table.heat td.right { background: color-mix(in srgb, var(--dot) calc(var(--share) * 55%), transparent);
  outline: 1px solid var(--soft); outline-offset: -1px; }
table.heat td.none { color: var(--soft); }
.bar { display: grid; grid-template-columns: 9rem 1fr 3rem; gap: .6rem; align-items: center; font-size: .9rem; }
.bar span { overflow-wrap: anywhere; }
.bar i { display: block; height: .8rem; border-radius: 3px;
  background: linear-gradient(to right, var(--dot) calc(var(--share) * 100%), var(--panel) 0); }
.bar b { font-weight: 400; text-align: right; font-variant-numeric: tabular-nums; }
pre.about { white-space: pre-wrap; max-width: 42rem; }
summary { cursor: pointer; color: var(--soft); margin: .8rem 0; }
footer { color: var(--soft); font-size: .85rem; padding-top: 2.5rem; padding-bottom: 2rem; }
"""
