"""One self-contained page for a browser that shows what results say.

It must not know how anything is worked out: what it says is what tables, figures and the recommendation say.
"""
