/* Unwinds through an image by its __unwind_info (mach-o/compact_unwind_encoding.h), and by the rows of __eh_frame
 * (DWARF 4, section 6.4) where that says so, as libunwind on macOS does.
 */
#ifndef PKGLD_MACHO_UNWIND_H
#define PKGLD_MACHO_UNWIND_H

#include "macho.h"

/* Registers by their DWARF numbers: 0 to 16 on x86-64, of which 16 is the return address; 0 to 30 and 31, the stack
 * pointer, on arm64, and d0 to d31 from 64. */
#define REGISTERS 96
#ifdef __aarch64__
enum { SP = 31, FP = 29, RETURN = 30 };
#else
enum { SP = 7, FP = 6, RETURN = 16 };
#endif

struct frame {
    uintptr_t pc;
    uintptr_t r[REGISTERS];
};

static uintptr_t load_word(uintptr_t at) {
    uintptr_t word;
    memcpy(&word, (const void *)at, sizeof word);
    return word;
}

static int is_in_image(uintptr_t address) {
    const struct segment *linkedit = macho.segments[macho.segment_count - 1];
    return address - macho.slide < linkedit->vmaddr + linkedit->vmsize;
}

/* The encoding for the function that has `pc`, and where that function begins; 0 for none. */
static uint32_t compact_encoding(uintptr_t pc, uintptr_t *function) {
    const struct section *section = section_named("__TEXT", "__unwind_info");
    if (!section)
        give_up("no __unwind_info", NULL);
    const uint8_t *info = (const uint8_t *)(section->addr + macho.slide);
    expect("version of __unwind_info", NULL, u32(info), 1);
    uint32_t common = u32(info + 4), commons = u32(info + 8), index = u32(info + 20), count = u32(info + 24);
    uint32_t offset = pc - macho.slide, low = 0;
    if (index + 12 * (uint64_t)count > section->size || count < 2)
        give_up("the index of __unwind_info", NULL);
    for (uint32_t i = 1; i < count; i++)
        rule(u32(info + index + 12 * i) >= u32(info + index + 12 * (i - 1)), "index of __unwind_info out of order", NULL, i);
    while (low + 1 < count && u32(info + index + 12 * (low + 1)) <= offset)
        low++;
    const uint8_t *entry = info + index + 12 * low;
    uint32_t page_offset = u32(entry + 4), base = u32(entry);
    if (offset < base || !page_offset || page_offset + 8 > section->size)
        return 0;
    const uint8_t *page = info + page_offset;
    uint16_t entries, number;
    memcpy(&entries, page + 4, 2), memcpy(&number, page + 6, 2);
    const uint8_t *at = page + entries;
    uint32_t found = UINT32_MAX, start = 0, previous = 0;
    if (u32(page) == 2) {
        for (uint32_t i = 0; i < number; i++) {
            uint32_t begin = u32(at + 8 * i);
            rule(begin >= previous, "page of __unwind_info out of order", NULL, begin);
            if (begin <= offset)
                found = i, start = begin;
            previous = begin;
        }
        *function = macho.slide + start;
        return found == UINT32_MAX ? 0 : u32(at + 8 * found + 4);
    }
    expect("kind of a page of __unwind_info", NULL, u32(page), 3);
    for (uint32_t i = 0; i < number; i++) {
        uint32_t begin = base + (u32(at + 4 * i) & 0xffffff);
        rule(begin >= previous, "page of __unwind_info out of order", NULL, begin);
        if (begin <= offset)
            found = i, start = begin;
        previous = begin;
    }
    if (found == UINT32_MAX)
        return 0;
    *function = macho.slide + start;
    uint32_t encoding = u32(at + 4 * found) >> 24;
    if (encoding < commons)
        return u32(info + common + 4 * encoding);
    uint16_t own, owns;
    memcpy(&own, page + 8, 2), memcpy(&owns, page + 10, 2);
    rule(encoding - commons < owns, "encoding beyond the page's", NULL, encoding);
    return u32(page + own + 4 * (encoding - commons));
}

/* DWARF: an encoded pointer, of the kinds that LLVM writes for macOS. */
static uintptr_t read_encoded(const uint8_t **at, const uint8_t *end, uint8_t encoding) {
    const uint8_t *start = *at;
    uintptr_t value;
    if (end - start < 8)
        give_up("__eh_frame ends within a pointer", NULL);
    switch (encoding & 0xf) {
    case 0x0:
    case 0x4:
    case 0xc:
        value = u64(start), *at += 8;
        break;
    case 0x3:
        value = u32(start), *at += 4;
        break;
    case 0xb:
        value = (intptr_t)(int32_t)u32(start), *at += 4;
        break;
    default:
        give_up("pointer encoding of __eh_frame", NULL);
        return 0;
    }
    if (value && (encoding & 0x70) == 0x10)
        value += (uintptr_t)start;
    if (value && encoding & 0x80)
        value = load_word(value);
    return value;
}

