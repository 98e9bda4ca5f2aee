/* What dyld and the kernel ask of an image before they map it, and a few things that only tools look at: order, alignment
 * and bounds of segments, sections and the contents of __LINKEDIT, required load commands, hashes of the signature.
 *
 * The rules are those that dyld's source (`mach_o/Header.cpp`, `mach_o/Image.cpp` and their neighbours), xnu's
 * (`bsd/kern/mach_loader.c`, `osfmk/kern/cs_blobs.h`) and that of Apple's tools (cctools' `libstuff/checkout.c`) state in
 * their error messages, as they are for the newest SDK. `tests/readers/load_rules.rs` has a table of them, and breaks each.
 */
#ifndef PKGLD_MACHO_RULES_H
#define PKGLD_MACHO_RULES_H

#include "macho.h"

static void rule(int holds, const char *what, const char *name, uint64_t found) {
    if (!holds)
        finding(what, name, found, 0);
}

static void add_blob(struct blob *blob, const char *name, uint32_t offset, uint64_t size, uint32_t align) {
    struct blob found = {name, offset, size, align};
    if (blob)
        *blob = found;
    if (size) {
        rule(macho.blob_count < 24, "too many tables", name, macho.blob_count);
        macho.blobs[macho.blob_count++] = found;
    }
}

/* The size that dyld wants a load command to have; 0 for those that end with a string or have sections. */
static uint32_t command_size(const uint8_t *at) {
    switch (u32(at)) {
    case LC_SYMTAB:
    case LC_UUID:
        return 24;
    case LC_DYSYMTAB:
        return 80;
    case LC_DYLD_INFO:
    case LC_DYLD_INFO_ONLY:
        return 48;
    case LC_BUILD_VERSION:
        return 24 + 8 * u32(at + 20);
    case LC_CODE_SIGNATURE:
    case LC_FUNCTION_STARTS:
    case LC_DATA_IN_CODE:
    case LC_DYLD_EXPORTS_TRIE:
    case LC_DYLD_CHAINED_FIXUPS:
    case LC_SOURCE_VERSION:
        return 16;
    }
    return 0;
}

