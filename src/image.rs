//! The image: ready to be written, in as many pieces as it takes.
//!
//! After layout an image is a plan ([`FilePlan`]): extents in file order. The bytes are made when they are asked for, in
//! chunks, each on its own, so the image is never held as a whole.
//!
//! The identity (build id) is a hash over the hashes of all chunks, made with the identity's bytes zero: the chunk that holds it
//! is kept until all are produced.
//!
//! With [`ElfOptions::separate_debug_file`](crate::ElfOptions) there are two files, planned alike: the image and its
//! [`Companion`]. Each has something of the other: both have the build id, which is computed from the chunks of both;
//! and the image states the checksum of the companion, which is taken when that has its build id. These bytes are the
//! pair's [`Seal`]. A Mach-O image has such a companion in its dSYM ([`MachOOptions::dsym`](crate::MachOOptions)), which has
//! the image's UUID; these images have no checksum of it.

mod crc;
mod production;
mod sum;

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::debug::{self, Trouble};
use crate::error::{Error, Errors, Result};
use crate::file;
use crate::format;
use crate::link::Link;
use crate::malfunction::{self, Malfunction};
use crate::memory;
use crate::options::Format;
use crate::pe;
use crate::report::{DebugFile, Report};

pub(crate) use production::{Checksum, Extent, FilePlan, Source, copy};
use production::{Patch, Production, put};
use sum::{Sum, identity, image_checksum};

/// A linked image, ready to be written.
///
/// It borrows the inputs; its bytes are made when they are asked for.
#[derive(Debug)]
pub struct Image<'a> {
    pub(crate) link: Link<'a>,
    plan: FilePlan,
    companion: Option<FilePlan>,
    /// Known once both files have been produced for the first time.
    seal: OnceLock<Seal>,
}

/// What stands in the files and depends on all their bytes.
#[derive(Debug, Default)]
struct Seal {
    identity: Option<Vec<u8>>,
    /// The checksum that a PE image has of itself.
    image_checksum: Option<[u8; 4]>,
    /// Over the file with its identity.
    signature: Option<Vec<u8>>,
    /// The companion's checksum.
    checksum: Option<[u8; 4]>,
}

impl Seal {
    /// The bytes it puts into a file.
    fn patches(&self, plan: &FilePlan) -> Vec<Patch<'_>> {
        let identity = self.identity.as_deref().unwrap_or_default();
        let part = |size: u64| identity.get(..size as usize).unwrap_or(identity);
        let identities = plan.identity.iter().map(|(offset, size)| (*offset, part(*size)));
        let own = plan.image_checksum.zip(self.image_checksum.as_ref().map(<[u8; 4]>::as_slice));
        let checksum = plan.companion_checksum.zip(self.checksum.as_ref().map(<[u8; 4]>::as_slice));
        let signature = plan.signature.as_ref().map(|signature| u64::from(signature.code_limit));
        let signature = signature.zip(self.signature.as_deref());
        identities.chain(own).chain(checksum).chain(signature).collect()
    }

    /// The companion's checksum, if it has one.
    fn companion_checksum(&self) -> Option<u32> {
        self.checksum.map(u32::from_le_bytes)
    }
}

impl<'a> Image<'a> {
    pub(crate) fn new(link: Link<'a>, plan: FilePlan, companion: Option<FilePlan>) -> Self {
        let image = Self { link, plan, companion, seal: OnceLock::new() };
        let own = !image.plan.identity.is_empty() || image.plan.image_checksum.is_some();
        if !own && image.companion.is_none() && image.plan.signature.is_none() {
            image.seal.get_or_init(Seal::default);
        }
        image
    }

    /// The image's size, in bytes.
    pub fn size(&self) -> u64 {
        self.plan.size()
    }

    /// What the link did. Checksums are not known before the bytes have been produced.
    pub fn report(&self) -> &Report {
        &self.link.report
    }

    /// The debug information as a file of its own, if
    /// [`ElfOptions::separate_debug_file`](crate::ElfOptions::separate_debug_file) or
    /// [`MachOOptions::dsym`](crate::MachOOptions::dsym) asked for it.
    ///
    /// [`write_file`](Self::write_file) writes it too; this is for those who write the image in another way.
    pub fn companion(&self) -> Option<Companion<'_, 'a>> {
        self.companion.as_ref().map(|plan| Companion { image: self, plan })
    }

