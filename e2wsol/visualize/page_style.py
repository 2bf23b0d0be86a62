"""The report page's style sheet: system fonts, light and dark, from a phone's width up."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1c1b1a; --soft: #65615c; --rule: #e2ddd6; --tint: #f3efe9;
  --method: #c2410c; --baseline: #2563a8; --flat: #7a756e; --good: #15703f; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161514; --card: #1f1e1c; --ink: #ece9e4; --soft: #a39d95; --rule: #383531; --tint: #272522;
    --method: #ff8a4c; --baseline: #74b3f0; --flat: #a8a29a; --good: #5fcf92; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: clamp(16px, 4vw, 48px) clamp(14px, 4vw, 40px) 64px; }
h1 { font-size: clamp(1.5rem, 1.1rem + 2vw, 2.25rem); line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 .4em; }
h2 { font-size: 1.3rem; letter-spacing: -0.01em; margin: 2.4em 0 .5em; }
h3 { font-size: 1rem; margin: 1.8em 0 .6em; }
p { max-width: 70ch; margin: .5em 0; }
.soft { color: var(--soft); }
h1, dd, figcaption, details td { overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 14px 24px; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; }
.stats { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 1.8em 0 0; }
.stat { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.stat b { display: block; font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em; }
.stat small { color: var(--soft); display: block; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { padding: 7px 14px; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
thead th { font-size: .8rem; font-weight: 600; line-height: 1.3; color: var(--soft); vertical-align: bottom; }
tbody th[scope=rowgroup] { background: var(--tint); font-weight: 600; }
tbody tr { border-top: 1px solid var(--rule); }
tr.method td { font-weight: 650; }
th small { font-weight: 400; color: var(--soft); margin-left: .6em; }
td small { display: block; color: var(--soft); font-weight: 400; font-size: .78rem; line-height: 1.2; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 14px; }
.charts > div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px; }
.chart { width: 100%; max-width: 640px; height: auto; display: block; margin: 0 auto; overflow: visible; }
.chart text { fill: var(--ink); font-size: 12px; }
.chart .title { font-weight: 650; font-size: 14px; }
.chart .label { fill: var(--soft); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.chart .grid { stroke: var(--rule); }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .line.method { stroke: var(--method); stroke-width: 2.5; }
.chart .line.baseline { stroke: var(--baseline); stroke-dasharray: 6 4; }
.chart .line.flat { stroke: var(--flat); stroke-dasharray: 2 4; }
.chart line.mark { stroke: var(--soft); stroke-width: 1; }
.chart circle.mark { fill: var(--card); stroke: var(--method); stroke-width: 2; }
.chart circle.mark.best { fill: var(--method); }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .9rem; color: var(--soft); margin: .5em 0 0; }
.key i { display: inline-block; width: 26px; margin-right: 6px; vertical-align: middle; border-top: 3px solid; }
.key .ramp { height: 10px; width: 60px; border: 0; border-radius: 2px;
  background: linear-gradient(90deg, #000004, #57106e, #bc3754, #f98e09, #fcffa4); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 14px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figcaption { padding: 9px 12px 11px; font-size: .88rem; line-height: 1.4; }
figcaption .soft { font-size: .8rem; display: block; }
.badge { float: right; margin-left: 10px; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
.glossary div { display: grid; grid-template-columns: 9.5em 1fr; gap: 0 24px; max-width: 92ch; margin-bottom: 8px; }
.glossary dt { font-weight: 600; } .glossary dd { margin: 0; }
details { margin-top: 1em; } summary { cursor: pointer; font-weight: 600; }
details table { font-size: .85rem; } details td { text-align: left; padding: 4px 14px; }
@media (max-width: 560px) {
  th, td { padding: 6px 7px; } table { font-size: .86rem; }
  thead th { font-size: .72rem; }
  .facts { grid-template-columns: 1fr 1fr; gap: 10px 16px; font-size: .92rem; }
  .stats { grid-template-columns: 1fr 1fr; } .stat { padding: 10px 12px; } .stat b { font-size: 1.5rem; }
  .glossary div { grid-template-columns: 1fr; margin-bottom: 12px; }
  .charts > div { padding: 10px 6px; } .chart text { font-size: 14px; } .chart .title { font-size: 16px; }
}
@media print { figure, .charts > div { break-inside: avoid; } }
"""
