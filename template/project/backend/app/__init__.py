"""Yours: who answers, and what goes with it. core/ is the template's, and needs no edits."""
