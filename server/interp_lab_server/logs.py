"""The server's own log: JSON lines, to standard error and to a file per process; never requests or results."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from interp_lab_server.sanitize import clean_text

FILE_BYTES = 2 * 2**20
FILES_KEPT = 20
"""Logs of earlier server processes that are kept in a workspace."""

_EXTRA = ("error_id", "url", "event")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean_text(record.getMessage()),
        }
        line |= {key: getattr(record, key) for key in _EXTRA if hasattr(record, key)}
        if record.exc_info:
            line["traceback"] = clean_text(self.formatException(record.exc_info))
        return json.dumps(line)


def configure_logs(folder: Path) -> None:
    """Send every log record to standard error and to `folder`; without a writable folder, to standard error alone."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _drop_old(folder)
        path = folder / f"server-{os.getpid()}.jsonl"
        handlers.append(RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.getLogger("mcp").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _drop_old(folder: Path) -> None:
    logs = sorted(folder.glob("server-*.jsonl*"), key=lambda path: path.stat().st_mtime)
    for path in logs[:-FILES_KEPT]:
        path.unlink(missing_ok=True)
