"""Markdown and HTML pages, and the report's templates."""