    /// The import library of a DLL: what other images are linked against in its place. `None` for images of other formats.
    ///
    /// It is an archive of short records, which LLD, GNU ld, Microsoft's linker and this one read, and it is the same for
    /// the same exports. [`write_file`](Self::write_file) writes it, too, if
    /// [`PeOptions::import_library`](crate::PeOptions::import_library) says where.
    ///
    /// # Errors
    /// [`Error::Limit`]: names of more than 4 GiB in all.
    pub fn import_library(&self) -> Result<Option<Vec<u8>>> {
        match self.link.target.format {
            Format::Pe => Ok(Some(pe::import_library(&self.link)?)),
            Format::Elf | Format::MachO => Ok(None),
        }
    }

    /// The definition file (`.def`) of a DLL: its name, and what it exports under which numbers. `None` for images of other
    /// formats.
    pub fn definition_file(&self) -> Option<Vec<u8>> {
        (self.link.target.format == Format::Pe).then(|| pe::definition_file(&self.link))
    }

    /// Writes the image to a file, which appears under its name complete or not at all, with mode `0777 & ~umask`. Devices
    /// and pipes are written in place.
    ///
    /// A [`companion`](Self::companion) is written in the same manner, under the path that the options give; it gets its
    /// name just before the image gets its own. Should the image not get it, a companion is there that belongs to no
    /// image; debuggers see that by its checksum. So are the import library and the definition file of a DLL, if
    /// [`PeOptions`](crate::PeOptions) say where.
    ///
    /// # Errors
    /// [`Error::Write`], and relocations whose values do not fit; whatever stood under the name stands there still.
    /// Another file that would be the image.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<Report> {
        let path = path.as_ref();
        let files = format::companion_files(&self.link);
        let mut directories = Directories::default();
        let mut beside: Vec<(Sink<'_>, Cow<'_, [u8]>)> = Vec::new();
        let further = format::further_files(&self.link)?;
        check_names(path, &further, files.as_ref())?;
        for (path, contents) in further {
            beside.push((Sink::open(path, contents.len() as u64)?, contents.into()));
        }
        let mut companion = match (&self.companion, &files) {
            (Some(plan), Some(files)) => {
                if let Some((path, contents)) = &files.beside {
                    directories.create_for(&files.path)?;
                    beside.push((Sink::open(path, contents.len() as u64)?, contents.into()));
                }
                Some((self.production(plan), Sink::open(&files.path, plan.size())?))
            }
            _ => None,
        };
        let main = self.production(&self.plan);
        let mut sink = Sink::open(path, self.size())?;
        if sink.is_in_order() || companion.as_ref().is_some_and(|(_, sink)| sink.is_in_order()) {
            // What has been written there cannot be repaired.
            self.seal()?;
        }