/* Reads the load commands into `macho`, as far as they are of known kinds. */
static void read_commands(void) {
    const uint8_t *file = macho.file;
    if (macho.file_size < 32 || u32(file) != MH_MAGIC_64)
        give_up("not a 64-bit Mach-O file", NULL);
    macho.cpu = u32(file + 4);
#ifdef __aarch64__
    expect("the processor", NULL, macho.cpu, CPU_ARM64);
#else
    expect("the processor", NULL, macho.cpu, CPU_X86_64);
#endif
    expect("the file type", NULL, u32(file + 12), MH_DYLIB);
    uint32_t flags = u32(file + 24);
    expect("MH_DYLDLINK and MH_TWOLEVEL", NULL, flags & (MH_DYLDLINK | MH_TWOLEVEL), MH_DYLDLINK | MH_TWOLEVEL);
    uint32_t count = u32(file + 16), size = u32(file + 20);
    if (size > macho.file_size - 32)
        give_up("load commands beyond the end of the file", NULL);
    int ids = 0, uuids = 0, versions = 0, fixups = 0;
    const uint8_t *at = file + 32, *end = at + size;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t command = end - at >= 8 ? u32(at) : 0, length = end - at >= 8 ? u32(at + 4) : 0;
        if (length < 8 || length > end - at || length % 8)
            give_up("a load command of wrong size", NULL);
        if (length >= 24 || command != LC_BUILD_VERSION)
            rule(!command_size(at) || command_size(at) == length, "size of the load command", NULL, command);
        if (command_size(at) > length)
            exit(1);
        switch (command) {
        case LC_SEGMENT_64: {
            struct segment *segment = (struct segment *)at;
            rule(length == sizeof *segment + segment->sections * sizeof(struct section), "size of the command of", segment->name, length);
            if (macho.segment_count == MAX_SEGMENTS)
                give_up("too many segments", NULL);
            for (uint32_t k = 0; k < segment->sections && macho.section_count < MAX_SECTIONS; k++) {
                macho.section_segment[macho.section_count] = macho.segment_count;
                macho.sections[macho.section_count++] = (struct section *)(segment + 1) + k;
            }
            macho.segments[macho.segment_count++] = segment;
            break;
        }
        case LC_ID_DYLIB:
            ids++;
            macho.install_name = (const char *)at + u32(at + 8);
            rule(u32(at + 8) < length && memchr(macho.install_name, 0, length - u32(at + 8)) != NULL, "LC_ID_DYLIB's name", NULL, 0);
            break;
        case LC_LOAD_DYLIB:
        case LC_LOAD_WEAK_DYLIB:
        case LC_REEXPORT_DYLIB:
        case LC_LOAD_UPWARD_DYLIB:
            if (u32(at + 8) >= length || !memchr(at + u32(at + 8), 0, length - u32(at + 8)))
                give_up("the name of a library has no end", NULL);
            for (int k = 0; k < macho.dylib_count; k++)
                rule(strcmp(macho.dylibs[k], (const char *)at + u32(at + 8)) != 0, "loaded twice:", macho.dylibs[k], k);
            if (macho.dylib_count < MAX_DYLIBS)
                macho.dylibs[macho.dylib_count++] = (const char *)at + u32(at + 8);
            break;
        case LC_UUID: {
            static const uint8_t none[16];
            uuids++;
            rule(memcmp(at + 8, none, 16) != 0, "LC_UUID is zero", NULL, 0);
            break;
        }
        case LC_BUILD_VERSION:
            versions++;
            expect("the platform of LC_BUILD_VERSION", NULL, u32(at + 8), 1);
            rule(u32(at + 12) >= (macho.cpu == CPU_ARM64 ? 11 : 10) << 16, "the oldest system of LC_BUILD_VERSION", NULL, u32(at + 12));
            /* Which rules dyld enforces depends on this one. */
            rule(u32(at + 16) >= 10 << 16, "the SDK of LC_BUILD_VERSION", NULL, u32(at + 16));
            break;
        case LC_SYMTAB:
            macho.symbols = (struct symbol *)(file + u32(at + 8));
            macho.symbol_count = u32(at + 12);
            macho.strings = (const char *)file + u32(at + 16);
            macho.string_size = u32(at + 20);
            add_blob(NULL, "symbol table", u32(at + 8), (uint64_t)macho.symbol_count * 16, 8);
            add_blob(NULL, "string table", u32(at + 16), macho.string_size, 1);
            break;
        case LC_DYSYMTAB: {
            uint32_t locals = u32(at + 12), externs = u32(at + 20), undefined = u32(at + 28);
            expect("first local symbol", NULL, u32(at + 8), 0);
            expect("first external symbol", NULL, u32(at + 16), locals);
            expect("first undefined symbol", NULL, u32(at + 24), locals + externs);
            expect("symbols by LC_DYSYMTAB", NULL, (uint64_t)locals + externs + undefined, macho.symbol_count);
            expect("relocations of LC_DYSYMTAB", NULL, u32(at + 68) + (uint64_t)u32(at + 76), 0);
            macho.local_count = locals, macho.external_count = externs;
            add_blob(&macho.indirect, "indirect symbols", u32(at + 56), (uint64_t)u32(at + 60) * 4, 4);
            break;
        }
        case LC_DYLD_INFO:
        case LC_DYLD_INFO_ONLY:
            fixups++;
            add_blob(&macho.rebase, "rebase opcodes", u32(at + 8), u32(at + 12), 8);
            add_blob(&macho.bind, "bind opcodes", u32(at + 16), u32(at + 20), 8);
            add_blob(&macho.weak_bind, "weak bind opcodes", u32(at + 24), u32(at + 28), 8);
            add_blob(&macho.lazy_bind, "lazy bind opcodes", u32(at + 32), u32(at + 36), 8);
            add_blob(&macho.exports, "export trie", u32(at + 40), u32(at + 44), 8);
            break;
        case LC_DYLD_CHAINED_FIXUPS:
            fixups++;
            add_blob(&macho.chained, "chained fixups", u32(at + 8), u32(at + 12), 8);
            break;
        case LC_DYLD_EXPORTS_TRIE:
            add_blob(&macho.exports, "export trie", u32(at + 8), u32(at + 12), 8);
            break;
        case LC_FUNCTION_STARTS:
            add_blob(&macho.function_starts, "function starts", u32(at + 8), u32(at + 12), 8);
            break;
        case LC_DATA_IN_CODE:
            add_blob(&macho.data_in_code, "data in code", u32(at + 8), u32(at + 12), 8);
            break;
        case LC_CODE_SIGNATURE:
            add_blob(&macho.signature, "code signature", u32(at + 8), u32(at + 12), 16);
            break;
        case LC_RPATH:
            rule(u32(at + 8) < length && memchr(at + u32(at + 8), 0, length - u32(at + 8)), "the path of LC_RPATH has no end", NULL, i);
            break;
        case LC_SOURCE_VERSION:
            break;
        default:
            /* A command with this bit that dyld does not know keeps it from loading the file. */
            rule(!(command & 0x80000000), "unknown load command that must be understood", NULL, command);
        }
        at += length;
    }
    expect("size of all load commands", NULL, at - (file + 32), size);
    expect("LC_ID_DYLIB", NULL, ids, 1);
    expect("LC_UUID", NULL, uuids, 1);
    expect("LC_BUILD_VERSION", NULL, versions, 1);
    expect("kinds of fixups", NULL, fixups, 1);
    rule(macho.dylib_count > 0, "no library is loaded", NULL, 0);
}

