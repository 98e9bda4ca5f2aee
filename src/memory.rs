//! How much memory a link owns, for its report.
//!
//! Nothing is measured: the sizes of what the link holds are added up once everything is planned, when it holds most, and
//! what the passes take beside it for a time is reckoned from the same sizes. So the number is the same whatever the
//! allocator does, and costs nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::layout::Content;
use crate::link::Link;
use crate::model::Object;
use crate::unwind::eh_frame_hdr;

/// Bytes that a vector has taken.
pub(crate) fn of_vec<T>(vector: &Vec<T>) -> u64 {
    (vector.capacity() as u64).saturating_mul(size_of::<T>() as u64)
}

/// Bytes that a hash table has taken: std's keeps an eighth of its places free, and a byte beside each.
pub(crate) fn of_map<K, V, S>(map: &HashMap<K, V, S>) -> u64 {
    let places = (map.capacity() as u64).saturating_mul(8) / 7;
    places.saturating_mul(size_of::<(K, V)>() as u64 + 1)
}

#[allow(clippy::ptr_arg, reason = "whether the bytes are owned is what is asked")]
fn of_cow(bytes: &Cow<'_, [u8]>) -> u64 {
    match bytes {
        Cow::Borrowed(_) => 0,
        Cow::Owned(bytes) => of_vec(bytes),
    }
}

/// Bytes that a planned link holds.
pub(crate) fn held(link: &Link<'_>) -> u64 {
    let objects = link.objects.iter().map(of_object).sum::<u64>() + of_vec(&link.objects);
    let inputs = link.outputs.iter().map(|output| match &output.content {
        Content::Inputs(inputs) => of_vec(inputs),
        Content::Commons(_) | Content::Table(_) => 0,
    });
    let outputs = of_vec(&link.outputs) + inputs.sum::<u64>();
    let addresses = of_vec(&link.addresses) + link.addresses.iter().map(of_vec).sum::<u64>();
    let special = of_vec(&link.special) + link.special.iter().map(of_vec).sum::<u64>();
    objects
        + outputs
        + addresses
        + special
        + link.symbols.held()
        + link.slots.held()
        + link.thunks.held()
        + of_plan(&link.elf)
        + crate::macho::held(&link.macho)
        + crate::pe::held(&link.pe)
        + of_report(link)
}

fn of_object(object: &Object<'_>) -> u64 {
    let sections = object.sections.iter().map(|section| of_cow(&section.data) + of_cow(&section.relocs.bytes));
    let groups = object.groups.iter().map(|group| of_vec(&group.members));
    of_vec(&object.sections)
        + of_vec(&object.symbols)
        + of_vec(&object.groups)
        + sections.sum::<u64>()
        + groups.sum::<u64>()
}

fn of_plan(plan: &crate::elf::Plan) -> u64 {
    let joined = plan.frames.sections.values().map(|joined| of_vec(&joined.pieces) + of_vec(&joined.patches));
    let packed = plan.packed.values().map(of_vec);
    let made = plan.made.iter().map(|(_, bytes)| of_vec(bytes));
    let tables = [
        of_vec(&plan.found.pieces),
        of_vec(&plan.found.locals),
        plan.dynamic.held(),
        plan.unwind_index.held(),
        plan.symtab.as_ref().map_or(0, |table| table.held()),
        of_map(&plan.frames.sections),
        of_vec(&plan.relocations.parts),
        of_vec(&plan.relocations.relr),
        of_vec(&plan.section_names.0),
        of_vec(&plan.section_names.1),
        of_vec(&plan.segments),
        of_vec(&plan.properties),
        plan.frame_table.as_ref().map_or(0, eh_frame_hdr::Table::held),
        of_vec(&plan.made),
    ];
    let parts = joined.chain(packed).chain(made);
    tables.into_iter().sum::<u64>() + parts.sum::<u64>()
}

fn of_report(link: &Link<'_>) -> u64 {
    let report = &link.report;
    let lists = [&report.inputs, &report.libraries, &report.needed, &report.warnings];
    let names = lists.into_iter().flatten().map(|name| name.capacity() as u64);
    let exports = report.exports.iter().map(of_vec);
    lists.into_iter().map(of_vec).sum::<u64>()
        + names.sum::<u64>()
        + of_vec(&report.exports)
        + exports.sum::<u64>()
        + report.map.as_ref().map_or(0, |map| map.capacity() as u64)
}
