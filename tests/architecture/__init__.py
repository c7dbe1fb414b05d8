"""What may know what: the borders of the design, each as a rule that a machine can check.

A rule (`rules_*.py`) looks at a tree of sources and returns complaints. `test_rules.py` wants none from this
tree; `test_broken.py` copies the tree, breaks each border by one line, and wants the rule to say so, because
a rule that cannot fail keeps nothing. Whoever moves a border changes the rule in the same commit.
"""