static void check_segments(void) {
    const uint64_t page = macho.cpu == CPU_ARM64 ? 0x4000 : 0x1000;
    struct segment *text = segment_named("__TEXT"), *linkedit = segment_named("__LINKEDIT");
    if (!text || !linkedit)
        give_up("no __TEXT or no __LINKEDIT", NULL);
    expect("file offset of __TEXT", NULL, text->fileoff, 0);
    expect("address of __TEXT", NULL, text->vmaddr, 0);
    expect("permissions of __TEXT", NULL, text->initprot, 5);
    expect("permissions of __LINKEDIT", NULL, linkedit->initprot, 1);
    rule(linkedit == macho.segments[macho.segment_count - 1], "__LINKEDIT is not the last segment", NULL, 0);
    expect("end of __LINKEDIT in the file", NULL, linkedit->fileoff + linkedit->filesize, macho.file_size);
    rule(32 + u32(macho.file + 20) <= text->filesize, "load commands beyond __TEXT", NULL, text->filesize);
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < macho.segment_count; i++) {
        const struct segment *s = macho.segments[i];
        expect("page offset of the address of", s->name, s->vmaddr % page, 0);
        if (s != linkedit)
            expect("page offset of the size of", s->name, s->vmsize % page, 0);
        expect("page offset of the file offset of", s->name, s->fileoff % page, 0);
        rule(s->filesize <= s->vmsize, "more in the file than in memory:", s->name, s->filesize);
        rule(s->fileoff <= macho.file_size && s->filesize <= macho.file_size - s->fileoff, "beyond the file:", s->name, s->fileoff);
        rule(s->vmaddr + s->vmsize >= s->vmaddr, "wraps around:", s->name, s->vmaddr);
        rule(!(s->initprot & ~7) && !(s->maxprot & ~7) && !(s->initprot & ~s->maxprot), "permissions of", s->name, s->initprot);
        rule((s->initprot & 6) != 6, "writable and executable:", s->name, s->initprot);
        if (!strcmp(s->name, "__DATA") || !strcmp(s->name, "__DATA_CONST"))
            expect("permissions of", s->name, s->initprot, 3);
        if (!strcmp(s->name, "__DATA_CONST"))
            expect("SG_READ_ONLY of", s->name, s->flags & SG_READ_ONLY, SG_READ_ONLY);
        for (int k = 0; k < i; k++)
            rule(strncmp(s->name, macho.segments[k]->name, 16) != 0, "two segments are called", s->name, i);
        if (i > 0) {
            const struct segment *before = macho.segments[i - 1];
            rule(s->vmaddr >= before->vmaddr + before->vmsize, "address out of order:", s->name, s->vmaddr);
            rule(!s->filesize || s->fileoff >= before->fileoff + before->filesize, "file offset out of order:", s->name, s->fileoff);
        }
    }
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        const struct segment *in = macho.segments[macho.section_segment[i]];
        rule(!strncmp(s->segment, in->name, 16), "section of another segment:", s->name, i);
        rule(s->addr >= in->vmaddr && s->size <= in->vmsize && s->addr - in->vmaddr <= in->vmsize - s->size, "section outside of its segment:", s->name, s->addr);
        rule(s->align < 16 && s->addr % ((uint64_t)1 << s->align) == 0, "alignment of the section", s->name, s->addr);
        expect("relocations of the section", s->name, s->nreloc, 0);
        if (!is_zerofill(s)) {
            if (s->size)
                expect("file offset of the section", s->name, s->offset, in->fileoff + (s->addr - in->vmaddr));
            rule(s->addr - in->vmaddr + s->size <= in->filesize, "contents beyond the segment's:", s->name, s->size);
            if (in == text && s->size && s->offset < first)
                first = s->offset;
        }
        for (int k = 0; k < i; k++) {
            const struct section *other = macho.sections[k];
            rule(s->addr + s->size <= other->addr || other->addr + other->size <= s->addr || !s->size || !other->size, "sections overlap:", s->name, s->addr);
        }
    }
    rule(32 + u32(macho.file + 20) <= first, "load commands overlap the first section", NULL, first);
}

