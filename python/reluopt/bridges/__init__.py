"""Questions that become other questions: one file for each bridge.

A bridge *lifts* a task to another task of another network, which attacks and engines know how to
solve, and *lowers* what they find.
"""
