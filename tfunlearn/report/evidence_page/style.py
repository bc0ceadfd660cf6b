"""The style sheet of the sections on evidence."""

__all__ = ["CSS"]

_LIGHT = """--s0:#0060a8;--s1:#c2450a;--s2:#00794f;--s3:#a8407e;--s4:#6b5200;--s5:#1b1d21;
--in:#0060a8;--out:#b8400a;--own:#e08a3c"""
_DARK = """--s0:#6bb3f2;--s1:#f59a63;--s2:#3fc79a;--s3:#e39ac6;--s4:#e6c34a;--s5:#e9eaec;
--in:#6bb3f2;--out:#f59a63;--own:#d9822f"""

CSS = (
    f".tfu{{{_LIGHT}}}"
    + f"@media screen and (prefers-color-scheme:dark){{.tfu{{{_DARK}}}}}"
    + """
.tfu .wide{margin-top:14px}
.tfu nav{margin-top:18px;font-size:14px;display:flex;flex-wrap:wrap;gap:6px 18px}
.tfu nav a{color:var(--accent)}
.tfu .halves{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}
.tfu .verdict{display:flex;align-items:center;gap:10px;margin:0 0 4px;font-size:17px}
.tfu .verdict svg{width:72px;flex:none}
.tfu .verdict rect{fill:var(--band);stroke:var(--accent);stroke-width:1}
.tfu .verdict.inside{color:var(--in)} .tfu .verdict.outside{color:var(--out)}
.tfu .verdict.open{color:var(--soft)}
.tfu .verdict path{fill:currentColor}
.tfu svg .verdict text,.tfu .verdict svg text{fill:currentColor;font-size:15px;font-weight:700;
text-anchor:middle}
.tfu .facts{font-variant-numeric:tabular-nums;font-weight:600;font-size:15px}
.tfu .verdicts p:last-child{margin-bottom:0}
.tfu svg.strip{height:24px;min-width:120px}
.tfu svg.strip rect{fill:var(--band);opacity:.7}
.tfu svg.strip circle{fill:var(--accent);fill-opacity:.55}
.tfu svg.strip path{fill:var(--ink);stroke:var(--card);stroke-width:1.5}
.tfu td.picture{width:30%;min-width:136px}
.tfu .places td,.tfu .places tbody th{vertical-align:middle;padding:6px 8px}
.tfu .places thead th:nth-child(4){text-align:left}
.tfu .why{color:var(--soft);font-size:13px}
.tfu td.why{text-align:left}
.tfu th .why{display:block;font-weight:400}
.tfu .strips th .g{font-weight:400}
.tfu .strips td.picture{width:50%;min-width:110px}
.tfu .strips svg.strip{min-width:90px}
.tfu .strips td,.tfu .strips tbody th{vertical-align:middle;padding:4px 8px}
.tfu .strips tbody th,.tfu .plain tbody th{min-width:0}
.tfu .strips thead th,.tfu .plain thead th,.tfu .plain td,.tfu .plain tbody th{padding:5px 8px}
.tfu .plain tbody th{white-space:nowrap} .tfu .places .g{white-space:normal}
.tfu .plain td{font-variant-numeric:tabular-nums;vertical-align:bottom}
.tfu .plain img{display:block;margin:2px 0 4px;outline:1px solid var(--line);
image-rendering:pixelated}
.tfu .attack{display:grid;grid-template-columns:minmax(0,340px) minmax(0,1fr);gap:6px 24px;
align-items:start}
.tfu .attack>div:only-child{grid-column:1/-1}
.tfu .attack table{font-size:14px} .tfu .attack th,.tfu .attack td{padding:8px 5px}
.tfu .attack .g{font-size:12px}
.tfu .attack p{margin:10px 0 0}
.tfu svg.chart{max-width:400px}
.tfu svg .roc{fill:none;stroke-width:2;stroke-linejoin:round}
.tfu svg .s0{stroke:var(--s0)}
.tfu svg .s1{stroke:var(--s1);stroke-dasharray:7 3}
.tfu svg .s2{stroke:var(--s2);stroke-dasharray:2 3}
.tfu svg .s3{stroke:var(--s3);stroke-dasharray:9 3 2 3}
.tfu svg .s4{stroke:var(--s4);stroke-dasharray:12 4}
.tfu svg .s5{stroke:var(--s5);stroke-dasharray:4 2}
.tfu svg .chance{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:3 4;fill:none}
.tfu svg .unseen{fill:var(--track);opacity:.8}
.tfu svg.line{display:inline-block;width:30px;height:8px;margin-right:7px;vertical-align:middle}
.tfu svg .band{fill:var(--band)}
.tfu svg .mean{fill:none;stroke:var(--accent);stroke-width:1.6}
.tfu svg .own{fill:var(--own);fill-opacity:.55}
.tfu .key.own{background:var(--own)}
.tfu .key.band{background:var(--band);opacity:1;border-bottom:2px solid var(--accent);
margin-left:14px}
@media (max-width:900px){.tfu .attack{grid-template-columns:minmax(0,1fr)}}
@media (max-width:640px){
.tfu nav{flex-wrap:nowrap;overflow-x:auto;white-space:nowrap;padding-bottom:6px}
.tfu table.cells td.picture,.tfu table.cells td.why{grid-column:1/-1;width:auto}
.tfu table.cells td.picture::before{content:none}
.tfu table.cells td:empty{display:none}
.tfu table.places tr{grid-template-columns:repeat(3,minmax(0,1fr));gap:8px 12px}
.tfu table.places th,.tfu table.places td{padding:0}
.tfu table.places td:nth-child(3){grid-column:span 2}
.tfu table.places td.why{grid-column:span 2}
.tfu table.places .g{display:block;margin:0}
.tfu table.places td:nth-child(3) .g{display:inline;margin-left:6px}
.tfu .strips td,.tfu .strips th,.tfu .plain td,.tfu .plain th{padding-left:4px!important;
padding-right:4px!important}
}
@media print{.tfu .attack{grid-template-columns:minmax(0,1fr)} .tfu svg.chart{max-width:300px}
.tfu .halves{grid-template-columns:repeat(2,minmax(0,1fr))} .tfu .halves table{font-size:13px}
.tfu .halves th,.tfu .halves td{padding:4px 3px!important}
.tfu .halves .card{padding:12px} .tfu .strips svg.strip{min-width:60px}
.tfu .strips td.picture{min-width:70px} .tfu nav{display:none}
.tfu .wide{break-inside:auto}}
"""
)