/* Tools that rewrite a file (strip, install_name_tool, codesign_allocate) want its tables in this order, without a gap but
 * to a multiple of 8 before the strings, and of 16 before the signature. */
static void check_linkedit_order(void) {
    static const char *const order[] = {"rebase opcodes",  "bind opcodes", "weak bind opcodes", "lazy bind opcodes", "chained fixups", "export trie",
                                        "function starts", "data in code", "symbol table",      "indirect symbols",  "string table",   "code signature"};
    uint64_t end = segment_named("__LINKEDIT")->fileoff;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (int k = 0; k < macho.blob_count; k++) {
            const struct blob *b = &macho.blobs[k];
            if (strcmp(b->name, order[i]))
                continue;
            uint64_t align = i == 10 ? 8 : i == 11 ? 16 : 1;
            expect("out of place:", b->name, b->offset, (end + align - 1) & ~(align - 1));
            end = b->offset + b->size;
        }
    expect("end of the tables", NULL, end, macho.file_size);
}

/* The tables of __LINKEDIT: inside, aligned, apart from each other. */
static void check_linkedit(void) {
    const struct segment *linkedit = segment_named("__LINKEDIT");
    for (int i = 0; i < macho.blob_count; i++) {
        const struct blob *b = &macho.blobs[i];
        rule(b->offset >= linkedit->fileoff && b->offset + b->size <= linkedit->fileoff + linkedit->filesize, "outside of __LINKEDIT:", b->name, b->offset);
        expect("alignment of", b->name, b->offset % b->align, 0);
        for (int k = 0; k < i; k++)
            rule(b->offset + b->size <= macho.blobs[k].offset || macho.blobs[k].offset + macho.blobs[k].size <= b->offset, "tables overlap:", b->name, b->offset);
    }
    check_linkedit_order();
    if (findings)
        exit(1);
    rule(macho.string_size && macho.strings[macho.string_size - 1] == 0, "the string table does not end with a zero", NULL, 0);
    for (uint32_t i = 0; i < macho.symbol_count; i++) {
        const struct symbol *s = &macho.symbols[i];
        if (s->name >= macho.string_size)
            give_up("a symbol's name beyond the string table", NULL);
        const char *name = macho.strings + s->name;
        /* Local ones, those for others, and those from others, which have the number of a library or 0xfe for all of them. */
        int external = s->type & N_EXT && !(s->type & N_STAB), undefined = !(s->type & (N_STAB | N_TYPE));
        if (i < macho.local_count)
            rule(!external || s->type & N_PEXT, "among local symbols:", name, s->type);
        else if (i < macho.local_count + macho.external_count)
            rule(external && !undefined, "among symbols for others:", name, s->type);
        else
            rule(external && undefined, "among undefined symbols:", name, s->type);
        if (external && undefined)
            rule(s->description >> 8 <= macho.dylib_count || s->description >> 8 == 0xfe, "library of the undefined symbol", name, s->description >> 8);
        if (!(s->type & N_STAB) && (s->type & N_TYPE) == N_SECT) {
            rule(s->section >= 1 && s->section <= macho.section_count, "section number of", name, s->section);
            const struct section *in = s->section >= 1 && s->section <= macho.section_count ? macho.sections[s->section - 1] : NULL;
            rule(!in || (s->value >= in->addr && s->value <= in->addr + in->size), "address of", name, s->value);
        }
    }
    for (int i = 0; i < macho.section_count; i++) {
        const struct section *s = macho.sections[i];
        uint32_t type = s->flags & 0xff;
        if (type != S_NON_LAZY_SYMBOL_POINTERS && type != S_LAZY_SYMBOL_POINTERS && type != S_SYMBOL_STUBS)
            continue;
        uint64_t width = type == S_SYMBOL_STUBS ? s->reserved2 : 8;
        rule(width && s->size % width == 0, "size of", s->name, s->size);
        uint64_t count = width ? s->size / width : 0;
        if ((s->reserved1 + count) * 4 > macho.indirect.size) {
            finding("indirect symbols of", s->name, s->reserved1 + count, macho.indirect.size / 4);
            continue;
        }
        for (uint64_t k = 0; k < count; k++) {
            uint32_t index = u32(macho.file + macho.indirect.offset + (s->reserved1 + k) * 4);
            /* INDIRECT_SYMBOL_LOCAL and INDIRECT_SYMBOL_ABS are no indices. */
            rule(index < macho.symbol_count || index & 0xc0000000, "an indirect symbol of", s->name, index);
        }
    }
}

