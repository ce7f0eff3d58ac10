"""Golden texts of explanations: what a node answers as JSON, and what the command draws of it.

    site      a small simulated cluster that is asked over the native API
    stories   what happens in it, and what is asked then

`python -m tests.explanations --rewrite` accepts what the stories give now; read the diff.
"""
