"""Files that later stages trust: records, bundles and what a user is told when one is broken."""
