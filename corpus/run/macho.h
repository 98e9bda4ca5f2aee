/* An image file of macOS in memory: its load commands (mach-o/loader.h, mach-o/fixup-chains.h of Apple's dyld and xnu),
 * read as they are defined there for 64-bit little-endian machines.
 */
#ifndef PKGLD_MACHO_H
#define PKGLD_MACHO_H

#include "image.h"

enum {
    MH_MAGIC_64 = 0xfeedfacf,
    MH_DYLIB = 6,
    MH_DYLDLINK = 0x4,
    MH_TWOLEVEL = 0x80,
    MH_HAS_TLV_DESCRIPTORS = 0x800000,
    CPU_X86_64 = 0x01000007,
    CPU_ARM64 = 0x0100000c,
    LC_SYMTAB = 0x2,
    LC_DYSYMTAB = 0xb,
    LC_LOAD_DYLIB = 0xc,
    LC_ID_DYLIB = 0xd,
    LC_SEGMENT_64 = 0x19,
    LC_UUID = 0x1b,
    LC_RPATH = 0x8000001c,
    LC_CODE_SIGNATURE = 0x1d,
    LC_LOAD_WEAK_DYLIB = 0x80000018,
    LC_REEXPORT_DYLIB = 0x8000001f,
    LC_LOAD_UPWARD_DYLIB = 0x80000023,
    LC_DYLD_INFO = 0x22,
    LC_DYLD_INFO_ONLY = 0x80000022,
    LC_FUNCTION_STARTS = 0x26,
    LC_DATA_IN_CODE = 0x29,
    LC_SOURCE_VERSION = 0x2a,
    LC_BUILD_VERSION = 0x32,
    LC_DYLD_EXPORTS_TRIE = 0x80000033,
    LC_DYLD_CHAINED_FIXUPS = 0x80000034,
    SG_READ_ONLY = 0x10,
    S_ATTR_INSTRUCTIONS = (int)0x80000400,
    S_ZEROFILL = 0x1,
    S_NON_LAZY_SYMBOL_POINTERS = 0x6,
    S_LAZY_SYMBOL_POINTERS = 0x7,
    S_SYMBOL_STUBS = 0x8,
    S_MOD_INIT_FUNC_POINTERS = 0x9,
    S_GB_ZEROFILL = 0xc,
    S_THREAD_LOCAL_REGULAR = 0x11,
    S_THREAD_LOCAL_ZEROFILL = 0x12,
    S_THREAD_LOCAL_VARIABLES = 0x13,
    S_INIT_FUNC_OFFSETS = 0x16,
    N_STAB = 0xe0,
    N_TYPE = 0x0e,
    N_SECT = 0x0e,
    N_PEXT = 0x10,
    N_EXT = 0x01,
};

struct segment {
    uint32_t command, size;
    char name[16];
    uint64_t vmaddr, vmsize, fileoff, filesize;
    uint32_t maxprot, initprot, sections, flags;
};

struct section {
    char name[16], segment[16];
    uint64_t addr, size;
    uint32_t offset, align, reloff, nreloc, flags, reserved1, reserved2, reserved3;
};

struct symbol {
    uint32_t name;
    uint8_t type, section;
    uint16_t description;
    uint64_t value;
};

/* A range of the file that a load command names. */
struct blob {
    const char *name;
    uint64_t offset, size;
    uint32_t align;
};

#define MAX_SEGMENTS 32
#define MAX_SECTIONS 255
#define MAX_DYLIBS 64

static struct {
    const uint8_t *file;
    uint64_t file_size;
    uint32_t cpu;
    struct segment *segments[MAX_SEGMENTS];
    int segment_count;
    struct section *sections[MAX_SECTIONS];
    /* The segment that each section is listed in. */
    int section_segment[MAX_SECTIONS];
    int section_count;
    const char *dylibs[MAX_DYLIBS];
    int dylib_count;
    const char *install_name;
    struct symbol *symbols;
    uint32_t symbol_count, local_count, external_count;
    const char *strings;
    uint32_t string_size;
    struct blob blobs[24];
    int blob_count;
    struct blob chained, exports, rebase, bind, weak_bind, lazy_bind, function_starts, data_in_code, signature, indirect;
    /* From addresses of the file to those of memory. */
    uintptr_t slide;
} macho;

static uint32_t u32(const void *at) {
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static uint64_t u64(const void *at) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static struct section *section_named(const char *segment, const char *name) {
    for (int i = 0; i < macho.section_count; i++)
        if (!strncmp(macho.sections[i]->segment, segment, 16) && !strncmp(macho.sections[i]->name, name, 16))
            return macho.sections[i];
    return NULL;
}

static struct section *section_of_type(uint32_t type) {
    for (int i = 0; i < macho.section_count; i++)
        if ((macho.sections[i]->flags & 0xff) == type)
            return macho.sections[i];
    return NULL;
}

static struct segment *segment_named(const char *name) {
    for (int i = 0; i < macho.segment_count; i++)
        if (!strncmp(macho.segments[i]->name, name, 16))
            return macho.segments[i];
    return NULL;
}

static int is_zerofill(const struct section *section) {
    uint32_t type = section->flags & 0xff;
    return type == S_ZEROFILL || type == S_GB_ZEROFILL || type == S_THREAD_LOCAL_ZEROFILL;
}

static uint64_t read_uleb(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    give_up("a number of variable length has no end", NULL);
    return 0;
}

static int64_t read_sleb(const uint8_t **at, const uint8_t *end) {
    int64_t value = 0;
    for (int shift = 0; *at < end && shift < 64;) {
        uint8_t byte = *(*at)++;
        value |= (int64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (!(byte & 0x80))
            return shift < 64 && byte & 0x40 ? value | -((int64_t)1 << shift) : value;
    }
    give_up("a number of variable length has no end", NULL);
    return 0;
}

#endif