/* Every function that the symbol table names begins where LC_FUNCTION_STARTS says that one does, in rising order. */
static void check_function_starts(void) {
    const uint8_t *at = macho.file + macho.function_starts.offset, *end = at + macho.function_starts.size;
    uint64_t *starts = allocate(macho.function_starts.size + 1, sizeof *starts), count = 0, address = 0;
    int ended = 0;
    while (at < end && !ended) {
        uint64_t step = read_uleb(&at, end);
        if (step)
            starts[count++] = address += step;
        ended = !step;
    }
    rule(ended, "the function starts have no end", NULL, count);
    const struct section *text = section_named("__TEXT", "__text");
    for (uint64_t i = 0; i < count; i++) {
        int in_code = 0;
        for (int k = 0; k < macho.section_count; k++) {
            const struct section *s = macho.sections[k];
            in_code |= s->flags & S_ATTR_INSTRUCTIONS && starts[i] >= s->addr && starts[i] <= s->addr + s->size;
        }
        rule(in_code, "a function start outside of code", NULL, starts[i]);
    }
    for (uint32_t i = 0; i < macho.symbol_count; i++) {
        const struct symbol *s = &macho.symbols[i];
        if (s->type & N_STAB || (s->type & N_TYPE) != N_SECT || s->section > macho.section_count || macho.sections[s->section - 1] != text)
            continue;
        uint64_t low = 0, high = count;
        while (low < high) {
            uint64_t middle = (low + high) / 2;
            if (starts[middle] < s->value)
                low = middle + 1;
            else
                high = middle;
        }
        rule(low < count && starts[low] == s->value, "no function start:", macho.strings + s->name, s->value);
    }
    free(starts);
}