        let seal = self.seal.get();
        let patches = |plan: &FilePlan| seal.map(|seal| seal.patches(plan));
        let mut problems = Vec::new();
        let mut companion_sums = Vec::new();
        if let Some((companion, sink)) = &mut companion {
            companion_sums = sink.write(*companion, patches(companion.plan).as_deref(), &mut problems)?;
        }
        let mut sums = sink.write(main, patches(&self.plan).as_deref(), &mut problems)?;
        debug::check(&self.link, problems)?;
        let drafts = sums.iter().chain(&companion_sums).map(Sum::kept).sum();
        if seal.is_none() {
            let seal = self.seal_with(&mut sums, &mut companion_sums);
            if let Some((companion, sink)) = &companion {
                let patches = seal.patches(companion.plan);
                companion.deliver(&patches, &companion_sums, &|offset, bytes| sink.write_at(offset, bytes))?;
            }
            main.deliver(&seal.patches(&self.plan), &sums, &|offset, bytes| sink.write_at(offset, bytes))?;
        }
        for (sink, contents) in &beside {
            sink.write_all(contents)?;
        }
        for (sink, _) in beside {
            sink.commit()?;
        }
        if let Some((_, sink)) = companion {
            sink.commit()?;
        }
        directories.keep();
        sink.commit()?;
        Ok(self.report_with(&sums, self.link.workers.count(), drafts))
    }

    /// Writes the image to `writer`, from its first byte to its last.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file); what has been written until then stays written.
    pub fn write_to(&self, writer: &mut impl Write) -> Result<Report> {
        let patches = self.seal()?.patches(&self.plan);
        let sums = self.production(&self.plan).stream(&patches, writer, failed_writer)?;
        Ok(self.report_with(&sums, 1, 0))
    }

    /// The image as a vector.
    ///
    /// # Errors
    /// Relocations whose values do not fit.
    pub fn to_vec(&self) -> Result<(Vec<u8>, Report)> {
        let mut bytes = zeros(self.size())?;
        let report = self.write_into(&mut bytes)?;
        Ok((bytes, report))
    }

    /// Writes the image to the start of `buffer`.
    ///
    /// # Errors
    /// If `buffer` is shorter than [`size`](Self::size); relocations whose values do not fit.
    pub fn write_into(&self, buffer: &mut [u8]) -> Result<Report> {
        let buffer = first(buffer, self.size())?;
        let main = self.production(&self.plan);
        let mut problems = Vec::new();
        let seal = self.seal.get();
        let patches = seal.map(|seal| seal.patches(&self.plan));
        let mut sums = main.produce_into(patches.as_deref(), buffer, &mut problems);
        let mut drafts = 0;
        if seal.is_none() {
            let mut companion_sums = self.sums_of(self.companion.as_ref(), &mut problems);
            debug::check(&self.link, problems)?;
            drafts = sums.iter().chain(&companion_sums).map(Sum::kept).sum();
            put(&self.seal_with(&mut sums, &mut companion_sums).patches(&self.plan), 0, buffer);
        } else {
            debug::check(&self.link, problems)?;
        }
        let buffers = if self.companion.is_some() { self.link.workers.count() } else { 0 };
        Ok(self.report_with(&sums, buffers, drafts))
    }

    fn production<'i>(&'i self, plan: &'i FilePlan) -> Production<'i, 'a> {
        Production { link: &self.link, plan }
    }

    /// Bytes of memory that the planned image holds.
    pub(crate) fn memory(&self) -> u64 {
        memory::held(&self.link) + self.plan.memory() + self.companion.as_ref().map_or(0, FilePlan::memory)
    }

    /// The report on an image that was produced in so many buffers, with drafts of so many bytes.
    fn report_with(&self, sums: &[Sum], buffers: usize, drafts: u64) -> Report {
        let mut report = self.link.report.clone();
        let buffer = self.plan.buffer().max(self.companion.as_ref().map_or(0, FilePlan::buffer));
        report.memory_peak = report.memory_peak.max(self.memory() + buffer * buffers as u64 + drafts);
        let sums = if malfunction::on(Malfunction::ReportChecksumStale) { &sums[1..] } else { sums };
        report.crc32c = Some(self.plan.checksum(sums));
        if let Some(file) = &mut report.debug_file {
            file.crc32 = self.seal.get().and_then(Seal::companion_checksum);
        }
        report
    }

    /// Produces the seal, if it is not known, in a pass over all bytes.
    fn seal(&self) -> Result<&Seal> {
        if let Some(seal) = self.seal.get() {
            return Ok(seal);
        }
        let mut problems = Vec::new();
        let mut sums = self.sums_of(Some(&self.plan), &mut problems);
        let mut companion_sums = self.sums_of(self.companion.as_ref(), &mut problems);
        debug::check(&self.link, problems)?;
        Ok(self.seal_with(&mut sums, &mut companion_sums))
    }

    /// The sums of a file's chunks without the seal.
    fn sums_of(&self, plan: Option<&FilePlan>, problems: &mut Vec<Trouble>) -> Vec<Sum> {
        plan.map(|plan| self.production(plan).produce(None, &|_, _| Ok(()), problems)).unwrap_or_default()
    }

    /// The seal of files with these chunks, which goes into their drafts.
    fn seal_with(&self, sums: &mut [Sum], companion_sums: &mut [Sum]) -> &Seal {
        let main = self.production(&self.plan);
        let size = self.plan.identity.iter().map(|(_, size)| *size).max();
        let kind = format::identity_kind(&self.link);
        let all = sums.iter().chain(&*companion_sums);
        let mut seal = Seal {
            identity: size.map(|size| format::dressed_identity(&self.link, identity(kind, all, size))),
            ..Seal::default()
        };
        if let Some(plan) = &self.companion {
            let before = plan.checksum(companion_sums);
            self.production(plan).amend(&seal.patches(plan), companion_sums);
            let stale = malfunction::on(Malfunction::CompanionChecksumStale);
            let checksum = if stale { before } else { plan.checksum(companion_sums) };
            seal.checksum = Some(checksum.to_le_bytes());
        }
        // Checksum and signature cover the identity.
        if !malfunction::on(Malfunction::ImageChecksumStale) {
            main.amend(&seal.patches(&self.plan), sums);
        }
        if self.plan.image_checksum.is_some() {
            seal.image_checksum = Some(image_checksum(sums.iter(), self.size()).to_le_bytes());
            main.amend(&seal.patches(&self.plan), sums);
        }
        if let Some(signature) = &self.plan.signature {
            seal.signature = Some(signature.bytes(sums.iter().flat_map(|sum| &sum.pages)));
            main.amend(&seal.patches(&self.plan), sums);
        }
        self.seal.get_or_init(|| seal)
    }
}

