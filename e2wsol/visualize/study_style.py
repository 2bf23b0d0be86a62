"""What the study's page adds to the pages' style sheet."""

CSS = """
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