/* Data in code: in the order of their offsets, apart, in code. */
static void check_data_in_code(void) {
    const uint8_t *at = macho.file + macho.data_in_code.offset;
    const struct section *text = section_named("__TEXT", "__text");
    expect("size of the data in code", NULL, macho.data_in_code.size % 8, 0);
    for (uint64_t i = 0, last = 0; i + 8 <= macho.data_in_code.size; i += 8) {
        uint64_t start = u32(at + i), end = start + (u32(at + i + 4) & 0xffff);
        rule(start >= last && end > start, "data in code out of order", NULL, start);
        rule(text && start >= text->addr && end <= text->addr + text->size, "data in code outside of __text", NULL, start);
        last = end;
    }
}

/* Every node of the export trie once, each inside, with what dyld knows; the number of names. */
static uint32_t check_trie_node(uint64_t offset, uint8_t *seen, int depth) {
    const uint8_t *start = macho.file + macho.exports.offset, *end = start + macho.exports.size, *at = start + offset;
    if (offset >= macho.exports.size || depth > 2000)
        give_up("export trie: a node beyond its end", NULL);
    if (seen[offset]++)
        give_up("export trie: a node is reached twice", NULL);
    uint64_t terminal = read_uleb(&at, end);
    if (terminal >= (uint64_t)(end - at))
        give_up("export trie: a terminal beyond its end", NULL);
    const uint8_t *children = at + terminal;
    if (terminal) {
        uint64_t flags = read_uleb(&at, children), address = read_uleb(&at, children);
        rule(!(flags >> 6) && (flags & 3) != 3, "export trie: flags", NULL, flags);
        rule((flags & 3) == 2 || address < macho.segments[macho.segment_count - 1]->vmaddr, "export trie: address", NULL, address);
        rule(at == children, "export trie: size of a terminal", NULL, terminal);
    }
    uint32_t names = terminal != 0;
    for (uint8_t count = *children++; count; count--) {
        if (children >= end || !memchr(children, 0, end - children))
            give_up("export trie: the name of an edge has no end", NULL);
        children += strlen((const char *)children) + 1;
        names += check_trie_node(read_uleb(&children, end), seen, depth + 1);
    }
    return names;
}

static void check_trie(void) {
    uint32_t exported = 0;
    for (uint32_t i = macho.local_count; i < macho.local_count + macho.external_count; i++)
        exported += !(macho.symbols[i].type & N_PEXT);
    uint8_t *seen = allocate(macho.exports.size, 1);
    expect("names in the export trie", NULL, macho.exports.size ? check_trie_node(0, seen, 0) : 0, exported);
    free(seen);
}

