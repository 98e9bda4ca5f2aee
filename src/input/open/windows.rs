//! Libraries that Windows objects ask for by name (`-defaultlib:` in `.drectve`).

use indexmap::IndexSet;

use super::search::is_known;
use super::{Opener, SonameRule};
use crate::input::content::Content;
use crate::input::{Kind, Mode, Opened};
use crate::options::Format;
use crate::pe;

impl Opener<'_, '_> {
    /// Whether a Windows image is made: it is asked for or, if nothing is, the first file that tells is of that kind.
    pub(super) fn is_for_windows(&self) -> bool {
        if let Some(target) = self.options.target {
            return target.format == Format::Pe;
        }
        let first = self.inputs.items().find_map(|item| match Content::of(item.bytes) {
            Content::Object | Content::SharedLibrary => Some(pe::machine(item.bytes).is_some()),
            Content::Archive => {
                let mut members = item.archive().into_iter().flat_map(|archive| archive.members());
                let member = members.find_map(|member| member.ok().filter(|member| is_known(member.bytes)))?;
                Some(pe::machine(member.bytes).is_some())
            }
            _ => None,
        });
        first.unwrap_or(false)
    }

    /// Adds the libraries that objects and members of archives ask for by name, once each, as LLD finds them for MinGW: `NAME`, with `.lib` if it has
    /// no extension, then `libNAME.a`.
    pub(super) fn default_libraries(&mut self) {
        if !self.is_for_windows() {
            return;
        }
        let mut wanted: IndexSet<Vec<u8>> = IndexSet::new();
        let (mut read, mut looked) = (0, 0);
        // What is found asks in its turn.
        while read < self.inputs.items.len() {
            for item in self.inputs.items().skip(read) {
                match item.kind {
                    _ if item.in_memory => {}
                    Kind::Object => wanted.extend(pe::directives::default_libraries(item.bytes)),
                    Kind::Archive if may_ask(&item) => {
                        let members = item.archive().into_iter().flat_map(|archive| archive.members());
                        for member in members.map_while(std::result::Result::ok) {
                            wanted.extend(pe::directives::default_libraries(member.bytes));
                        }
                    }
                    _ => {}
                }
            }
            read = self.inputs.items.len();
            while let Some(library) = wanted.get_index(looked).cloned() {
                looked = looked.saturating_add(1);
                self.default_library(library);
            }
        }
    }

    /// Adds a library that objects ask for by name, if it is found.
    fn default_library(&mut self, library: Vec<u8>) {
        // A name leads into the directories that are searched, and nowhere else.
        let name = std::str::from_utf8(&library).ok().filter(|name| !name.contains(['/', '\\', ':', '\0']));
        let Some(name) = name.filter(|name| !name.is_empty()) else { return };
        let file = if name.contains('.') { name.to_owned() } else { format!("{name}.lib") };
        let stem = file.rsplit_once('.').map_or(&*file, |(stem, _)| stem);
        let candidates = [file.clone(), format!("lib{stem}.a")];
        let mut unreadable = Vec::new();
        if let Some((path, file)) = self.search(&candidates, &mut unreadable) {
            self.add(file, &path, Mode::default(), SonameRule::FileName);
            self.inputs.default_libraries.insert(library);
        }
        self.problems.extend(unreadable);
    }
}

/// Whether members of an archive may ask for libraries. That few do is found out faster than by reading all.
fn may_ask(item: &Opened<'_>) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(item.bytes, text).is_some();
    item.mode.whole_archive || !item.members.is_empty() || has(b"DEFAULTLIB") || has(b"defaultlib")
}
