"""Plumbing that the jobs share: recipes, session, files, documents, outcomes, ledger."""
