"""What every page carries: the style sheet, what the study's page adds to it, and the script."""

# System fonts, light and dark, from a phone's width up.
CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1c1b1a; --soft: #65615c; --rule: #e2ddd6; --edge: #8f8a83;
  --tint: #f3efe9; --method: #c2410c; --second: #6d28d9; --focus: #1d5fc4; --baseline: #2563a8;
  --flat: #7a756e; --good: #15703f; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161514; --card: #1f1e1c; --ink: #ece9e4; --soft: #a39d95; --rule: #383531; --edge: #827c74;
    --tint: #272522; --method: #ff8a4c; --second: #c4a5ff; --focus: #8ec2ff; --baseline: #74b3f0;
    --flat: #a8a29a; --good: #5fcf92; --bad: #ff8a80;
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
[hidden] { display: none !important; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
h1, dd, figcaption, .texts td { overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: 14px 24px; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; }
.stats { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 1.8em 0 0; }
.stat { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
.stat b { display: block; font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.stat small { color: var(--soft); display: block; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
th, td { padding: 7px 14px; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
tbody th[scope=row] { font-weight: 400; }
thead th { font-size: .8rem; font-weight: 600; line-height: 1.3; color: var(--soft); vertical-align: bottom; }
tbody th[scope=rowgroup] { background: var(--tint); font-weight: 600; }
tbody tr { border-top: 1px solid var(--rule); }
tr.soft { color: var(--soft); } .compare td:last-child { font-weight: 650; }
tr.method td, tbody tr.method th[scope=row] { font-weight: 650; }
th small { font-weight: 400; color: var(--soft); margin-left: .6em; }
td small { display: block; color: var(--soft); font-weight: 400; font-size: .78rem; line-height: 1.2;
  white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 14px; }
.charts > div { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px; }
.chart { width: 100%; max-width: 640px; height: auto; display: block; margin: 0 auto; overflow: visible; }
.chart text { fill: var(--ink); font-size: 12px; }
.chart .title { font-weight: 650; font-size: 14px; }
.chart .label { fill: var(--soft); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.chart .grid { stroke: var(--rule); }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .line.method { stroke: var(--method); stroke-width: 2.5; }
.chart .line.second { stroke: var(--second); stroke-width: 2.5; }
.chart polyline.method.steps { fill: color-mix(in srgb, var(--method) 16%, transparent); }
.chart .line.baseline { stroke: var(--baseline); stroke-dasharray: 6 4; }
.chart .line.flat { stroke: var(--flat); stroke-dasharray: 2 4; }
.chart line.mark { stroke: var(--soft); stroke-width: 1; }
.chart circle.mark { fill: var(--card); stroke: var(--method); stroke-width: 2; }
.chart circle.mark.best { fill: var(--method); }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: .9rem; color: var(--soft); margin: .5em 0 0; }
.key i { display: inline-block; width: 26px; margin-right: 6px; vertical-align: middle; border-top: 3px solid; }
.key .ramp { height: 10px; width: 60px; border: 0; border-radius: 2px;
  background: linear-gradient(90deg, #000004, #57106e, #bc3754, #f98e09, #fcffa4); }
.key .predicted { border-color: #ff7a00; } .key .true { border-color: #40beff; border-top-style: dashed; }
#filter { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px;
  margin: 1.2em 0; display: grid; gap: 12px; }
#filter label, #filter legend { font-size: .86rem; } #filter > div > label { margin-right: 10px; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; } legend { padding: 0; margin-bottom: 6px; }
select, button { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--edge);
  border-radius: 8px; padding: 6px 12px; max-width: 100%; min-height: 38px; }
button { cursor: pointer; }
.chips { display: flex; flex-wrap: wrap; gap: 8px; }
.chip { position: relative; cursor: pointer; }
.chip input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.chip > span { display: block; border: 1px solid var(--edge); border-radius: 999px; padding: 6px 12px; }
.chip input:checked + span { background: var(--ink); border-color: var(--ink); color: var(--paper); }
.chip input:focus-visible + span { outline: 3px solid var(--focus); outline-offset: 2px; }
.count { font-variant-numeric: tabular-nums; opacity: .75; margin-left: 2px; }
.line { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; justify-content: space-between; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); gap: 14px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.enlarge { display: block; width: 100%; padding: 0; border: 0; border-radius: 9px 9px 0 0; background: none; }
.script .enlarge { cursor: zoom-in; }
.runs, .run { display: block; } .run + .run { margin-top: 4px; }
.views { display: grid; grid-template-columns: 1fr 1fr; gap: 3px; overflow: hidden; }
.enlarge > .runs > .run:first-child > .views:first-child { border-radius: 9px 9px 0 0; }
.who { display: block; text-align: left; font-size: .86rem; line-height: 1.4; padding: 7px 12px 6px;
  overflow-wrap: anywhere; }
.view { display: block; position: relative; line-height: 0; }
.sheet { max-width: 100%; height: auto; }
.view img { display: block; width: 100%; height: auto; }
.view svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.view rect { fill: none; vector-effect: non-scaling-stroke; }
.view .edge { stroke: #101010; stroke-opacity: .8; stroke-width: 4.5px; }
.view .predicted { stroke: #ff7a00; stroke-width: 2.5px; }
.view .true { stroke: #40beff; stroke-width: 2.5px; stroke-dasharray: 8 6; }
figcaption { padding: 9px 12px 11px; font-size: .88rem; line-height: 1.4; }
figure .soft, dialog .soft { font-size: .8rem; } figcaption .id { display: block; }
.verdict { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; margin-top: 4px; }
.badge { font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
dialog { border: 0; border-radius: 12px; padding: 0; background: var(--card); color: var(--ink);
  max-width: calc(100vw - 16px); max-height: calc(100vh - 16px); overflow: hidden; }
dialog[open] { display: flex; flex-direction: column; }
dialog::backdrop { background: rgb(0 0 0 / .7); }
body:has(dialog[open]) { overflow: hidden; }
.bar { display: flex; gap: 8px; align-items: center; padding: 8px 10px 8px 14px; }
.bar span { flex: 1; font-size: .9rem; } .bar button { min-width: 44px; min-height: 44px; padding: 4px; }
#zoom-body { --side: min(46vw, 100vh - 190px); overflow: auto; }
#zoom-body .views { grid-template-columns: var(--side) var(--side); justify-content: center; }
#zoom-body .runs:has(.run + .run) { --side: min(46vw, 50vh - 122px); }
#zoom-body .view .edge { stroke-width: 6px; } #zoom-body .view :is(.predicted, .true) { stroke-width: 3.5px; }
.warning { border: 2px solid var(--bad); border-radius: 10px; padding: 10px 16px; margin: 1.2em 0; max-width: 80ch; }
.warning ul { margin: .4em 0 0; padding-left: 1.4em; }
tr.differs td { font-weight: 650; }
.good { color: var(--good); } .bad { color: var(--bad); }
.glossary div { display: grid; grid-template-columns: 9.5em 1fr; gap: 0 24px; max-width: 92ch; margin-bottom: 8px; }
.glossary dt { font-weight: 600; } .glossary dd { margin: 0; }
details { margin-top: 1em; } summary { cursor: pointer; font-weight: 600; }
details > :not(summary) { margin-top: .8em; }
.texts table { font-size: .85rem; } .texts :is(td, th) { text-align: left; padding: 4px 14px; }
@media (max-width: 560px) {
  th, td { padding: 6px 7px; } table { font-size: .86rem; }
  thead th { font-size: .72rem; }
  .facts { grid-template-columns: 1fr 1fr; gap: 10px 16px; font-size: .92rem; }
  .stats { grid-template-columns: 1fr 1fr; } .stat { padding: 10px 12px; } .stat b { font-size: 1.5rem; }
  .pairs b { font-size: 1.2rem; }
  #zoom-body { --side: min(94vw, 50vh - 95px); } #zoom-body .views { grid-template-columns: var(--side); }
  #zoom-body .runs:has(.run + .run) { --side: 46vw; }
  #zoom-body .runs:has(.run + .run) .views { grid-template-columns: var(--side) var(--side); }
  .glossary div { grid-template-columns: 1fr; margin-bottom: 12px; }
  .charts > div { padding: 10px 6px; } .chart text { font-size: 14px; } .chart .title { font-size: 16px; }
}
@media print { #filter, dialog { display: none !important; } figure, .charts > div { break-inside: avoid; } }
"""


# What the study's page adds.
STUDY_CSS = """
main { max-width: 1320px; }
th small { display: block; margin-left: 0; font-size: .78rem; line-height: 1.3; }
.study tbody th[scope=row], .papers tbody th[scope=row] { font-weight: 500; }
.study td { white-space: nowrap; } .study td, .study thead th { padding-inline: 9px; }
.study .over { display: inline-block; width: 0; }
td.read { background: var(--tint); font-weight: 600; }
.study tr > :first-child, .beside tr > :first-child { position: sticky; left: 0; z-index: 1; background: var(--card); }
.study tbody th[scope=rowgroup] { background: var(--tint); }
tr.soft td { color: var(--soft); }
.forest-pair { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 14px; align-items: start; }
.forest-pair > div:first-child { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px; }
.figures :is(th, td) { padding: 3px 9px; font-size: .86rem; } .figures td { white-space: nowrap; }
.forest .zero { stroke: var(--ink); stroke-width: 1.5; }
.forest .whisker { stroke: var(--method); stroke-width: 2; }
.forest .point { fill: var(--card); stroke: var(--method); stroke-width: 2; }
.forest .clear .point { fill: var(--method); }
.forest .seed { fill: var(--baseline); }
.key .dot { width: 11px; height: 11px; border: 2px solid var(--method); border-radius: 50%; }
.key .dot.clear { background: var(--method); }
.key .dot.seed { width: 7px; height: 7px; border: 0; background: var(--baseline); }
.words :is(td, th) { text-align: left; } .words td:first-of-type { min-width: 9em; }
.words:not(.papers) td:last-child { min-width: 16em; } .papers td { white-space: nowrap; }
.papers tr.ours { background: var(--tint); } .papers tr.ours td { font-weight: 600; }
.papers td .soft { font-weight: 400; }
.beside { width: auto; } .beside :is(th, td) { padding: 5px; text-align: left; min-width: 122px; }
.beside td small { max-width: 112px; overflow: hidden; text-overflow: ellipsis; }
.beside th { max-width: 122px; font-size: .82rem; line-height: 1.25; overflow-wrap: anywhere; }
.beside .view { width: 112px; margin-bottom: 3px; } .beside td > span:last-child { font-size: .8rem; }
.beside .view :is(.predicted, .true) { stroke-width: 2px; } .beside .view .edge { stroke-width: 3.5px; }
.beside .view .true { stroke-dasharray: 5 4; }
@media (max-width: 820px) { .forest-pair { grid-template-columns: minmax(0, 1fr); } }
"""


# Filters the images and enlarges them; without it the page shows all of them.
SCRIPT = """
"use strict";
(() => {
  const form = document.getElementById("filter");
  const dialog = document.getElementById("zoom");
  if (!form || !dialog) return;
  const figures = [...document.querySelectorAll(".gallery figure")];
  const groups = [...document.querySelectorAll(".group")];
  const shown = () => figures.filter((figure) => !figure.hidden);
  const matches = (figure, wanted) =>
    wanted.every(([name, value]) => value === "" || figure.dataset[name] === value);

  function filter() {
    const wanted = [...new FormData(form)];
    for (const figure of figures) figure.hidden = !matches(figure, wanted);
    for (const group of groups) group.hidden = !group.querySelector("figure:not([hidden])");
    const count = shown().length;
    document.getElementById("shown").textContent =
      count ? `${count} of ${figures.length} pictures` : "No picture is like this.";
    // How many pictures each choice would leave beside the other fields' choices.
    for (const input of form.querySelectorAll("input[type=radio]")) {
      const others = wanted.filter(([name]) => name !== input.name).concat([[input.name, input.value]]);
      input.labels[0].querySelector(".count").textContent =
        figures.filter((figure) => matches(figure, others)).length;
    }
  }

  let current = null;
  function show(figure) {
    current = figure;
    const body = document.getElementById("zoom-body");
    const runs = figure.querySelector(".runs").cloneNode(true);
    body.replaceChildren(runs, figure.querySelector("figcaption").cloneNode(true));
    body.scrollTop = 0;
    const all = shown();
    document.getElementById("zoom-place").textContent = `Picture ${all.indexOf(figure) + 1} of ${all.length}`;
  }
  function move(step) {
    const all = shown();
    show(all[(all.indexOf(current) + step + all.length) % all.length]);
  }

  for (const figure of figures) {
    figure.querySelector("button").addEventListener("click", () => {
      show(figure);
      dialog.showModal();
      document.getElementById("zoom-close").focus();
    });
  }
  document.getElementById("zoom-previous").addEventListener("click", () => move(-1));
  document.getElementById("zoom-next").addEventListener("click", () => move(1));
  document.getElementById("zoom-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); move(step); }
  });
  dialog.addEventListener("close", () => current.querySelector("button").focus());
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  document.documentElement.classList.add("script");
  filter();
})();
"""
