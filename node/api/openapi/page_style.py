"""How the page looks: one narrow column, in the light or dark colours of its reader's system."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5;
  font-family: system-ui, sans-serif; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 { margin-top: 2.5rem; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 4rem; }
code, pre, h3 { font-family: ui-monospace, monospace; font-size: 0.9em; }
h3 { font-size: 1em; }
pre { padding: 0.6rem; background: var(--soft); white-space: pre-wrap; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; margin: 1rem 0; font-size: 0.9em; }
th, td { padding: 0.3rem 0.6rem 0.3rem 0; text-align: left; vertical-align: top;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
nav ul { padding-left: 1.2rem; }
"""
