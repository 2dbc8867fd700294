"""How learners that others wrote, and one that is written for a compiler, fare on the problems of this package.

``python -m tests.bench.peers --out FOLDER`` measures and writes the table; it needs the extra ``peers``.
"""
