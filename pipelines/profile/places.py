"""Where the repository lies."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROFILE = ROOT / "config" / "config.yaml"
PUBLISHED = ROOT / "published"
