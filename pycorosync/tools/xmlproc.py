"""corosync-xmlproc: makes a corosync.conf of corosync.xml(5) (corosync: tools/corosync-xmlproc.sh,
conf/xml2conf.xsl).

Elements become sections and attributes options, in their order; text and comments are dropped. A document
with another root than <corosync> makes an empty file, and with a name for that, none.

Compatibility: a broken document is refused with xsltproc's first line and status, the words of which are
those of libxml2 for the usual faults only; prefixes without a namespace are not complained of; nothing
outside of the document is read. A file that cannot be written is an error, which xsltproc keeps to itself.
"""

import os
import sys
import time
from typing import Final, NoReturn
from xml.parsers import expat

from pycorosync.tools.common import EXIT_FAILURE, EXIT_SUCCESS, complain, run_tool

USAGE: Final = """\
{program} input_config [output]
	where input_config is valid XML configuration file
"""
ROOT: Final = "corosync"
INDENT: Final = "    "
DEPTH_MAX: Final = 1000
EXIT_UNREADABLE: Final = 6  # xsltproc's
EXIT_UNWRITABLE: Final = 11


class BrokenDocument(Exception):
    """Not XML; the text is what xsltproc says."""


class Converter:
    """One document: the text is complete when the parser has seen its end."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._text: list[str] = []
        self._open: list[tuple[str, int]] = []  # elements, and the line where each begins
        self._wanted = False
        self.parser = expat.ParserCreate()
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    @property
    def text(self) -> str:
        return "".join(self._text)

    def _start(self, name: str, attributes: list[str]) -> None:
        depth = len(self._open)
        if depth > DEPTH_MAX:
            raise BrokenDocument(f"{name}: sections are nested too deeply")
        self._open.append((name, self.parser.CurrentLineNumber))
        if depth == 0:
            self._wanted = name == ROOT
        if not self._wanted:
            return
        self._text.append(f"\n\n{INDENT * (depth - 1)}{name} {{" if depth else self._head)
        for option, value in zip(attributes[::2], attributes[1::2], strict=True):
            if option != "xmlns" and not option.startswith("xmlns:"):
                self._text.append(f"\n{INDENT * depth}{option}: {value}")

    def _end(self, _name: str) -> None:
        self._open.pop()
        depth = len(self._open)
        if self._wanted:
            self._text.append(f"\n{INDENT * (depth - 1)}}}" if depth else "\n")

    def explain(self, path: str, data: bytes, fault: expat.ExpatError) -> BrokenDocument:
        """In the words of libxml2, where it has the same idea of what is wrong."""
        lines = data.split(b"\n")
        line = lines[min(fault.lineno, len(lines)) - 1].decode(errors="replace")
        words, column = expat.errors.messages[fault.code], fault.offset
        match words:
            case expat.errors.XML_ERROR_NO_ELEMENTS if not self._open:
                return BrokenDocument(f"{path}:1: parser error : Document is empty\n\n^")
            case expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
                words = "Extra content at the end of the document"
            case expat.errors.XML_ERROR_TAG_MISMATCH:
                name, begun = self._open[-1]
                closing, end, _ = line[column:].partition(">")
                words = f"Opening and ending tag mismatch: {name} line {begun} and {closing.strip()}"
                column += len(closing) + len(end)
        return BrokenDocument(f"{path}:{fault.lineno}: parser error : {words}\n{line}\n{' ' * column}^")


def convert(path: str, data: bytes, date: str) -> str:
    """The configuration. Raises BrokenDocument."""
    converter = Converter(f"# Corosync configuration file generated from {path} at {date}")
    try:
        converter.parser.Parse(data, True)
    except expat.ExpatError as fault:
        raise converter.explain(path, data, fault) from fault
    except (LookupError, ValueError) as fault:
        raise BrokenDocument(f"{path}:1: parser error : {fault}") from fault
    return converter.text


def date_and_time(now: time.struct_time) -> str:
    """As XML Schema writes it."""
    minutes = now.tm_gmtoff // 60
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "Z"
    return time.strftime("%Y-%m-%dT%H:%M:%S", now) + zone


def main(arguments: list[str]) -> int:
    """Convert one file; returns the exit status."""
    source, target = (*arguments, "", "")[:2]
    if not source:
        # Not as it was called: of a script the kernel has made its whole path.
        print(USAGE.format(program=os.path.basename(sys.argv[0])), end="")
        return EXIT_FAILURE
    try:
        with open(source, "rb") as file:
            data = file.read()
    except OSError:
        complain(f'warning: failed to load external entity "{source}"\nunable to parse {source}')
        return EXIT_UNREADABLE
    try:
        text = convert(source, data, date_and_time(time.localtime()))
    except BrokenDocument as broken:
        complain(f"{broken}\nunable to parse {source}")
        return EXIT_UNREADABLE
    if not target:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return EXIT_SUCCESS
    try:
        if text:
            with open(target, "w", encoding="utf-8", errors="surrogateescape") as file_:
                file_.write(text)
    except OSError as fault:
        complain(f"corosync-xmlproc: {target}: {fault.strerror}")
        return EXIT_UNWRITABLE
    return EXIT_SUCCESS


def run() -> NoReturn:
    """The command corosync-xmlproc."""
    run_tool(main)