/// The debug information of an image, as a file of its own.
///
/// Of a Mach-O image it is the Mach-O file in the dSYM, without the bundle around it. Of an ELF image it is an ELF file:
/// it has the DWARF sections and the symbol table that the image lacks, the image's build id, and the headers of the
/// image's loaded sections without their contents: what `objcopy --only-keep-debug` makes. The image names it, without a
/// directory, in `.gnu_debuglink`; debuggers look beside the image, in `.debug` there, and below `/usr/lib/debug`.
#[derive(Debug, Clone, Copy)]
pub struct Companion<'i, 'a> {
    image: &'i Image<'a>,
    plan: &'i FilePlan,
}

impl Companion<'_, '_> {
    /// Its size, in bytes.
    pub fn size(&self) -> u64 {
        self.plan.size()
    }

    /// The name by which the image refers to it, and its size and checksum.
    ///
    /// # Errors
    /// Relocations whose values do not fit, in the image or here.
    pub fn describe(&self) -> Result<DebugFile> {
        let crc32 = self.image.seal()?.companion_checksum();
        let planned = self.image.link.report.debug_file.clone().unwrap_or_default();
        Ok(DebugFile { crc32, ..planned })
    }

    /// Writes it to a file, as [`Image::write_file`] writes the image.
    ///
    /// # Errors
    /// [`Error::Write`], and relocations whose values do not fit, in the image or here; whatever stood under the name
    /// stands there still.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let patches = self.image.seal()?.patches(self.plan);
        let mut sink = Sink::open(path.as_ref(), self.size())?;
        let mut problems = Vec::new();
        sink.write(self.production(), Some(&patches), &mut problems)?;
        debug::check(&self.image.link, problems)?;
        Ok(sink.commit()?)
    }

    /// Writes it to `writer`, from its first byte to its last.
    ///
    /// # Errors
    /// As [`write_file`](Self::write_file); what has been written until then stays written.
    pub fn write_to(&self, writer: &mut impl Write) -> Result<()> {
        let patches = self.image.seal()?.patches(self.plan);
        self.production().stream(&patches, writer, failed_writer).map(drop)
    }

    /// It as a vector.
    ///
    /// # Errors
    /// Relocations whose values do not fit, in the image or here.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = zeros(self.size())?;
        self.write_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes it to the start of `buffer`.
    ///
    /// # Errors
    /// If `buffer` is shorter than [`size`](Self::size); relocations whose values do not fit, in the image or here.
    pub fn write_into(&self, buffer: &mut [u8]) -> Result<()> {
        let buffer = first(buffer, self.size())?;
        let patches = self.image.seal()?.patches(self.plan);
        let mut problems = Vec::new();
        self.production().produce_into(Some(&patches), buffer, &mut problems);
        debug::check(&self.image.link, problems)
    }

    fn production(&self) -> Production<'_, '_> {
        self.image.production(self.plan)
    }
}

