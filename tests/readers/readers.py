"""Reads images with pefile and LIEF, and compares with what the tests' own readers found.

On standard input: "pe PATH" or "macho PATH" for each image, then a line for each thing in it. Each difference is a line on
standard output, and so is the number of images at the end.
"""

import sys
from collections import Counter

import lief
import pefile

different = False


def differ(path, reader, what, found):
    global different
    different = True
    print(f"{path}: {reader}: {what}: {found}")


def compare(path, reader, found, wanted, kinds):
    """`found` and `wanted`: lists of tuples, kind first."""
    found = Counter(found)
    wanted = Counter(fact for fact in wanted if fact[0] in kinds)
    for fact in sorted((wanted - found).elements())[:5]:
        differ(path, reader, "not found", fact)
    for fact in sorted((found - wanted).elements())[:5]:
        differ(path, reader, "not wanted", fact)
    for kind in kinds:
        if not any(fact[0] == kind for fact in wanted):
            differ(path, reader, "nothing to compare", kind)


def with_pefile(path, wanted):
    image = pefile.PE(path)
    for warning in image.get_warnings():
        differ(path, "pefile", "warning", warning)
    if not image.verify_checksum():
        differ(path, "pefile", "checksum", hex(image.OPTIONAL_HEADER.CheckSum))
    base = image.OPTIONAL_HEADER.ImageBase
    found = [("export", it.ordinal, it.address, it.name.decode()) for it in image.DIRECTORY_ENTRY_EXPORT.symbols]
    for library in image.DIRECTORY_ENTRY_IMPORT:
        name = library.dll.decode().lower()
        found += [("import", it.address - base, name, it.name.decode()) for it in library.imports]
    for block in image.DIRECTORY_ENTRY_BASERELOC:
        found += [("fixup", it.type, it.rva) for it in block.entries if it.type != 0]
    # The package knows the rows of x86-64 alone.
    kinds = ["export", "import", "fixup"]
    if image.FILE_HEADER.Machine == pefile.MACHINE_TYPE["IMAGE_FILE_MACHINE_AMD64"]:
        kinds.append("function")
        rows = [row.struct for row in image.DIRECTORY_ENTRY_EXCEPTION]
        found += [("function", it.BeginAddress, it.EndAddress, it.UnwindData) for it in rows]
    compare(path, "pefile", found, wanted, kinds)


def pe_with_lief(path, wanted):
    config = lief.PE.ParserConfig()
    config.parse_exceptions = True
    image = lief.PE.parse(path, config)
    good, complaint = lief.PE.check_layout(image)
    if not good or complaint:
        differ(path, "LIEF", "check_layout", complaint)
    found = [("export", it.ordinal, it.address, it.name) for it in image.get_export().entries]
    for library in image.imports:
        found += [("import", it.iat_address, library.name.lower(), it.name) for it in library.entries]
    for block in image.relocations:
        absolute = lief.PE.RelocationEntry.BASE_TYPES.ABS
        found += [("fixup", int(it.type.value) & 15, it.address) for it in block.entries if it.type != absolute]
    kinds = ["export", "import", "fixup"]
    if image.header.machine != lief.PE.Header.MACHINE_TYPES.I386:
        kinds.append("row")
        found += [("row", it.rva_start) for it in image.exceptions]
    if image.header.machine == lief.PE.Header.MACHINE_TYPES.AMD64:
        kinds.append("function")
        found += [("function", it.rva_start, it.rva_end, it.unwind_rva) for it in image.exceptions]
    compare(path, "LIEF", found, wanted, kinds)


def macho_with_lief(path, wanted):
    images = lief.MachO.parse(path)
    if len(images) != 1:
        differ(path, "LIEF", "images", len(images))
        return
    image = images.at(0)
    good, complaint = lief.MachO.check_layout(image)
    if not good or complaint:
        differ(path, "LIEF", "check_layout", complaint)
    if not any(image.uuid.uuid):
        differ(path, "LIEF", "UUID", "zero")
    libraries = {library.name: number for number, library in enumerate(image.libraries)}
    found = [("export", it.export_info.address, it.name) for it in image.exported_symbols if it.has_export_info]
    for bind in image.bindings:
        # The image itself is library 0; what is looked up everywhere has none.
        number = libraries[bind.library.name] if bind.has_library else -2
        found.append(("bind", number, bind.addend, bind.symbol.name))
    found += [("rebase", it.address) for it in image.relocations]
    found += [("start", at) for at in image.function_starts.functions]
    compare(path, "LIEF", found, wanted, ["export", "bind", "rebase", "start"])


def main():
    lief.logging.set_level(lief.logging.LEVEL.WARN)
    images = []
    for line in sys.stdin.read().splitlines():
        # What may have spaces in it comes last.
        words = line.split(" ", 1 if line.startswith(("pe ", "macho ")) else 3)
        if words[0] in ("pe", "macho"):
            images.append((words[0], words[1], []))
        else:
            images[-1][2].append(tuple(int(word) if word.lstrip("-").isdigit() else word for word in words))
    for kind, path, wanted in images:
        if kind == "pe":
            with_pefile(path, wanted)
            pe_with_lief(path, wanted)
        else:
            macho_with_lief(path, wanted)
    print(f"{len(images)} images")
    return 1 if different else 0


sys.exit(main())