/* SHA-256 (FIPS 180-4). */
static void sha256(const uint8_t *data, uint64_t size, uint8_t out[32]) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint64_t blocks = (size + 9 + 63) / 64;
    for (uint64_t block = 0; block < blocks; block++) {
        uint8_t bytes[64];
        for (uint64_t i = 0; i < 64; i++) {
            uint64_t at = block * 64 + i;
            bytes[i] = at < size ? data[at] : at == size ? 0x80 : block == blocks - 1 && i >= 56 ? (size * 8) >> (8 * (63 - i)) : 0;
        }
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)bytes[4 * i] << 24 | bytes[4 * i + 1] << 16 | bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + w[i - 7] + (ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3) +
                   (ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t a = v[7] + (ROTATE(v[4], 6) ^ ROTATE(v[4], 11) ^ ROTATE(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
            uint32_t b = (ROTATE(v[0], 2) ^ ROTATE(v[0], 13) ^ ROTATE(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += a;
            v[0] = a + b;
        }
        for (int i = 0; i < 8; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 32; i++)
        out[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

static uint32_t be32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }
static uint64_t be64(const uint8_t *at) { return (uint64_t)be32(at) << 32 | be32(at + 4); }

/* An ad-hoc signature as linkers make it: one code directory, whose hashes are those of the pages before it. Without it
 * no arm64 kernel maps the file. */
static void check_signature(void) {
    if (!macho.signature.size) {
        rule(macho.cpu != CPU_ARM64, "no code signature", NULL, 0);
        return;
    }
    const struct segment *text = segment_named("__TEXT");
    const uint8_t *blob = macho.file + macho.signature.offset, *directory = NULL;
    uint64_t size = macho.signature.size;
    if (size < 12 || be32(blob) != 0xfade0cc0 || be32(blob + 4) > size)
        give_up("the signature is no super blob", NULL);
    uint32_t count = be32(blob + 8);
    for (uint32_t i = 0; i < count && 12 + 8 * (uint64_t)(i + 1) <= size; i++)
        if (be32(blob + 12 + 8 * i) == 0)
            directory = blob + be32(blob + 16 + 8 * i);
    if (!directory || directory > blob + size - 88 || be32(directory) != 0xfade0c02 || be32(directory + 4) > size - (directory - blob))
        give_up("the signature has no code directory", NULL);
    uint32_t version = be32(directory + 8), flags = be32(directory + 12), hashes = be32(directory + 16);
    uint32_t identifier = be32(directory + 20), slots = be32(directory + 28), limit = be32(directory + 32);
    uint32_t length = be32(directory + 4);
    rule(version >= 0x20400, "version of the code directory", NULL, version);
    expect("flags of the code directory", NULL, flags, 0x20002);
    expect("end of what is signed", NULL, limit, macho.signature.offset);
    expect("size and kind of hashes", NULL, directory[36] << 8 | directory[37], 32 << 8 | 2);
    rule(directory[39] == 12 || directory[39] == 14, "page size of the signature", NULL, directory[39]);
    uint64_t page = (uint64_t)1 << directory[39];
    expect("pages of the signature", NULL, slots, (limit + page - 1) / page);
    rule(identifier < length && memchr(directory + identifier, 0, length - identifier) && directory[identifier], "identifier of the signature", NULL, identifier);
    expect("executable segment's base", NULL, be64(directory + 64), text->fileoff);
    expect("executable segment's limit", NULL, be64(directory + 72), text->filesize);
    if (hashes + (uint64_t)slots * 32 > length || limit > macho.file_size)
        give_up("hashes beyond the code directory", NULL);
    /* Big images have many pages without anything. */
    uint8_t *nothing = allocate(page, 1), hash_of_nothing[32];
    sha256(nothing, page, hash_of_nothing);
    for (uint32_t i = 0; i < slots; i++) {
        uint8_t hash[32];
        uint64_t start = i * page;
        if (limit - start >= page && !memcmp(macho.file + start, nothing, page))
            memcpy(hash, hash_of_nothing, sizeof hash);
        else
            sha256(macho.file + start, limit - start < page ? limit - start : page, hash);
        rule(!memcmp(hash, directory + hashes + 32 * i, 32), "hash of a page", NULL, i);
    }
    free(nothing);
}

static void check_rules(void) {
    read_commands();
    check_segments();
    check_linkedit();
    check_function_starts();
    check_data_in_code();
    check_trie();
    check_signature();
    if (findings)
        exit(1);
}

#endif