/// Where a file's bytes go.
enum Sink<'p> {
    /// A regular file, which gets its name at the end.
    File(&'p Path, file::Output),
    /// Something that is neither seekable nor replaceable.
    InOrder(&'p Path, fs::File),
}

impl<'p> Sink<'p> {
    fn open(path: &'p Path, size: u64) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::write(path, error);
        Ok(match file::Output::create(path, size).map_err(failed)? {
            Some(output) => Self::File(path, output),
            None => Self::InOrder(path, file::open_stream(path).map_err(failed)?),
        })
    }

    fn is_in_order(&self) -> bool {
        matches!(self, Self::InOrder(..))
    }

    /// Writes a file; relocations that do not fit are added to `problems` or returned.
    fn write(
        &mut self,
        file: Production<'_, '_>,
        patches: Option<&[Patch<'_>]>,
        problems: &mut Vec<Trouble>,
    ) -> Result<Vec<Sum>> {
        match self {
            Self::File(..) => Ok(file.produce(patches, &|offset, bytes| self.write_at(offset, bytes), problems)),
            Self::InOrder(path, stream) => {
                let failed = |error| Errors::from(Error::write(path, error));
                file.stream(patches.unwrap_or_default(), stream, failed)
            }
        }
    }

    /// Writes a file of few bytes.
    fn write_all(&self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::File(..) => self.write_at(0, bytes),
            Self::InOrder(path, stream) => {
                let mut stream = stream;
                stream.write_all(bytes).map_err(|error| Error::write(path, error))
            }
        }
    }

    /// Writes over bytes of a file that has not got its name.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::File(path, output) => output.write_at(offset, bytes).map_err(|error| Error::write(path, error)),
            Self::InOrder(..) => Ok(()),
        }
    }

    fn commit(self) -> Result<(), Error> {
        match self {
            Self::File(path, output) => output.commit().map_err(|error| Error::write(path, error)),
            Self::InOrder(..) => Ok(()),
        }
    }
}

/// Directories that are made for files, and taken away again unless these are there in the end.
#[derive(Debug, Default)]
struct Directories(Vec<PathBuf>);

impl Directories {
    /// Makes those that a file of this path needs.
    fn create_for(&mut self, path: &Path) -> Result<(), Error> {
        let missing = path
            .ancestors()
            .skip(1)
            .take_while(|directory| !directory.as_os_str().is_empty() && fs::symlink_metadata(directory).is_err());
        let missing: Vec<&Path> = missing.collect();
        for directory in missing.into_iter().rev() {
            match fs::create_dir(directory) {
                Ok(()) => self.0.push(directory.to_owned()),
                // Somebody else has been as quick.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::write(directory, error)),
            }
        }
        Ok(())
    }

    /// Lets them stay.
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            // One that somebody has put something into stays.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Fails if one of the files beside the image would take its place, or that of another.
fn check_names(
    image: &Path,
    further: &[(&Path, Vec<u8>)],
    companion: Option<&format::CompanionFiles>,
) -> Result<(), Error> {
    for (number, (other, _)) in further.iter().enumerate() {
        let earlier = further.iter().take(number).map(|(path, _)| *path);
        if let Some(same) = earlier.chain([image]).find(|path| file::is_same_place(path, other)) {
            return Err(Error::Options(format!("{}: two files are to be written under this name", same.display())));
        }
    }
    let debug =
        companion.into_iter().flat_map(|files| [Some(&files.path), files.beside.as_ref().map(|(path, _)| path)]);
    match debug.flatten().find(|path| file::is_same_place(image, path)) {
        Some(same) => Err(Error::Options(format!("{}: debug information would overwrite the image", same.display()))),
        None => Ok(()),
    }
}

fn failed_writer(error: io::Error) -> Errors {
    Error::write(Path::new("the writer"), error).into()
}

/// A vector of `size` zeros.
fn zeros(size: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let length = usize::try_from(size).unwrap_or(usize::MAX);
    if bytes.try_reserve_exact(length).is_err() {
        return Err(Error::Options(format!("no memory for the {size} bytes to be written")));
    }
    bytes.resize(length, 0);
    Ok(bytes)
}

/// The first `size` bytes of a caller's buffer.
fn first(buffer: &mut [u8], size: u64) -> Result<&mut [u8], Error> {
    let available = buffer.len();
    let part = usize::try_from(size).ok().and_then(|size| buffer.get_mut(..size));
    part.ok_or_else(|| Error::Options(format!("{size} bytes are to be written, the buffer has {available}")))
}
