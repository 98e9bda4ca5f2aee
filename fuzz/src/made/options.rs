//! What a link is asked to do: any combination of options.

use pkgld::{
    AutoExport, BuildId, DebugCompression, Exports, HashStyle, Options, Strip, SymbolValue, Symbolic, Undefined,
};

use super::Choices;

/// Changes options of all formats. Without choices they stay as they are.
pub(crate) fn vary(options: &mut Options, choices: &mut Choices<'_>) {
    let undefined = [Undefined::Allow, Undefined::Allow, Undefined::Warn, Undefined::Warn, Undefined::Error];
    options.undefined = choices.pick(&undefined);
    options.allow_multiple_definition = choices.below(4) != 1;
    options.gc_sections = choices.below(3) == 1;
    options.map = choices.below(4) == 1;
    options.strip = choices.pick(&[Strip::None, Strip::None, Strip::Debug, Strip::All]);
    if choices.below(8) == 1 {
        let value = SymbolValue::Symbol(choices.name(), choices.number(8).cast_signed());
        options.defined_symbols.push((choices.name(), value));
        options.defined_symbols.push((choices.name(), SymbolValue::Number(choices.number(4096))));
        options.required_symbols.push(choices.name());
        options.entry = Some(choices.name());
    }
    if choices.below(16) == 1 {
        options.exclude_libs.push("ALL".to_owned());
    }
    elf(options, choices);
    macho(options, choices);
    pe(options, choices);
}

fn elf(options: &mut Options, choices: &mut Choices<'_>) {
    let elf = &mut options.elf;
    elf.relr = choices.below(3) == 1;
    elf.now = choices.below(3) == 1;
    elf.relro = choices.below(4) != 1;
    elf.text = choices.below(4) != 1;
    elf.eh_frame_hdr = choices.below(4) != 1;
    elf.build_id = match choices.below(6) {
        1 => BuildId::Fast,
        2 => BuildId::Bytes16,
        3 => BuildId::Bytes20,
        4 => {
            let size = choices.below(70);
            BuildId::Given(choices.bytes(size))
        }
        _ => BuildId::None,
    };
    elf.hash_style = choices.pick(&[HashStyle::Both, HashStyle::Gnu, HashStyle::Sysv]);
    elf.symbolic = choices.pick(&[Symbolic::None, Symbolic::All, Symbolic::Functions]);
    if choices.below(8) == 1 {
        let size = 1 << (12 + choices.below(10));
        elf.max_page_size = Some(choices.number(size));
    }
    if choices.below(8) == 1 {
        elf.compress_debug = Some(choices.pick(&[DebugCompression::Zlib, DebugCompression::Zstd]));
    }
    if choices.below(6) == 1 {
        elf.separate_debug_file = Some("image.debug".into());
    }
    if choices.below(8) == 1 {
        elf.soname = Some(choices.name());
        elf.rpath.push(choices.name());
        elf.init = choices.name();
        elf.exec_stack = Some(choices.half());
        elf.new_dtags = choices.half();
    }
    elf.fix_cortex_a53_843419 = choices.below(4) == 1;
}

fn macho(options: &mut Options, choices: &mut Choices<'_>) {
    let macho = &mut options.macho;
    macho.chained_fixups = choices.pick(&[None, Some(false), Some(true)]);
    macho.sign = choices.pick(&[None, Some(true), Some(false)]);
    macho.uuid = choices.below(6) != 1;
    macho.strip_locals = choices.below(6) == 1;
    macho.dead_strip_dylibs = choices.below(6) == 1;
    macho.debug_map = choices.below(3) != 1;
    // Of what is divided none is made.
    if choices.below(4) == 1 && !options.gc_sections {
        macho.dsym = Some("image.dylib.dSYM".into());
    }
    if choices.below(8) == 1 {
        macho.header_pad = Some(choices.number(64));
        macho.pad_install_names = choices.half();
        macho.install_name = Some(choices.name());
        macho.rpath.push(choices.name());
        macho.platform_version = Some((choices.number(0xd_0000) as u32, choices.number(0xe_0000) as u32));
        macho.current_version = choices.number(0x1_0000) as u32;
    }
    if choices.below(8) == 1 {
        let patterns = vec![choices.name(), "*[a-c]?".to_owned()];
        macho.exports = if choices.half() { Exports::Only(patterns) } else { Exports::AllBut(patterns) };
    }
}

fn pe(options: &mut Options, choices: &mut Choices<'_>) {
    let pe = &mut options.pe;
    pe.auto_export = choices.pick(&[AutoExport::Unless, AutoExport::All, AutoExport::None]);
    pe.build_id = choices.below(3) == 1;
    pe.timestamp = choices.below(3) != 1;
    pe.auto_import = choices.below(4) != 1;
    pe.dynamic_base = choices.below(4) != 1;
    if choices.below(8) == 1 {
        pe.image_base = Some(choices.number(0x1_4000_0000));
        pe.exports.push(choices.name());
        pe.excluded_symbols.push(choices.name());
        pe.dll_name = Some(choices.name());
        pe.large_address_aware = Some(choices.half());
        pe.large_image = choices.half();
    }
}
