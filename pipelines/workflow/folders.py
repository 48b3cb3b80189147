"""What lies in a folder of the user's own, of which a workflow would see the folder's own time of change only."""

from pathlib import Path

from emlc.records.artefacts import sha256_bytes


def listing_digest(source: Path) -> str | None:
    """Return the SHA-256 over path, size and time of change of all files in a folder; None if `source` is none."""
    if not source.is_dir():
        return None
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    listing = [(str(path.relative_to(source)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256_bytes(repr(listing).encode())
