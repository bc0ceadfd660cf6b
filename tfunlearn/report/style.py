"""The style sheet of HTML reports: light and dark, wide and narrow, screen and print."""

__all__ = ["CSS"]

_LIGHT = """--page:#f6f6f4;--card:#fff;--ink:#1b1d21;--soft:#5b6069;--line:#dfe0dc;--track:#ecece8;
--above:#c2571a;--below:#2b6cb0;--accent:#5b3fa8;--forget:#7c5cc4;--test:#1b1d21;--band:#d9d2ee;
--warn:#8a5a00;--warnbg:#fdf3dc"""

_DARK = """--page:#14161a;--card:#1c1f24;--ink:#e9eaec;--soft:#a0a6b0;--line:#31353c;
--track:#2a2e35;--above:#f0955a;--below:#6aaef0;--accent:#b7a1f5;--forget:#8d74d6;--test:#e9eaec;--band:#40386180;
--warn:#f2c46d;--warnbg:#33291433"""

CSS = (
    f".tfu{{{_LIGHT};color-scheme:light dark}}"
    + f"@media (prefers-color-scheme:dark){{.tfu{{{_DARK}}}}}"
    + f"@media print{{.tfu{{{_LIGHT};--page:#fff}}}}"
    + """
body.tfu{margin:0}
.tfu{background:var(--page);color:var(--ink);line-height:1.5;font-size:16px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
-webkit-text-size-adjust:100%;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.tfu *{box-sizing:border-box}
.tfu main{max-width:1080px;margin:0 auto;padding:40px 24px 56px}
.tfu.inline{padding:16px;border-radius:10px;max-width:1080px}
.tfu .kicker{margin:0;color:var(--accent);font-size:13px;font-weight:600;letter-spacing:.04em}
.tfu h1{margin:4px 0 12px;font-size:34px;line-height:1.15;letter-spacing:-.02em;
overflow-wrap:anywhere;text-wrap:balance}
.tfu h2{margin:0 0 4px;font-size:20px;letter-spacing:-.01em;overflow-wrap:anywhere}
.tfu h3{margin:0 0 8px;font-size:15px;font-weight:600;overflow-wrap:anywhere}
.tfu p{margin:0 0 8px;max-width:74ch}
.tfu .lead{font-size:19px}
.tfu .soft{color:var(--soft);font-size:14px}
.tfu section{margin-top:40px}
.tfu .card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px}
.tfu .grid{display:grid;gap:14px;margin-top:14px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}
.tfu .tiles{grid-template-columns:repeat(auto-fit,minmax(min(100%,220px),1fr));margin-top:22px}
.tfu .tile b{display:block;font-size:30px;line-height:1.2;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tfu .tile span{display:block;color:var(--soft);font-size:14px;overflow-wrap:anywhere}
.tfu .tile .of{color:var(--ink);font-weight:600}
.tfu .scroll{overflow-x:auto;margin-top:14px;padding:4px 16px}
.tfu table{border-collapse:collapse;width:100%;margin:0;font-size:15px;background:none;border:0}
.tfu tr{background:none!important}
.tfu th,.tfu td{padding:10px 8px;text-align:right;vertical-align:top;border:0;
border-bottom:1px solid var(--line);color:var(--ink);background:none}
.tfu tbody tr:last-child>*{border-bottom:0}
.tfu thead th{color:var(--soft);font-size:13px;font-weight:500;vertical-align:bottom}
.tfu th:first-child{text-align:left}
.tfu tbody th{font-weight:600;min-width:110px;max-width:260px;overflow-wrap:anywhere}
.tfu .v,.tfu .g{display:block;font-variant-numeric:tabular-nums;white-space:nowrap}
.tfu .g{font-size:13px;color:var(--soft)}
.tfu .up .g{color:var(--above)} .tfu .down .g{color:var(--below)}
.tfu .bar{display:block;position:relative;height:5px;width:100%;min-width:64px;max-width:110px;
margin:5px 0 0 auto;background:var(--track);border-radius:3px}
.tfu .bar::after{content:"";position:absolute;left:50%;top:-2px;height:9px;width:1px;
background:var(--soft)}
.tfu .bar i{position:absolute;top:0;height:100%;border-radius:3px}
.tfu .up .bar i{left:50%;background:var(--above)}
.tfu .down .bar i{right:50%;background:var(--below)}
.tfu .chip{display:inline-block;margin-left:6px;padding:0 7px;border:1px solid currentColor;
border-radius:9px;color:var(--soft);font-size:12px;font-weight:500;white-space:nowrap}
.tfu .chip.reference{color:var(--accent)}
.tfu .chip.collapsed,.tfu .chip.unchanged,.tfu .chip.not-finite{color:var(--warn);
background:var(--warnbg)}
.tfu tr.ref>*{background:color-mix(in srgb,var(--band) 35%,transparent)}
.tfu em{color:var(--accent);font-style:normal}
.tfu .notes{margin-top:14px;background:var(--warnbg);border-color:transparent}
.tfu .notes h3{color:var(--warn)}
.tfu ul{margin:0;padding-left:20px} .tfu li{margin:0 0 5px;overflow-wrap:anywhere;max-width:80ch}
.tfu .dots{display:grid;gap:7px}
.tfu .dot{display:grid;grid-template-columns:minmax(0,8.5em) 1fr 3.2em;gap:10px;align-items:center;
font-size:14px}
.tfu .dot>span:first-child{overflow-wrap:anywhere;line-height:1.2}
.tfu .dot>span:last-child{text-align:right;font-variant-numeric:tabular-nums}
.tfu .track{position:relative;min-height:19px;align-self:stretch}
.tfu .track::before{content:"";position:absolute;left:0;right:0;top:calc(50% - 1px);height:2px;
background:var(--track)}
.tfu .track i{position:absolute;top:calc(50% - 6px);width:12px;height:12px;margin-left:-6px;
border-radius:50%;background:var(--ink);border:2px solid var(--card)}
.tfu .dot.ref .track i:not([class]){background:var(--accent)}
.tfu .track .band{top:-4px;bottom:-4px;height:auto;margin:0;border:0;border-radius:2px;
min-width:2px;background:var(--band)}
.tfu .track .mean{top:-4px;bottom:-4px;width:2px;height:auto;margin-left:-1px;border:0;
border-radius:0;background:var(--accent)}
.tfu .axis{color:var(--soft)}
.tfu .axis .track{font-size:12px;display:flex;justify-content:space-between}
.tfu .axis .track::before{display:none}
.tfu svg{display:block;width:100%;height:auto;overflow:visible}
.tfu svg text{fill:var(--soft);font-size:11px}
.tfu svg .f{fill:var(--forget);fill-opacity:.55}
.tfu svg .t{fill:none;stroke:var(--test);stroke-width:1.6;stroke-linejoin:round}
.tfu svg .b{stroke:var(--line);stroke-width:1}
.tfu .key{display:inline-block;width:18px;height:10px;margin:0 5px 0 0;border-radius:2px;
background:var(--forget);opacity:.6}
.tfu .key.t{height:0;border-top:2px solid var(--test);background:none;opacity:1;margin-left:14px;
vertical-align:middle}
.tfu .costs{display:grid;grid-template-columns:minmax(6em,max-content) 1fr max-content;
gap:8px 12px;align-items:center;margin-top:14px;font-size:15px}
.tfu .costs>span{overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.tfu .costs i{display:block;height:12px;min-width:2px;border-radius:3px;background:var(--below)}
.tfu .costs i.ref{background:var(--accent)}
.tfu .balance{display:flex;align-items:flex-end;justify-content:flex-end;gap:1px;height:34px;
min-width:90px}
.tfu .balance i{flex:1;max-width:12px;background:var(--forget);opacity:.75;min-height:1px}
.tfu dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:12px 0 0;
font-size:14px}
.tfu pre{margin:12px 0 0;font-size:14px;white-space:pre-wrap;overflow-wrap:anywhere}
.tfu .mono dd,.tfu pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.tfu .mono dd{font-size:13px}
.tfu svg.chart{max-width:420px}
.tfu .tradeoff{display:grid;gap:10px 28px;margin-top:14px;align-items:center;
grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr))}
.tfu .tradeoff ol{margin:0;padding-left:26px;font-size:15px}
.tfu .tradeoff li span{display:block;color:var(--soft);font-size:13px;
font-variant-numeric:tabular-nums}
.tfu dt{color:var(--soft)} .tfu dd{margin:0;overflow-wrap:anywhere}
@media (max-width:640px){
.tfu main{padding:24px 14px 40px} .tfu h1{font-size:27px} .tfu .lead{font-size:17px}
.tfu section{margin-top:32px}
.tfu .scroll{padding:0 14px}
.tfu table.cells thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.tfu table.cells,.tfu table.cells tbody{display:block}
.tfu table.cells tr{display:grid;grid-template-columns:1fr 1fr;gap:12px 20px;padding:14px 0;
border-bottom:1px solid var(--line)}
.tfu table.cells tr:last-child{border-bottom:0}
.tfu table.cells tr.ref{background:color-mix(in srgb,var(--band) 35%,transparent)!important;
margin:0 -14px;padding:14px}
.tfu table.cells tr.ref>*{background:none}
.tfu table.cells th,.tfu table.cells td{display:block;padding:0;border:0;text-align:left}
.tfu table.cells th{grid-column:1/-1;max-width:none;font-size:16px}
.tfu table.cells td::before{content:attr(data-label);display:block;color:var(--soft);
font-size:12px}
.tfu table.cells .v,.tfu table.cells .g{display:inline} .tfu table.cells .g{margin-left:6px}
.tfu .bar{margin-left:0;max-width:none}
.tfu dl{grid-template-columns:1fr;gap:0} .tfu dd{margin-bottom:6px}
}
@media print{
.tfu main{max-width:none;padding:0} .tfu{font-size:11pt}
.tfu section{margin-top:20pt} .tfu .card,.tfu tr,.tfu .dot{break-inside:avoid}
.tfu h2,.tfu h3{break-after:avoid} .tfu .scroll{overflow:visible}
}
"""
)
