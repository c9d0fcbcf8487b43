"""Reports: saved results in, one self-contained page out.

Nothing here runs a benchmark. `html.write_report` reads the mapping that `hzbench.core.result`
describes; `document` turns it into a view model, `figures` draws, the templates lay out.
"""
