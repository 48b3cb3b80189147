"""The claim ledger: what the paper says in words, as expressions over published and measured numbers."""