struct row {
    uint32_t cfa_register;
    int64_t cfa_offset;
    /* 0: as before; 1: at CFA + value; 2: in another register. */
    uint8_t kind[REGISTERS];
    int64_t value[REGISTERS];
};

/* Executes call frame instructions up to `pc`. */
static void execute(const uint8_t *at, const uint8_t *end, uintptr_t start, uintptr_t pc, uint64_t code_align,
                    int64_t data_align, struct row *row, const struct row *initial) {
    static struct row stack[8];
    int depth = 0;
    uintptr_t here = start;
    while (at < end && here <= pc) {
        uint8_t op = *at++;
        uint64_t reg = op & 0x3f;
        switch (op & 0xc0) {
        case 0x40:
            here += reg * code_align;
            continue;
        case 0x80:
            if (reg < REGISTERS)
                row->kind[reg] = 1, row->value[reg] = (int64_t)read_uleb(&at, end) * data_align;
            continue;
        case 0xc0:
            if (reg < REGISTERS && initial)
                row->kind[reg] = initial->kind[reg], row->value[reg] = initial->value[reg];
            continue;
        }
        switch (op) {
        case 0x00:
            break;
        case 0x02:
            here += *at++ * code_align;
            break;
        case 0x03:
            here += (at[0] | at[1] << 8) * code_align, at += 2;
            break;
        case 0x04:
            here += u32(at) * code_align, at += 4;
            break;
        case 0x05:
            reg = read_uleb(&at, end);
            if (reg < REGISTERS)
                row->kind[reg] = 1, row->value[reg] = (int64_t)read_uleb(&at, end) * data_align;
            break;
        case 0x08:
            reg = read_uleb(&at, end);
            if (reg < REGISTERS)
                row->kind[reg] = 0;
            break;
        case 0x09:
            reg = read_uleb(&at, end);
            if (reg < REGISTERS)
                row->kind[reg] = 2, row->value[reg] = read_uleb(&at, end);
            break;
        case 0x0a:
            if (depth < 8)
                stack[depth++] = *row;
            break;
        case 0x0b:
            if (depth > 0)
                *row = stack[--depth];
            break;
        case 0x0c:
            row->cfa_register = read_uleb(&at, end), row->cfa_offset = read_uleb(&at, end);
            break;
        case 0x0d:
            row->cfa_register = read_uleb(&at, end);
            break;
        case 0x0e:
            row->cfa_offset = read_uleb(&at, end);
            break;
        case 0x2e:
            read_uleb(&at, end);
            break;
        default:
            finding("instruction of __eh_frame", NULL, op, 0);
            return;
        }
    }
}

/* Steps by the entry at `offset` of __eh_frame, which must be the one of `function`. */
static int step_dwarf(struct frame *frame, uint32_t offset, uintptr_t function) {
    const struct section *section = section_named("__TEXT", "__eh_frame");
    if (!section || offset + 12 > section->size) {
        finding("entry beyond __eh_frame", NULL, offset, section ? section->size : 0);
        return 0;
    }
    const uint8_t *start = (const uint8_t *)(section->addr + macho.slide), *fde = start + offset, *fde_end = fde + 4 + u32(fde);
    const uint8_t *cie = fde + 4 - u32(fde + 4);
    if (cie < start || cie >= fde || u32(cie + 4) != 0 || fde_end > start + section->size) {
        finding("common entry of the entry of __eh_frame", NULL, offset, 0);
        return 0;
    }
    const uint8_t *at = cie + 8, *cie_end = cie + 4 + u32(cie);
    at++;
    const char *augmentation = (const char *)at;
    at += strlen(augmentation) + 1;
    uint64_t code_align = read_uleb(&at, cie_end);
    int64_t data_align = read_sleb(&at, cie_end);
    uint64_t return_register = read_uleb(&at, cie_end);
    uint8_t pointer = 0;
    if (*augmentation == 'z') {
        const uint8_t *data_end = at + read_uleb(&at, cie_end);
        for (const char *letter = augmentation + 1; *letter; letter++) {
            if (*letter == 'R') {
                pointer = *at++;
            } else if (*letter == 'L') {
                at++;
            } else if (*letter == 'P') {
                uint8_t encoding = *at++;
                read_encoded(&at, cie_end, encoding);
            }
        }
        (void)data_end;
    }
    struct row initial = {0}, row;
    const uint8_t *instructions = at;
    at = fde + 8;
    uintptr_t begin = read_encoded(&at, fde_end, pointer), length = read_encoded(&at, fde_end, pointer & 0xf);
    expect("function of the entry of __eh_frame", NULL, begin - macho.slide, function - macho.slide);
    rule(frame->pc >= begin && frame->pc - 1 < begin + length, "extent of the entry of __eh_frame", NULL, frame->pc - macho.slide);
    if (*augmentation == 'z') {
        uint64_t skip = read_uleb(&at, fde_end);
        at += skip;
    }
    execute(instructions, cie_end, 0, 0, code_align, data_align, &initial, NULL);
    row = initial;
    execute(at, fde_end, begin, frame->pc - 1, code_align, data_align, &row, &initial);
    if (row.cfa_register >= REGISTERS || return_register >= REGISTERS)
        return 0;
    uintptr_t cfa = frame->r[row.cfa_register] + row.cfa_offset;
    struct frame caller = *frame;
    for (int i = 0; i < REGISTERS; i++)
        if (row.kind[i] == 1)
            caller.r[i] = load_word(cfa + row.value[i]);
        else if (row.kind[i] == 2 && row.value[i] < REGISTERS)
            caller.r[i] = frame->r[row.value[i]];
    caller.pc = caller.r[return_register];
    caller.r[SP] = cfa;
    *frame = caller;
    return 1;
}

