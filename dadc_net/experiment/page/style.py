"""How a report looks: light and dark as the reader's system says, one column on a phone, nothing fetched from anywhere."""

STYLE = """
:root { color-scheme: light dark; --page: #f7f7f5; --card: #ffffff; --ink: #1d2021; --soft: #5c6165; --line: #dcdcd6;
  --one: #0b6aa8; --two: #b4520a; --three: #0a7d5a; --good: #0a7d5a; --bad: #b3261e; --doubt: #8a6100; }
@media (prefers-color-scheme: dark) { :root { --page: #16181a; --card: #1f2225; --ink: #e8e6e3; --soft: #a3a8ad;
  --line: #383d42; --one: #6cb6ef; --two: #f0a35e; --three: #58c79d; --good: #58c79d; --bad: #ff8a80; --doubt: #e3bd5b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
h1, h2, p, .legend { overflow-wrap: anywhere; }
.lines { white-space: pre-line; }
h3 { font-size: 1rem; margin: 0 0 .75rem; }
p { margin: .25rem 0 .75rem; }
.soft { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.long { overflow-wrap: anywhere; min-width: 12rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.short { white-space: nowrap; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; margin: .75rem 0 0; }
summary { cursor: pointer; }
.tracks { display: grid; grid-template-columns: max-content 1fr max-content; gap: .5rem .75rem; align-items: center;
  grid-auto-flow: dense; margin-bottom: 1.25rem; }
.track { position: relative; height: 1rem; border-bottom: 1px solid var(--line); }
.track i { position: absolute; top: .6rem; width: .75rem; height: .75rem; margin-left: -.375rem; border-radius: 50%;
  background: var(--soft); }
.track i.learned { background: var(--one); } .track i.optimum { background: var(--three); }
.figure { font-variant-numeric: tabular-nums; text-align: right; }
.plot { display: grid; grid-template-columns: max-content 1fr; gap: 0 .5rem; font-size: .8rem; color: var(--soft); }
.plot .scale { position: relative; text-align: right; min-width: 3.5rem; }
.plot .scale span { position: absolute; right: 0; transform: translateY(-50%); white-space: nowrap; }
.plot svg { display: block; width: 100%; height: 15rem; overflow: visible; }
.plot .steps { grid-column: 2; display: flex; justify-content: space-between; margin-top: .25rem; }
.plot line { stroke: var(--line); vector-effect: non-scaling-stroke; }
.plot polyline { fill: none; stroke: var(--one); stroke-width: 2; vector-effect: non-scaling-stroke; }
.plot polyline.dot { stroke-width: 8; stroke-linecap: round; }
.plot line.optimum { stroke: var(--three); stroke-dasharray: 6 4; stroke-width: 1.5; }
.plot line.constant { stroke: var(--two); stroke-dasharray: 2 4; stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0 0; font-size: .85rem; color: var(--soft); }
.legend b { display: inline-block; width: 1.5rem; border-top: 2px solid var(--one); margin-right: .4rem;
  vertical-align: middle; }
.legend b.optimum { border-top: 2px dashed var(--three); } .legend b.constant { border-top: 2px dotted var(--two); }
@media (max-width: 32rem) { main { padding: 1rem .6rem 2rem; } section { padding: .75rem; }
  .tracks { grid-template-columns: 1fr max-content; } .track { grid-column: 1 / 3; margin-bottom: .5rem; }
  .tracks .name { grid-column: 1; } .tracks .figure { grid-column: 2; } }
"""
