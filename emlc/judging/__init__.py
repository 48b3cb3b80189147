"""From results and published numbers to verdicts: cells, statistics, comparison, claims. No torch."""