/* From a frame of the image to its caller's; 0 if there is nothing that says how. Counts by kind of encoding. */
static uint64_t encodings_seen[16];

static int step(struct frame *frame) {
    uintptr_t function = 0;
    /* The return address may be the first of the next function, so what counts is the call before it. */
    uint32_t encoding = compact_encoding(frame->pc - 1, &function);
    struct frame caller = *frame;
    encodings_seen[encoding >> 24 & 15]++;
#ifdef __aarch64__
    switch (encoding & 0x0f000000) {
    case 0x02000000: {
        caller.r[SP] += (encoding >> 12 & 0xfff) * 16;
        caller.pc = frame->r[RETURN];
        break;
    }
    case 0x04000000: {
        uintptr_t at = frame->r[FP];
        caller.pc = load_word(at + 8);
        caller.r[FP] = load_word(at);
        caller.r[SP] = at + 16;
        for (int pair = 0; pair < 9; pair++)
            if (encoding & 1u << pair) {
                int reg = pair < 5 ? 19 + 2 * pair : 64 + 8 + 2 * (pair - 5);
                at -= 8, caller.r[reg] = load_word(at);
                at -= 8, caller.r[reg + 1] = load_word(at);
            }
        break;
    }
    case 0x03000000:
        return step_dwarf(frame, encoding & 0xffffff, function);
    default:
        finding("no unwind information", NULL, frame->pc - macho.slide, encoding);
        return 0;
    }
#else
    static const int numbers[] = {-1, 3, 12, 13, 14, 15, FP};
    switch (encoding & 0x0f000000) {
    case 0x01000000: {
        uintptr_t at = frame->r[FP];
        caller.r[FP] = load_word(at);
        caller.pc = load_word(at + 8);
        caller.r[SP] = at + 16;
        uintptr_t saved = at - 8 * (encoding >> 16 & 0xff);
        for (int i = 0; i < 5; i++) {
            int number = encoding >> (3 * i) & 7;
            if (number > 6) {
                finding("register of a compact encoding", NULL, encoding, 0);
                return 0;
            }
            if (number)
                caller.r[numbers[number]] = load_word(saved + 8 * i);
        }
        break;
    }
    case 0x02000000:
    case 0x03000000: {
        uint64_t size = encoding >> 16 & 0xff, adjust = encoding >> 13 & 7, count = encoding >> 10 & 7;
        uint32_t permutation = encoding & 0x3ff;
        if ((encoding & 0x0f000000) == 0x03000000)
            size = u32((const void *)(function + size)) + 8 * adjust;
        else
            size *= 8;
        /* The order of the registers as a number of the factorial system: which of those left comes next. */
        static const uint32_t factors[7][6] = {{0}, {1}, {5, 1}, {20, 4, 1}, {60, 12, 3, 1}, {120, 24, 6, 2, 1}, {120, 24, 6, 2, 1, 0}};
        int left[] = {1, 2, 3, 4, 5, 6}, remaining = 6;
        if (count > 6)
            return 0;
        uintptr_t at = frame->r[SP] + size - 8 - 8 * count;
        for (uint64_t i = 0; i < count; i++) {
            uint32_t which = factors[count][i] ? permutation / factors[count][i] : 0;
            permutation -= which * factors[count][i];
            if ((int)which >= remaining)
                return 0;
            caller.r[numbers[left[which]]] = load_word(at + 8 * i);
            memmove(left + which, left + which + 1, (--remaining - which) * sizeof *left);
        }
        caller.pc = load_word(frame->r[SP] + size - 8);
        caller.r[SP] = frame->r[SP] + size;
        break;
    }
    case 0x04000000:
        return step_dwarf(frame, encoding & 0xffffff, function);
    default:
        finding("no unwind information", NULL, frame->pc - macho.slide, encoding);
        return 0;
    }
#endif
    *frame = caller;
    return 1;
}

#endif
