"""The report: one self-contained HTML page and summary.json, from the artefacts of a run.

`material` reads, `sections` say one thing each, `page` puts them together. Figures are SVG whose colours
are the style sheet's variables, so that they follow the reader's light or dark theme without a script.
"""
